#!/bin/sh
# Restore a backup of Lifeboat without Lifeboat: POSIX shell and standard tools only. How to use it: README.md beside it.
#
# Nothing is trusted before it was checked: a manifest by its signature, an object by length and SHA-256, a table's or a
# file's content by the SHA-256 in the sealed index. What is not whole has no name: a database is called
# lifeboat-incomplete-…, a folder ….incomplete-…, until the last step. Decrypted and on a disk are only the files that
# were asked for; the index and a schema lie in memory (/dev/shm) while they are needed.
# shellcheck disable=SC2015,SC2016  # `a && b || die`: die never returns; what looks like a variable is jq's
set -eu
umask 077
LC_ALL=C PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-30}
PGOPTIONS="${PGOPTIONS:-} -c search_path= -c statement_timeout=0 -c lock_timeout=0 -c row_security=off"
export LC_ALL PGCLIENTENCODING PGCONNECT_TIMEOUT PGOPTIONS

readonly USAGE=2 REFUSED=4 SECURITY=6
tab=$(printf '\t')

usage() {
    cat <<'END'
sh restore.sh COMMAND [-f FOLDER] [-e ENVIRONMENT] [-k PUBLIC_KEYS] [-i IDENTITY] [-b BACKUP_ID] ARGUMENT...

  list [SERVICE/SOURCE]                        every backup, and what is missing or damaged
  fetch SERVICE/SOURCE USER@HOST REMOTE        copy what one backup needs from the NAS into FOLDER, with sftp
  verify SERVICE/SOURCE                        compare every object of a backup with its signed manifest
  databases SERVICE/SOURCE                     the databases in a backup
  tables SERVICE/SOURCE DATABASE               the tables of one of them
  roles SERVICE/SOURCE                         create the roles that the server lacks
  database SERVICE/SOURCE DATABASE TARGET      bring a database back, as TARGET
  table SERVICE/SOURCE DATABASE TABLE TARGET   bring one table (schema.table) back, in a new database TARGET
  files SERVICE/SOURCE [PATH]...               the files in a backup
  tree SERVICE/SOURCE TARGET [PATH]...         bring files back, into a new folder TARGET

  -f  the environment's folder of the store, or a copy of it     LIFEBOAT_FOLDER
  -e  the environment that the backups must be of                LIFEBOAT_ENVIRONMENT
  -k  file with the public signing key, or several of them       LIFEBOAT_PUBLIC_KEYS
  -i  age identity file of any recipient                         LIFEBOAT_IDENTITY_FILE
  -b  this backup; left out, the newest good one

The server is the one that PGHOST, PGPORT, PGUSER and PGPASSFILE name.
END
}

# die CODE WHAT NEXT: 1 failed, 2 wrong call, 4 refused, 6 something is not what was signed.
die() {
    printf 'error: %s\n    -> %s\n' "$2" "$3" >&2
    exit "$1"
}

note() {
    printf '%s\n' "$*" >&2
}

need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die 1 "$tool is not installed." "On Debian: README.md, section Tools."
    done
}

begin() {
    need age age-keygen zstd tar jq openssl sha256sum base64 head tee xargs find stat touch od awk sed paste mktemp mkfifo tac
    case $(tar --version) in *"GNU tar"*) ;; *) die 1 "This is not GNU tar." "Use a GNU/Linux machine." ;; esac
    [ "$(printf abcd | { head -c 2 >/dev/null; cat; })" = cd ] ||
        die 1 "This head reads more than it was asked for." "Use a machine with GNU coreutils."
    memory=${TMPDIR:-/tmp}
    if [ -d /dev/shm ] && [ -w /dev/shm ]; then memory=/dev/shm; fi
    trap 'rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=
    work=$(mktemp -d "$memory/lifeboat-recovery-$$-XXXXXX")
    random=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
    [ ${#random} -eq 8 ] || die 1 "There are no random numbers." "od and tr read /dev/urandom."
    [ -n "$folder" ] && [ -d "$folder" ] ||
        die $USAGE "There is no folder '$folder'." "Name the environment's folder of the store with -f."
    folder=$(cd -- "$folder" && pwd)
    case $identity in '' | /*) ;; *) identity=$PWD/$identity ;; esac
    [ -n "$environment" ] || die $USAGE "No environment was named." "Name the one whose backups are wanted with -e."
    read_keys
}

# ---------------------------------------------------------------------------------------------- what is signed

# One file per trusted key, named by its id: the first 16 digits of the SHA-256 of the raw key.
read_keys() {
    [ -r "$public_keys" ] ||
        die $USAGE "The public keys '$public_keys' cannot be read." "They stand in the runbook: -k FILE."
    mkdir "$work/keys"
    awk -v where="$work/keys/pem" '/-----BEGIN PUBLIC KEY-----/ { n++ } n { print > (where n) }' "$public_keys"
    for pem in "$work"/keys/pem*; do
        openssl pkey -pubin -in "$pem" -outform DER >"$work/der" 2>/dev/null ||
            die $USAGE "$public_keys holds no public key in PEM." "It begins with -----BEGIN PUBLIC KEY-----."
        identifier=$(tail -c 32 "$work/der" | sha256sum | cut -c 1-16)
        mv "$pem" "$work/keys/$identifier"
    done
}

# signed FILE: its statement goes to $work/statement. Else returns 1, and $reason says why it counts for nothing.
signed() {
    reason="cannot be read"
    cp -- "$1" "$work/signed" || return 1
    reason="is not a signed statement"
    jq -es 'length == 1 and (.[0] | type == "object" and keys == ["key", "signature", "statement"]
        and (.key | type == "string" and test("^[0-9a-f]{16}$")) and (.signature | type == "string")
        and (.statement | type == "object"))' "$work/signed" >/dev/null 2>&1 || return 1
    jq -cSj . "$work/signed" >"$work/canonical" && cmp -s "$work/signed" "$work/canonical" || return 1
    signer=$(jq -r .key "$work/signed")
    reason="is signed by key $signer, which is none of those given: $(cd "$work/keys" && echo *)"
    [ -f "$work/keys/$signer" ] || return 1
    reason="was altered after it was signed"
    jq -cSj .statement "$work/signed" >"$work/statement"
    jq -rj .signature "$work/signed" | base64 -d >"$work/signature" 2>/dev/null || return 1
    openssl pkeyutl -verify -pubin -inkey "$work/keys/$signer" -rawin -in "$work/statement" \
        -sigfile "$work/signature" >/dev/null 2>&1
}

# manifest FILE CHAIN PLACE: signed, and what its name, the folder and the environment claim.
manifest() {
    by_us=unsigned
    signed "$1" || return 1
    by_us=signed
    reason=$(jq -r --arg environment "$environment" --arg chain "$2" --argjson place "$3" '
        def stored: (.name | type == "string" and test("^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"))
            and (.size | type == "number" and . > 0 and . == floor)
            and (.sha256 | type == "string" and test("^[0-9a-f]{64}$"));
        if .format != 1 then "has format \(.format), and this script reads format 1"
        elif .kind != "backup" then "is not the manifest of a backup"
        elif .environment != $environment then "belongs to environment \(.environment), not to \($environment)"
        elif "\(.service)-\(.source)" != $chain or .sequence != $place
            then "was signed as place \(.sequence) of \(.service)-\(.source)"
        elif ([.index, .parts[], (.references // [])[]] | all(stored)) and (.backup_id | test("^[A-Za-z0-9._-]+$"))
            then ""
        else "names objects that cannot be" end' "$work/statement" 2>/dev/null) || reason="is signed, but is no manifest"
    [ -z "$reason" ]
}

# The places of a chain, one a line: place, file SHA-256, id, quality, time of the data, what it links to, totals; a file
# that counts for nothing as "place, bad, reason".
read_chain() {
    chain=$(printf %s "$1" | tr / -)
    case $chain in '' | *[!a-z0-9-]*) die $USAGE "'$1' is no source." "Write it like main/databases." ;; esac
    : >"$work/chain"
    for file in "$folder/$chain".[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9].manifest.json; do
        [ -f "$file" ] || continue
        place=$(number_of "${file%.manifest.json}")
        if ! manifest "$file" "$chain" "$place"; then
            printf '%s\tbad\t%s\t%s\n' "$place" "$reason" "$by_us" >>"$work/chain"
            continue
        fi
        cp "$work/statement" "$work/manifest.$place"
        sum=$(sha256sum <"$work/signed")
        jq -r --arg sum "${sum%% *}" '[.sequence, $sum, .backup_id, .quality, .data_timestamp,
            (.previous.sequence // 0), (.previous.sha256 // "-"), .totals.plain_bytes,
            ([.index, .parts[], (.references // [])[]] | map(.size) | add)] | @tsv' "$work/statement" >>"$work/chain"
    done
}

# The number that a name ends in, without its zeros.
number_of() {
    printf %s "${1##*.}" | sed 's/^0*\(.\)/\1/'
}

# Sentences about what is not as it should be, in $work/doubts; none of them stops a restore of a backup that is itself
# sound. A place that no signature fits, and that a later manifest links past, was torn by a crash: that is no doubt.
doubts() {
    pruned='[]'
    find "$folder" -maxdepth 1 -name 'prune.????????.record.json' -printf '%f\n' | sort -r >"$work/records"
    while IFS= read -r file <&5; do
        signed "$folder/$file" || continue
        place=$(number_of "${file%.record.json}")
        found=$(jq -c --arg chain "$chain" --arg environment "$environment" --argjson place "$place" '
            select(.kind == "prune" and .environment == $environment and .sequence == $place) | .pruned[$chain] // []' \
            "$work/statement")
        if [ -n "$found" ]; then
            pruned=$found
            break
        fi
    done 5<"$work/records"
    jq -rRn --argjson pruned "$pruned" '
        def gone($place): any($pruned[]; .[0] <= $place and $place <= .[1]);
        [inputs | split("\t")] as $rows | ($rows | map(select(.[1] != "bad"))) as $good
        | ($rows | map(.[0] | tonumber)) as $there | ($good | map({key: .[0], value: .[1]}) | from_entries) as $sums
        | ([$good[][0] | tonumber] | max // 0) as $top
        | def torn: .[3] == "unsigned" and ((.[0] | tonumber) as $place
            | any($good[]; (.[5] | tonumber) < $place and $place < (.[0] | tonumber)));
          ($rows[] | select(.[1] == "bad" and (gone(.[0] | tonumber) or torn | not)) | "place \(.[0]) \(.[2])"),
          (range(1; $top) | select(. as $place | ($there | index($place)) == null and (gone($place) | not))
            | "place \(.) is missing"),
          ($good[] | select($sums[.[5]] != null and $sums[.[5]] != .[6])
            | "place \(.[5]) is not the manifest that place \(.[0]) was linked to: replaced, or a fork of the chain")' \
        "$work/chain" >"$work/doubts"
}

# The backup that -b names, or else the newest good one: $backup, its manifest in $work/manifest.
choose() {
    read_chain "$1"
    place=$(awk -F'\t' -v id="$wanted" '$2 != "bad" && (id == "" ? $4 == "good" : $3 == id) { print $5 "\t" $1 }' \
        "$work/chain" | sort | tail -n 1 | cut -f 2)
    doubts
    sed 's/^/doubt: /' "$work/doubts" >&2
    [ -n "$place" ] || die $REFUSED "$folder holds no ${wanted:-good} backup of $environment/$1 that verifies." \
        "See: sh restore.sh list. If the doubts above name a key, -k lacks its public half."
    mv "$work/manifest.$place" "$work/manifest"
    rm -f "$work"/manifest.*
    backup=$(field .backup_id)
    quality=$(field .quality)
    note "backup $backup ($quality), place $place of $chain, data of $(field .data_timestamp)"
    [ "$quality" = good ] || note "doubt: this backup was called suspect: $(field '.doubts | join("; ")')"
}

field() {
    jq -r "$1" "$work/manifest"
}

# ------------------------------------------------------------------------------------------ what lies sealed

# object NAME SIZE SHA256: is it, as it lies in the folder, what was signed?
object() {
    [ -f "$folder/$1" ] || die $SECURITY "$1 is missing in $folder." \
        "Copy it from the store, or restore an older backup: sh restore.sh list, then -b ID."
    size=$(wc -c <"$folder/$1")
    sum=$(sha256sum <"$folder/$1")
    [ "$((size))" = "$2" ] && [ "${sum%% *}" = "$3" ] || die $SECURITY \
        "$1 is not what was signed: $((size)) bytes, expected $2, or another SHA-256." \
        "Copy it again from the store; if it stays so, restore an older backup (-b ID), and tell the security contact."
}

# plain FILE: its plaintext. Whoever reads it must ask ended_well afterwards: a pipe hides how its left side ended.
plain() {
    rm -f "$work/age" "$work/zstd"
    {
        status=0
        age -d -i "$identity" "$1" 2>"$work/age.message" || status=$?
        echo "$status" >"$work/age"
    } | {
        status=0
        zstd -dqc 2>"$work/zstd.message" || status=$?
        echo "$status" >"$work/zstd"
    }
}

ended_well() {
    if [ "$(cat "$work/age" 2>/dev/null)" != 0 ]; then
        grep -qi 'no identity matched' "$work/age.message" && wrong_identity
        die $SECURITY "$1 does not decrypt: $(head -n 1 "$work/age.message" 2>/dev/null)" "Restore an older backup: -b ID."
    fi
    [ "$(cat "$work/zstd" 2>/dev/null)" = 0 ] ||
        die $SECURITY "$1 does not decompress: $(cat "$work/zstd.message" 2>/dev/null)" "Restore an older backup: -b ID."
}

wrong_identity() {
    mine=$(age-keygen -y "$identity" 2>/dev/null | while IFS= read -r recipient; do
        printf %s "$recipient" | sha256sum | cut -c 1-16
    done | tr '\n' ' ')
    die $REFUSED "The identity in $identity (fingerprint ${mine:-unknown }) does not open $backup." \
        "Use one of these fingerprints: $(field '.recipients | join(", ")'). The runbook says who holds which."
}

# The index of the chosen backup, opened into memory; it must be this backup's, and name the manifest's objects.
open_index() {
    [ -n "$identity" ] && [ -r "$identity" ] ||
        die $USAGE "The identity file '$identity' cannot be read." "Name it with -i; the runbook says who holds one."
    # shellcheck disable=SC2046  # three words that were checked
    object $(field '.index | "\(.name) \(.size) \(.sha256)"')
    plain "$folder/$(field .index.name)" >"$work/index"
    ended_well "$(field .index.name)"
    kind=$(field .source_kind)
    head -n 1 "$work/index" | jq -es --slurpfile manifest "$work/manifest" '
        def named: map({name, size, sha256}) | sort_by(.name);
        .[0] as $index | $manifest[0] | .backup_id == $index.backup_id and .environment == $index.environment
        and .service == $index.service and .source == $index.source
        and (.parts + (.references // []) | named) == ($index.parts | named)' >/dev/null ||
        die $SECURITY "$(field .index.name) is the index of another backup." "Tell the security contact; choose another: -b ID."
}

# part NUMBER: where it lies sealed, as $sealed. check_part NUMBER: whether that is what was signed.
part() {
    facts=$(head -n 1 "$work/index" | jq -r --argjson number "$1" \
        '.parts[] | select(.number == $number) | "\(.name) \(.size) \(.sha256)"')
    [ -n "$facts" ] || die $SECURITY "The index of $backup has no part $1." "Choose another: -b ID."
    sealed=$folder/${facts%% *}
}

check_part() {
    part "$1"
    # shellcheck disable=SC2086  # three words of a verified manifest
    object $facts
}

# whole NUMBER FILE: the plaintext of a part that is used as one, after its own SHA-256 was found right.
whole() {
    part "$1"
    plain "$sealed" >"$2"
    ended_well "$sealed"
    sum=$(sha256sum <"$2")
    [ "${sum%% *}" = "$(plain_sum "$1")" ] ||
        die $SECURITY "$sealed holds something else than was sealed." "Choose another: -b ID."
}

plain_sum() {
    jq -r --argjson number "$1" '.parts[] | select(.number == $number) | .plain_sha256' "$work/index"
}

# ------------------------------------------------------------------------------------------------- databases

# SQL text, written so that a name can hold anything.
readonly SQL='
    def identifier: "\"" + gsub("\""; "\"\"") + "\"";
    def literal: if contains("\\") then " E" else "" end
        + "\u0027" + gsub("\u0027"; "\u0027\u0027") | gsub("\\\\"; "\\\\") | . + "\u0027";
    def create($name): "CREATE DATABASE \($name | identifier) TEMPLATE template0 ENCODING \(.encoding | literal)"
        + " LC_COLLATE \(.collate | literal) LC_CTYPE \(.ctype | literal)"
        + if .locale == null then ""
          elif .locale_provider == "i" then " LOCALE_PROVIDER icu ICU_LOCALE \(.locale | literal)"
          elif .locale_provider == "b" then " LOCALE_PROVIDER builtin BUILTIN_LOCALE \(.locale | literal)" else "" end;
    def value: if (.name | ascii_downcase | IN("local_preload_libraries", "search_path", "session_preload_libraries",
            "temp_tablespaces")) | not then .value | literal
        else [.value | scan("\"((?:[^\"]|\"\")*)\"|([^\",\\s][^\",]*)")
            | if .[0] != null then .[0] | gsub("\"\""; "\"") else .[1] | sub("\\s+$"; "") end]
            | if . == [] then [""] else . end | map(literal) | join(", ") end;
    def properties($name): ($name | identifier) as $database | . as $properties
        | [.owner, "ALTER DATABASE \($database) OWNER TO \(.owner | identifier)"],
          (select(.connection_limit != -1) | [null, "ALTER DATABASE \($database) CONNECTION LIMIT \(.connection_limit)"]),
          (select(.comment != null) | [null, "COMMENT ON DATABASE \($database) IS \(.comment | literal)"]),
          (.settings[] | if .role == null then [null, "ALTER DATABASE \($database) SET \(.name | identifier) = \(value)"]
            else [.role, "ALTER ROLE \(.role | identifier) IN DATABASE \($database)"
                + " SET \(.name | identifier) = \(value)"] end),
          (select(.grants != null)
            | [.owner, "REVOKE ALL ON DATABASE \($database) FROM PUBLIC, \(.owner | identifier)"],
            (.grants[] | select(.privilege | test("^[A-Z ]+$")) | [if .grantee == "" then null else .grantee end,
              "GRANT \(.privilege) ON DATABASE \($database) TO "
              + if .grantee == "" then "PUBLIC" else .grantee | identifier end
              + if .grantable then " WITH GRANT OPTION" else "" end]));
    def copy: ([.schema_name, .name] | map(identifier) | join(".")) as $table
        | "TRUNCATE ONLY \($table)",
          "COPY \($table) \(if .columns == [] then "" else "(\(.columns | map(identifier) | join(",")))" end)";'

readonly EXISTING="SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles"

# One statement, by the database that is always there. Never a script: psql would obey what is in it.
run() {
    [ -n "$1" ] && psql -X -q -w -A -t -v ON_ERROR_STOP=1 -d "${PGDATABASE:-postgres}" -c "$1"
}

# A statement about the chosen database, made by jq, in $statement.
sql() {
    statement=$(jq -rj --arg target "$target" --arg incomplete "${incomplete:-}" "$SQL $1" "$work/database"; printf ' ')
    [ "$statement" != ' ' ] || die 1 "jq failed." "This is a defect of restore.sh; README.md has the steps by hand."
}

open_server_index() {
    need psql pg_restore
    choose "$1"
    open_index
    [ "$kind" = postgres ] || die $REFUSED "$1 is no backup of databases." "Use: files, tree."
}

restore_roles() {
    open_server_index "$1"
    whole "$(jq .globals_part "$work/index")" "$work/globals"
    existing=$(run "$EXISTING")
    jq -rRs --argjson existing "$existing" --arg bootstrap "$(jq -r .bootstrap_role "$work/index")" '
        def name: if startswith("\"") then .[1:-1] | gsub("\"\""; "\"") else . end;
        def role: "(?<role>\"(?:[^\"]|\"\")+\"|[A-Za-z_][A-Za-z0-9_$]*)";
        def about: capture("^(?:CREATE|ALTER|COMMENT ON) ROLE " + role), 
            capture("^GRANT (?:\"(?:[^\"]|\"\")+\"|[A-Za-z_][A-Za-z0-9_$]*) TO " + role),
            capture("^GRANT [A-Z, ]+ ON PARAMETER (?:\"(?:[^\"]|\"\")+\"|[A-Za-z_][A-Za-z0-9_$]*) TO (?!PUBLIC\\b)" + role);
        def statements: reduce (match("--[^\n]*|\\\\(?:un)?restrict\\b[^\n]*|E\u0027(?:[^\u0027\\\\]|\\\\(?:.|\n)|\u0027\u0027)*\u0027|\u0027(?:[^\u0027]|\u0027\u0027)*\u0027|\"(?:[^\"]|\"\")*\"|;|[^-\u0027\";E\\\\]+|(?:.|\n)"; "g").string) as $piece
            ({text: "", all: []}; if $piece == ";" then {text: "", all: (.all + [.text])}
             elif $piece | test("^(?:--|\\\\)") then . else .text += $piece end) | .all[] | gsub("^\\s+|\\s+$"; "");
        statements | select(test("^SET\\b") | not) | . as $text | [about][0] // empty | .role | name | . as $role
        | if $role == $bootstrap or ($existing | index($role)) then ["left", $role]
          else ["create", ($text | sub(" GRANTED BY (?:\"(?:[^\"]|\"\")+\"|[A-Za-z_][A-Za-z0-9_$]*)$"; ""))] end
        | @tsv' "$work/globals" >"$work/roles"
    while IFS=$tab read -r what text <&3; do
        [ "$what" = create ] || continue
        run "$(printf %b "$text")" || die 1 "This was refused: $text" "Restore as a user who may create roles."
    done 3<"$work/roles"
    sed -n "s/^left$tab//p" "$work/roles" | sort -u | sed 's/^/left as it was: role /'
    note "The roles that were created have no password: issue new ones."
}

# restore_database SOURCE DATABASE TARGET [TABLE]
restore_database() {
    target=$3 only=${4:-}
    open_server_index "$1"
    jq -e --arg name "$2" '.databases[] | select(.name == $name)' "$work/index" >"$work/database" ||
        die $REFUSED "$backup holds no database '$2'." "It holds: $(jq -r '[.databases[].name] | join(", ")' "$work/index")."
    list_tables "$only"
    [ "$(printf %s "$target" | wc -c)" -le 63 ] && [ -n "$target" ] ||
        die $USAGE "'$target' is no name for a database: 1 to 63 bytes." "Choose another TARGET."
    version=$(run 'SHOW server_version_num') ||
        die 1 "The server does not answer." "PGHOST, PGPORT, PGUSER and PGPASSFILE name it."
    [ $((version / 10000)) -ge "$(jq '.server_version_number / 10000 | floor' "$work/index")" ] ||
        die $REFUSED "The backup is of PostgreSQL $(jq -r .server_version "$work/index"), and the server is older." \
            "Restore into a server of that major version, or a newer one."
    sql '"SELECT 1 FROM pg_database WHERE datname = " + ($target | literal)'
    present=$(run "$statement")
    [ -z "$present" ] || die $REFUSED "The server has a database '$target' already, and it is never written to." \
        "Choose another TARGET, or rename the old one."
    build_database
}

# The tables to load: part, offset, length, rows, SHA-256, label, TRUNCATE, COPY.
list_tables() {
    jq -r --arg only "$1" "$SQL"' .properties.encoding as $encoding | .tables[] | "\(.schema_name).\(.name)" as $called
        | select($only == "" or $called == $only)
        | [.part, .offset, .length, .rows, .sha256, $called, copy]
        | .[7] += " FROM STDIN (FREEZE, ENCODING \($encoding | literal))" | @tsv' "$work/database" >"$work/unsorted"
    sort -s -t "$tab" -k 1,1n -k 2,2n -k 3,3n "$work/unsorted" >"$work/tables"
    count=$(jq '.tables | length' "$work/database")
    [ -z "$1" ] || count=1
    [ "$(wc -l <"$work/tables")" -eq "$count" ] || die $REFUSED "There is no table '$1', or more than one." \
        "Write it as schema.table; sh restore.sh tables lists them."
}

build_database() {
    incomplete=lifeboat-incomplete-$random
    parts=$(awk -F'\t' '$1 != last { print $1 } { last = $1 }' "$work/tables")
    others=$(jq '.schema_part, .rest_part' "$work/database")
    for number in $others $parts; do
        check_part "$number"
    done
    schema=$work/schema
    whole "$(jq .schema_part "$work/database")" "$schema"
    sql '.properties | create($incomplete)'
    run "$statement" ||
        die 1 "The database could not be created." "The server needs the old one's locale, and you the right to create."
    unfinished="The unfinished database is called $incomplete; drop it: dropdb $incomplete"
    restore_section pre-data
    for number in $parts; do
        load_part "$number"
    done
    [ -n "$only" ] || load_rest
    restore_section post-data
    give_properties
    sql '"ALTER DATABASE \($incomplete | identifier) RENAME TO \($target | identifier)"'
    run "$statement" ||
        die 1 "The database is whole, but could not become '$target'." "$unfinished"
    erase_again
    note "restored: $(awk -F'\t' '{ rows += $4 } END { print NR " tables, " rows + 0 " rows" }' "$work/tables")"
    [ -z "$only" ] || note "Foreign keys, triggers and sequence values were left out: they tie the table to others."
}

erase_again() {
    note "Whoever was erased after $(field .data_timestamp) is back: erase them again before anybody works with it."
}

restore_section() {
    set -- --section="$1"
    if [ -n "$only" ] && [ "$1" = --section=post-data ]; then
        pg_restore --list "$schema" >"$work/entries"
        grep -av -e ' FK CONSTRAINT ' -e ' TRIGGER ' -e ' EVENT TRIGGER ' \
            -e ' MATERIALIZED VIEW DATA ' -e ' PUBLICATION ' -e ' SUBSCRIPTION ' -e ' COMMENT .* CONSTRAINT ' \
            "$work/entries" >"$work/list"
        set -- "$@" --use-list="$work/list"
    fi
    pg_restore --exit-on-error --no-password --no-tablespaces --format=custom -d "$incomplete" "$@" "$schema" ||
        die 1 "pg_restore failed at $1." "$unfinished"
}

load_part() {
    part "$1"
    rm -f "$work/wrong"
    awk -F'\t' -v number="$1" '$1 == number' "$work/tables" >"$work/rows"
    cut -f 2- "$work/rows" >"$work/here"
    plain "$sealed" | copy_tables || true
    [ ! -s "$work/wrong" ] || die "$(head -n 1 "$work/wrong")" "$(tail -n +2 "$work/wrong")" "$unfinished"
    ended_well "$sealed"
    [ -f "$work/loaded" ] || die 1 "Loading $sealed was cut off." "$unfinished"
    rm "$work/loaded"
}

# Cuts a part into its tables. Says in $work/wrong what went wrong, and makes $work/loaded when all went well.
copy_tables() {
    position=0
    while IFS=$tab read -r offset length rows sum label truncate copy <&3; do
        [ "$offset" -eq "$position" ] || head -c $((offset - position)) >/dev/null
        position=$((offset + length))
        copy_table || return 1
    done 3<"$work/here"
    cat >/dev/null
    : >"$work/loaded"
}

copy_table() {
    truncate=$(printf %b. "$truncate") copy=$(printf %b. "$copy")
    rm -f "$work/mismatch"
    if ! table_stream | psql -X -w -1 -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -d "$incomplete" \
        -c "${truncate%.}" -c "${copy%.}" >"$work/answer" 2>"$work/message"; then
        if [ -f "$work/mismatch" ] && grep -q ' 22P04: ' "$work/message"; then
            printf '%s\nTable %s is not what was dumped: it ends early, or has another SHA-256.\n' "$SECURITY" "$label"
        else
            printf '1\nTable %s: %s\n' "$label" "$(head -n 3 "$work/message" | tr '\n' ' ')"
        fi >"$work/wrong"
        return 1
    fi
    taken=$(sed -n 's/^COPY //p' "$work/answer")
    [ "$taken" = "$rows" ] || {
        printf '%s\nTable %s: the server took %s rows of %s.\n' "$SECURITY" "$label" "$taken" "$rows" >"$work/wrong"
        return 1
    }
}

# One table's stream. At its end psql still waits, with the transaction open: if the SHA-256 is not the index's, a last
# line that no table can take makes the server throw all of it away.
table_stream() {
    rm -f "$work/fifo" "$work/digest"
    mkfifo "$work/fifo"
    sha256sum <"$work/fifo" >"$work/digest" &
    head -c "$length" | tee "$work/fifo"
    wait
    [ "$(cut -d ' ' -f 1 "$work/digest")" = "$sum" ] || {
        : >"$work/mismatch"
        printf '%2000s\n' '' | tr ' ' '\t' 2>/dev/null
    }
}

# What is in no ordinary table goes to pg_restore as it comes; its SHA-256 is compared before the database gets its name.
load_rest() {
    number=$(jq .rest_part "$work/database")
    part "$number"
    rm -f "$work/fifo" "$work/digest"
    mkfifo "$work/fifo"
    sha256sum <"$work/fifo" >"$work/digest" &
    plain "$sealed" | tee "$work/fifo" | {
        status=0
        pg_restore --exit-on-error --no-password --no-tablespaces --format=custom --section=data -d "$incomplete" ||
            status=1
        cat >/dev/null
        exit $status
    } || die 1 "pg_restore failed at the data that is in no table." "$unfinished"
    wait
    ended_well "$sealed"
    [ "$(cut -d ' ' -f 1 "$work/digest")" = "$(plain_sum "$number")" ] ||
        die $SECURITY "$sealed holds something else than was sealed." "$unfinished"
}

# Owner, settings, grants, comment: what no dump of a database holds.
give_properties() {
    existing=$(run "$EXISTING")
    jq -r --arg incomplete "$incomplete" --argjson existing "$existing" "$SQL"' .properties | properties($incomplete)
        | .[0] as $needs | if $needs == null or ($existing | index($needs)) then ["run", .[1]]
          else ["without", "role \($needs) does not exist here: \(.[1])"] end | @tsv' "$work/database" >"$work/properties"
    while IFS=$tab read -r what text <&3; do
        if [ "$what" = run ]; then
            run "$(printf %b "$text")" || die 1 "This was refused: $text" "$unfinished"
        else
            note "left out: $text"
        fi
    done 3<"$work/properties"
}

# ----------------------------------------------------------------------------------------------------- trees

readonly INSIDE='def inside($paths): .path as $path
    | $paths == [] or any($paths[]; . == $path or (. as $top | $path | startswith($top + "/")));'

# Index lines as columns: kind, part, offset, SHA-256, mtime, mode, owner, path, target. Paths begin with ./ and are
# written for printf %b. mtime_ns is too long a number for jq, and is kept as text.
members() {
    tail -n +2 "$work/index" | sed 's/"mtime_ns":\(-\{0,1\}[0-9]*\)/"mtime_ns":"\1"/' | jq -r '
        def octal: . as $mode | "0" + ([512, 64, 8, 1] | map(($mode / . | floor) % 8 | tostring) | join(""));
        def percent: if contains("\\")
            then gsub("\\\\(?<it>\\\\|[0-7]{3})"; if .it == "\\" then "\\\\" else "\\0" + .it end) else . end;
        def placed: if (split("/") | any(. == "" or . == "." or . == "..")) or test("[\u0001-\u001f\u007f]")
            or (gsub("\\\\\\\\"; "") | test("\\\\(?:000|05[67])")) then error("a name that is none: \(.)") else "./" + percent end;
        def nanoseconds: (if startswith("-") then "-" else "" end) as $sign | ltrimstr("-")
            | (if length < 10 then "0" * (10 - length) + . else . end) | "\($sign)\(.[:-9]).\(.[-9:])";
        '"$INSIDE"'
        def above($paths): .kind == "directory" and (.path as $path | any($paths[]; startswith($path + "/")));
        $ARGS.positional as $paths | select(inside($paths) or above($paths))
        | [.kind, .part // 0, .offset // 0, .sha256 // "-", (.mtime_ns | nanoseconds),
           (if .mode == null then "-" else .mode | octal end),
           (if .uid == null then "-" else "\(.uid):\(.gid)" end), (.path | placed),
           (if .kind == "hardlink" then .target | placed elif .kind == "symlink" then .target | percent else "-" end)]
        | join("\t")' --args "$@" >"$work/members" ||
        die $SECURITY "The index of $backup cannot be used." "Choose another: -b ID."
    [ $# -gt 0 ] || [ "$(wc -l <"$work/members")" -eq "$(head -n 1 "$work/index" | jq '.files + .directories + .links')" ] ||
        die $SECURITY "The index of $backup does not hold as many names as it says." "Choose another: -b ID."
}

# What follows is written to files and not piped: the left end of a pipe could fail without anybody noticing.

of_kind() {
    awk -F'\t' -v kind="$1" '$1 == kind' "$work/members" >"$work/kind"
}

# decode FROM TO: lines written for printf %b, as names that end in NUL.
decode() {
    xargs -r -d '\n' -a "$1" printf '%b\0' >"$2"
}

# names FROM COLUMN: that column of every line, as names that end in NUL, in $work/names.
names() {
    cut -f "$2" "$1" >"$work/column"
    decode "$work/column" "$work/names"
}

restore_tree() {
    source=$1 target=$2
    shift 2
    case $target in /*) ;; *) target=$PWD/$target ;; esac
    target=${target%/}
    refuse_existing
    choose "$source"
    open_index
    [ "$kind" != postgres ] || die $REFUSED "$source is no backup of files." "Use: databases, database."
    members "$@"
    [ -s "$work/members" ] || [ $# -eq 0 ] || die $REFUSED "Nothing in $backup has this path." "sh restore.sh files lists them."
    of_kind file
    mv "$work/kind" "$work/files"
    cut -f 2 "$work/files" >"$work/column"
    parts=$(sort -nu "$work/column")
    for number in $parts; do
        check_part "$number"
    done
    incomplete=$target.incomplete-$random
    unfinished="What was written lies in $incomplete; remove it."
    mkdir -p -- "$incomplete/tree"
    cd -- "$incomplete/tree"
    of_kind directory
    names "$work/kind" 8
    xargs -0 -r mkdir -- <"$work/names" || die 1 "Folders could not be made." "$unfinished"
    for number in $parts; do
        unpack_part "$number"
    done
    finish_tree
    cd /
    refuse_existing
    mv -T -- "$incomplete/tree" "$target" || die 1 "Everything is restored, but could not become $target." "$unfinished"
    rmdir -- "$incomplete"
    erase_again
    note "restored: $(wc -l <"$work/members") files, directories and links"
}

refuse_existing() {
    [ ! -e "$target" ] && [ ! -L "$target" ] ||
        die $REFUSED "$target exists already, and is never written to." "Choose another."
}

# Only names that the index gives to this part leave the archive, into a folder of their own that holds nothing else;
# there they must be plain files with the SHA-256 of the index before they join the others. No link exists before that.
unpack_part() {
    part "$1"
    awk -F'\t' -v number="$1" '$2 == number' "$work/files" >"$work/here"
    names "$work/here" 8
    mkdir ../part
    status=0
    plain "$sealed" | tar -x -f - -C ../part --no-same-owner --no-same-permissions --no-recursion --no-wildcards --null \
        --no-unquote -T "$work/names" 2>"$work/message" || status=$?
    ended_well "$sealed"
    [ "$status" -eq 0 ] || die $SECURITY "$sealed does not unpack: $(head -n 1 "$work/message")" "$unfinished"
    find ../part ! -type d \( ! -type f -o -links +1 \) -print -quit >"$work/strange"
    [ ! -s "$work/strange" ] || die $SECURITY "$sealed holds something else than files." "$unfinished"
    (cd ../part && xargs -0 -r sha256sum -- <"$work/names" >"$work/sums")
    sed 's/^\\//; s/ .*//' "$work/sums" >"$work/found"
    cut -f 4 "$work/here" >"$work/column"
    paste "$work/column" "$work/found" >"$work/pairs"
    awk -F'\t' '$1 != $2 { print NR; exit }' "$work/pairs" >"$work/wrong"
    [ ! -s "$work/wrong" ] || die $SECURITY \
        "$(sed -n "$(cat "$work/wrong")p" "$work/here" | cut -f 8) is not what was backed up: another SHA-256." "$unfinished"
    cp -al ../part/. . || die 1 "Files could not be put in place." "$unfinished"
    rm -rf ../part
}

finish_tree() {
    [ "$(find . -type f -printf x | wc -c)" -eq "$(wc -l <"$work/files")" ] ||
        die $SECURITY "The parts held other files than the index names." "$unfinished"
    settle file
    of_kind hardlink
    targets_and_paths
    xargs -0 -r -n 2 ln -T -- <"$work/names" ||
        die 1 "A file with several names could not get them all." "Ask for all of its names. $unfinished"
    of_kind symlink
    targets_and_paths
    xargs -0 -r -n 2 ln -s -T -- <"$work/names" || die 1 "Links could not be made." "$unfinished"
    settle symlink
    [ "$(find . -printf x | wc -c)" -eq $(($(wc -l <"$work/members") + 1)) ] ||
        die 1 "Not everything is there that should be." "$unfinished"
    settle directory
}

targets_and_paths() {
    awk -F'\t' '{ print $9; print $8 }' "$work/kind" >"$work/column"
    decode "$work/column" "$work/names"
}

# Owner (as root), mode and time of every entry of a kind, where they are not yet right. A directory's mode comes last
# and from the bottom up: it may close it.
settle() {
    of_kind "$1"
    cut -f 5-8 "$work/kind" >"$work/wanted"
    names "$work/wanted" 4
    if [ "$(id -u)" -eq 0 ]; then
        differing 3
        in_groups chown -h
    fi
    if [ "$1" = file ]; then
        differing 2
        in_groups chmod
    fi
    differing 1
    awk -F'\t' '{ print "-d@" $1; print $2 }' "$work/changes" >"$work/column"
    decode "$work/column" "$work/group"
    xargs -0 -r -n 2 -P 4 touch -h -m <"$work/group" || die 1 "Times could not be set." "$unfinished"
    for column in 1 2 3; do
        case $column$1 in 2directory | 2symlink) continue ;; 3*) [ "$(id -u)" -eq 0 ] || continue ;; esac
        differing $column
        [ ! -s "$work/changes" ] || die 1 "This file system does not keep modes, owners or times as they were." "$unfinished"
    done
    if [ "$1" = directory ]; then
        differing 2
        tac "$work/changes" >"$work/reversed"
        tr '\t' '\n' <"$work/reversed" >"$work/column"
        decode "$work/column" "$work/group"
        xargs -0 -r -n 2 chmod <"$work/group" || die 1 "Modes could not be set." "$unfinished"
    fi
}

# differing COLUMN: wanted value and path of the entries that have another: 1 time, 2 mode, 3 owner.
differing() {
    xargs -0 -r stat --printf '%.9Y\t0%04a\t%u:%g\n' -- <"$work/names" >"$work/found" ||
        die 1 "Not everything is there that should be." "$unfinished"
    paste "$work/wanted" "$work/found" >"$work/pairs"
    awk -F'\t' -v c="$1" '$c != "-" && ($c "") != ($(c + 4) "") { print $c "\t" $4 }' "$work/pairs" >"$work/changes"
}

in_groups() {
    cut -f 1 "$work/changes" >"$work/column"
    sort -u "$work/column" >"$work/values"
    while IFS= read -r value <&3; do
        awk -F'\t' -v value="$value" '($1 "") == (value "") { print $2 }' "$work/changes" >"$work/column"
        decode "$work/column" "$work/group"
        xargs -0 -r "$@" "$value" -- <"$work/group" || die 1 "$1 $value was refused." "$unfinished"
    done 3<"$work/values"
}

# -------------------------------------------------------------------------------------------------- commands

list_chain() {
    read_chain "$1"
    awk -F'\t' '$2 == "bad" { printf "%8d  %-8s %s\n", $1, "DAMAGED", $3; next }
        { printf "%8d  %-8s %s  data of %s  %.1f MB, %.1f MB before compression\n", $1, $4, $3, $5, $9 / 1e6, $8 / 1e6 }' \
        "$work/chain"
    doubts
    sed 's/^/doubt: /' "$work/doubts"
    rm -f "$work"/manifest.*
}

list_all() {
    (cd "$folder" && ls) | sed -n 's/^\([a-z0-9][a-z0-9-]*\)\.[0-9]\{8\}\.manifest\.json$/\1/p' | sort -u >"$work/chains"
    [ -s "$work/chains" ] || die $REFUSED "$folder holds no manifest." "Is it the environment's folder of the store?"
    while IFS= read -r name <&4; do
        echo "$name"
        list_chain "$name"
    done 4<"$work/chains"
}

needed() {
    jq -r '.index, .parts[], (.references // [])[] | "\(.name) \(.size) \(.sha256)"' "$work/manifest"
}

verify() {
    choose "$1"
    check_needed
    if [ -n "$identity" ]; then
        open_index
        echo "the identity opens it"
    fi
}

check_needed() {
    needed >"$work/needed"
    while read -r name size sum <&3; do
        object "$name" "$size" "$sum"
    done 3<"$work/needed"
    echo "all $(wc -l <"$work/needed") objects of $backup are what was signed"
}

fetch() {
    need sftp
    chain=$(printf %s "$1" | tr / -)
    remote=$(printf %s "$3" | sed 's/[\\"]/\\&/g')
    printf 'cd "%s"\nget %s.*.manifest.json\n-get prune.*.record.json\n' "$remote" "$chain" >"$work/batch"
    transfer "$2"
    choose "$1"
    needed >"$work/needed"
    printf 'cd "%s"\n' "$remote" >"$work/batch"
    while read -r name size sum <&3; do
        [ -f "$folder/$name" ] && (object "$name" "$size" "$sum") 2>/dev/null || echo "get $name" >>"$work/batch"
    done 3<"$work/needed"
    transfer "$2"
    check_needed
}

# Keys, passwords and ports as ssh knows them; a batch alone would refuse to ask for a password.
transfer() {
    (cd "$folder" && sftp -o BatchMode=no -b "$work/batch" "$1" >/dev/null) ||
        die 1 "sftp from $1 failed." "Can you log in with sftp $1, and is $folder yours to write?"
}

show_files() {
    source=$1
    shift
    choose "$source"
    open_index
    tail -n +2 "$work/index" | jq -r "$INSIDE"' $ARGS.positional as $paths | select(inside($paths))
        | "\(.size // 0)\t\(.kind)\t\(.path)"' --args "$@"
}

arguments() {
    [ "$2" -ge "$1" ] && [ "$2" -le "$3" ] || {
        usage >&2
        exit $USAGE
    }
}

main() {
    folder=${LIFEBOAT_FOLDER:-} environment=${LIFEBOAT_ENVIRONMENT:-} public_keys=${LIFEBOAT_PUBLIC_KEYS:-}
    identity=${LIFEBOAT_IDENTITY_FILE:-} wanted=
    command=${1:-help}
    [ $# -eq 0 ] || shift
    while getopts f:e:k:i:b: option; do
        case $option in
        f) folder=$OPTARG ;;
        e) environment=$OPTARG ;;
        k) public_keys=$OPTARG ;;
        i) identity=$OPTARG ;;
        b) wanted=$OPTARG ;;
        *) arguments 1 0 0 ;;
        esac
    done
    shift $((OPTIND - 1))
    case $command in
    list) arguments 0 $# 1 ;;
    verify | databases | roles) arguments 1 $# 1 ;;
    tables) arguments 2 $# 2 ;;
    fetch | database) arguments 3 $# 3 ;;
    table) arguments 4 $# 4 ;;
    files) arguments 1 $# 10000 ;;
    tree) arguments 2 $# 10000 ;;
    *) arguments 1 0 0 ;;
    esac
    begin
    case $command in
    list) if [ $# -eq 1 ]; then list_chain "$1"; else list_all; fi ;;
    fetch) fetch "$@" ;;
    verify) verify "$1" ;;
    databases)
        open_server_index "$1"
        jq -r '.databases[] | "\(.name | @json)  \(.tables | length) tables, \([.tables[].rows] | add // 0) rows"' \
            "$work/index"
        ;;
    tables)
        open_server_index "$1"
        jq -r --arg name "$2" '.databases[] | select(.name == $name) | .tables[]
            | "\(.rows)\t\("\(.schema_name).\(.name)" | @json)"' "$work/index"
        ;;
    roles) restore_roles "$1" ;;
    database) restore_database "$@" ;;
    table) restore_database "$1" "$2" "$4" "$3" ;;
    files) show_files "$@" ;;
    tree) restore_tree "$@" ;;
    esac
}

main "$@"

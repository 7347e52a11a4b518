"""recovery/restore.sh brings backups back with standard tools and keys alone: no Python on the path, nothing of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.every_object import of, properties, roles, three_databases
from support.harbour import NEWEST, Harbour, make_ship, run
from support.postgres import MAJORS, dump_text
from support.sailing import Hull, Ship
from support.sshd import SSHD, account, public_line, running_sshd
from support.tree_sailing import TreeShip
from support.trees import make_hostile_tree, make_links_and_specials

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.signed import Signer
from lifeboat.stages.keygen import new_identity, new_signing_key

SCRIPT = Path(__file__).parents[2] / "recovery/restore.sh"
TOOLS = (
    *(
        "age",
        "age-keygen",
        "zstd",
        "tar",
        "jq",
        "openssl",
        "sha256sum",
        "base64",
        "awk",
        "grep",
        "sed",
        "find",
        "xargs",
    ),
    *(
        "cat",
        "chmod",
        "chown",
        "cmp",
        "cp",
        "cut",
        "head",
        "id",
        "ln",
        "ls",
        "mkdir",
        "mkfifo",
        "mktemp",
        "mv",
        "od",
    ),
    *("paste", "printf", "rm", "rmdir", "sort", "stat", "tac", "tail", "tee", "touch", "tr", "uniq", "wc"),
)

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
REFUSED, SECURITY = 4, 6


@dataclass
class Island:
    """A machine with nothing but standard tools, the folder of the store, and keys."""

    folder: Path
    ship: Hull
    server: PostgresServer | None = None
    shell: str = SHELLS[0]
    environment: str = "demo"

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.store = self.ship.store.folder  # type: ignore[attr-defined]
        (self.folder / "identity").write_text(self.ship.escrow.identity)  # type: ignore[attr-defined]
        keys = new_signing_key().public_pem + self.ship.signing.public_pem  # type: ignore[attr-defined]
        (self.folder / "keys.pem").write_text(keys)

    def variables(self) -> dict[str, str]:
        return (self.server.environment() if self.server else {}) | {
            "PATH": str(self.tools()),
            "LIFEBOAT_FOLDER": str(self.store),
            "LIFEBOAT_ENVIRONMENT": self.environment,
            "LIFEBOAT_PUBLIC_KEYS": str(self.folder / "keys.pem"),
            "LIFEBOAT_IDENTITY_FILE": str(self.folder / "identity"),
        }

    def begin(self, *arguments: str | bytes) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [shutil.which(self.shell) or "", str(SCRIPT), *arguments],
            env=self.variables(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def restore(self, *arguments: str | bytes, code: int = 0) -> str:
        """What the script says, on both outputs, once it ended with ``code``."""
        process = self.begin(*arguments)
        out, err = (text.decode(errors="surrogateescape") for text in process.communicate(timeout=240))
        assert left_in_memory(process) == []  # nothing decrypted stays
        assert process.returncode == code, out + err
        assert "AGE-SECRET-KEY" not in out + err
        return out + err

    def tools(self) -> Path:
        folder = self.folder / "bin"
        if not folder.exists():
            folder.mkdir()
            for tool in TOOLS:
                (folder / tool).symlink_to(shutil.which(tool) or "")
            for tool in ("psql", "pg_restore") if self.server else ():
                (folder / tool).symlink_to(self.server.program(tool, NEWEST))
        return folder


def left_in_memory(process: subprocess.Popen[bytes]) -> list[Path]:
    return list(Path("/dev/shm").glob(f"lifeboat-recovery-{process.pid}-*"))


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def databases(server: PostgresServer) -> set[str]:
    with server.connect() as session:
        return {str(name) for (name,) in session.execute("SELECT datname FROM pg_database").fetchall()}


# ------------------------------------------------------------------------------------------------- databases


@pytest.mark.postgres
@pytest.mark.parametrize("major", MAJORS[-1:])
def test_every_kind_of_object_comes_back_equal_on_a_bare_server(
    clean_harbour: Harbour, tmp_path: Path, major: int, shell: str
) -> None:
    home, away = of(clean_harbour, major, "main"), of(clean_harbour, major, "away")
    three_databases(home)
    ship = make_ship(home, tmp_path, "every", "latin", "ascii")
    ship.backup()
    island = Island(tmp_path / "island", ship, away, shell)

    island.restore("roles", "main/databases")
    for name in ("every", "latin", "ascii"):
        island.restore("database", "main/databases", name, f"{name} back")

    assert roles(away) == roles(home)
    for name in ("every", "latin", "ascii"):
        assert dump_text(away, f"{name} back", major) == dump_text(home, name, major)
        assert properties(away, f"{name} back") == properties(home, name)


ODD = ["-d \"quoted\" 'name'", "back\\slash\tand\nline", "dbname=postgres host=x", "postgresql://x/y"]


@pytest.mark.postgres
def test_names_with_anything_in_them(clean_harbour: Harbour, tmp_path: Path, shell: str) -> None:
    server = of(clean_harbour, NEWEST, "main")
    for name in ODD:
        quoted = name.replace('"', '""')
        run(server, "postgres", f'CREATE DATABASE "{quoted}"')
        run(
            server,
            name,
            f"""CREATE TABLE "{quoted}" ("{quoted}" text, "\\c" int); CREATE TABLE "a.b" (); CREATE TABLE empty (n int);
                INSERT INTO "{quoted}" VALUES (E'\\\\.', 1), (E'a\\tb\\nc', 2), ('', 3), (NULL, 4);
                INSERT INTO "a.b" DEFAULT VALUES; INSERT INTO "a.b" DEFAULT VALUES""",
        )
    ship = make_ship(server, tmp_path, *ODD)
    ship.backup()
    island = Island(tmp_path / "island", ship, server, shell)

    for name in ODD:
        island.restore("database", "main/databases", name, f"{name}\n2")

    for name in ODD:
        assert dump_text(server, f"{name}\n2", NEWEST) == dump_text(server, name, NEWEST)


@pytest.fixture
def ship(clean_harbour: Harbour, tmp_path: Path) -> Ship:
    server = of(clean_harbour, NEWEST, "main")
    run(server, "postgres", "CREATE DATABASE shop")
    run(
        server,
        "shop",
        """CREATE TABLE t AS SELECT n AS id, md5(n::text) AS words FROM generate_series(1, 20000) n;
           ALTER TABLE t ADD PRIMARY KEY (id);
           CREATE TABLE u (id int REFERENCES t, n serial);
           INSERT INTO u SELECT n FROM generate_series(1, 500) n;
           SELECT lo_from_bytea(0, 'large')""",
    )
    ship = make_ship(server, tmp_path, "shop")
    ship.backup()
    return ship


@pytest.fixture
def island(ship: Ship, tmp_path: Path) -> Island:
    return Island(tmp_path / "island", ship, ship.server)


def newest(ship: Hull) -> dict[str, object]:
    manifest = ship.catalog().entries[-1].manifest
    return {
        "manifest": manifest.file_name,
        "index": manifest.index.name,
        "parts": [p.name for p in manifest.parts],
    }


def largest_part(island: Island) -> Path:
    return max(
        (island.store / name for name in newest(island.ship)["parts"]), key=lambda path: path.stat().st_size
    )


@pytest.mark.postgres
def test_newest_good_backup_is_chosen_and_an_older_one_by_its_id(ship: Ship, island: Island) -> None:
    first = ship.catalog().entries[0].manifest.backup_id
    run(ship.server, "shop", "DELETE FROM u WHERE id > 10")
    second = ship.backup().manifest
    run(ship.server, "shop", "DELETE FROM u; DELETE FROM t")
    suspect = ship.backup().manifest
    assert (second.quality, suspect.quality) == ("good", "suspect")

    said = island.restore("list")
    assert all(entry.manifest.backup_id in said for entry in ship.catalog().entries)
    assert "doubt" not in said
    island.restore("database", "main/databases", "shop", "newest")
    island.restore("database", "-b", first, "main/databases", "shop", "first")
    assert "called suspect" in island.restore("verify", "-b", suspect.backup_id, "main/databases")

    with ship.server.connect("newest") as session:
        assert session.execute("SELECT count(*) FROM u").fetchone() == (10,)
    with ship.server.connect("first") as session:
        assert session.execute("SELECT count(*) FROM u").fetchone() == (500,)


@pytest.mark.postgres
def test_one_table_comes_back_without_what_ties_it(ship: Ship, island: Island) -> None:
    assert '500\t"public.u"' in island.restore("tables", "main/databases", "shop")
    assert '"shop"  2 tables, 20500 rows' in island.restore("databases", "main/databases")

    said = island.restore("table", "main/databases", "shop", "public.u", "some")

    assert "were left out" in said
    with ship.server.connect("some") as session:
        assert session.execute("SELECT count(*), (SELECT count(*) FROM t) FROM u").fetchone() == (500, 0)


@pytest.mark.postgres
def test_what_exists_is_refused_before_anything_is_made(ship: Ship, island: Island) -> None:
    run(ship.server, "postgres", "CREATE DATABASE taken")
    before = databases(ship.server)

    assert "'taken' already" in island.restore("database", "main/databases", "shop", "taken", code=REFUSED)
    assert "no database 'fleet'" in island.restore("database", "main/databases", "fleet", "x", code=REFUSED)
    assert "no table 'public.v'" in island.restore(
        "table", "main/databases", "shop", "public.v", "x", code=REFUSED
    )
    island.restore("database", "main/databases", "shop", "ü" * 32, code=2)

    assert databases(ship.server) == before


def damages(path: Path, other: Path) -> Iterator[str]:
    """One damage after the other, each undone before the next; yields what it is."""
    raw = path.read_bytes()
    middle = len(raw) // 2
    flipped = raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
    path.chmod(0o600)
    for damage, content in (
        ("flipped bit", flipped),
        ("truncated", raw[:-1]),
        ("longer", raw + b"\n"),
        ("swapped", other.read_bytes()),
        ("empty", b""),
    ):
        path.write_bytes(content)
        yield damage
    path.unlink()
    yield "missing"
    path.write_bytes(raw)


@pytest.mark.postgres
def test_an_object_that_is_not_what_was_signed_is_refused_before_a_database_is_made(
    ship: Ship, island: Island
) -> None:
    """F26, F27."""
    before = databases(ship.server)
    part, index = largest_part(island), island.store / str(newest(ship)["index"])
    for path, other in ((part, index), (index, part)):
        for damage in damages(path, other):
            said = island.restore("database", "main/databases", "shop", "back", code=SECURITY)
            assert path.name in said, damage
            assert path.name in island.restore("verify", "main/databases", code=SECURITY), damage

    assert databases(ship.server) == before
    assert re.search(
        "all [0-9]+ objects .* are what was signed\nthe identity opens it",
        island.restore("verify", "main/databases"),
    )


@pytest.mark.postgres
def test_a_wrong_identity_is_told_with_the_fingerprints_that_would_do(ship: Ship, island: Island) -> None:
    (island.folder / "identity").write_text(new_identity().identity)
    before = databases(ship.server)

    said = island.restore("database", "main/databases", "shop", "back", code=REFUSED)

    assert all(fingerprint in said for fingerprint in ship.catalog().entries[0].manifest.recipients)
    assert databases(ship.server) == before


@pytest.mark.postgres
def test_the_identity_for_indexes_opens_no_part(ship: Ship, island: Island) -> None:
    (island.folder / "identity").write_text(ship.index.identity)  # type: ignore[attr-defined]
    assert "does not open" in island.restore("database", "main/databases", "shop", "back", code=REFUSED)
    assert "back" not in databases(ship.server)


def forgeries(path: Path) -> dict[str, bytes]:
    """Files in the place of a manifest, by what the script says of them."""
    raw = path.read_bytes()
    envelope = json.loads(raw)
    statement = envelope["statement"]
    stranger = Signer.from_pem(new_signing_key().private_pem)
    return {
        "was altered": canonical_bytes({**envelope, "statement": {**statement, "day": "2020-01-01"}}),
        "was altered after": canonical_bytes({**envelope, "signature": ""}),
        "none of those given": stranger.sign(statement),
        "not a signed statement": raw * 2,
        "is not a signed statement": json.dumps(envelope, indent=1).encode(),
        "1 is not a signed statement": b"",
    }


@pytest.mark.postgres
def test_a_manifest_that_is_not_the_one_that_was_signed_for_this_place_counts_for_nothing(
    ship: Ship, island: Island
) -> None:
    """F28, F29."""
    path = island.store / str(newest(ship)["manifest"])
    raw = path.read_bytes()
    path.chmod(0o600)

    for said, forged in forgeries(path).items():
        path.write_bytes(forged)
        assert said in island.restore("database", "main/databases", "shop", "back", code=REFUSED)
    path.write_bytes(raw)
    island.environment = "production"
    assert "belongs to environment demo, not to production" in island.restore(
        "database", "main/databases", "shop", "back", code=REFUSED
    )
    island.environment = "demo"
    path.rename(path.with_name("main-databases.00000007.manifest.json"))
    assert "was signed as place 1 of main-databases" in island.restore(
        "database", "main/databases", "shop", "back", code=REFUSED
    )

    assert "back" not in databases(ship.server)


@pytest.mark.postgres
def test_gaps_forks_and_torn_places_of_a_chain_are_told_apart(ship: Ship, island: Island) -> None:
    for _ in range(2):
        ship.backup()
    (island.store / "main-databases.00000004.manifest.json").write_text('{"torn')
    ship.backup()
    assert ship.catalog().torn == (4,)
    assert "doubt" not in island.restore("list", "main/databases")

    second = island.store / "main-databases.00000002.manifest.json"
    envelope = json.loads(second.read_bytes())
    again = Signer.from_pem(ship.signing.private_pem).sign({**envelope["statement"], "run_id": "run-other"})  # type: ignore[attr-defined]
    second.chmod(0o600)
    second.write_bytes(again)
    assert "doubt: place 2 is not the manifest that place 3 was linked to" in island.restore(
        "list", "main/databases"
    )

    second.unlink()
    assert "doubt: place 2 is missing" in island.restore("verify", "main/databases")


@pytest.mark.postgres
def test_what_a_prune_record_names_is_no_gap(ship: Ship, island: Island) -> None:
    for _ in range(2):
        ship.backup()
    ship.prune_oldest()
    assert not list(island.store.glob("main-databases.00000001.*"))
    ship.backup()

    assert "doubt" not in island.restore("list")


@pytest.mark.postgres
def test_content_that_differs_from_the_sealed_index_is_never_committed(
    ship: Ship, island: Island, tmp_path: Path
) -> None:
    """A part whose signed SHA-256 fits, but whose table does not: only the index inside tells."""
    path = largest_part(island)
    recipients = [ship.operations.recipient, ship.escrow.recipient]  # type: ignore[attr-defined]
    plain = subprocess.run(
        f"age -d -i {island.folder / 'identity'} {path} | zstd -dqc",
        shell=True,
        capture_output=True,
        check=True,
    ).stdout
    assert plain.count(b"1\tc4ca4238a0b923820dcc509a6f75849b\n") == 1
    wrong = plain.replace(b"1\tc4ca4238a0b923820dcc509a6f75849b\n", b"1\tc4ca4238a0b923820dcc509a6f75849c\n")
    reseal(ship, island, path, wrong, recipients)

    said = island.restore("database", "main/databases", "shop", "back", code=SECURITY)

    assert "is not what was dumped" in said
    assert "back" not in databases(ship.server)
    (incomplete,) = (name for name in databases(ship.server) if name.startswith("lifeboat-incomplete-"))
    with ship.server.connect(incomplete) as session:
        assert session.execute("SELECT count(*) FROM t").fetchone() == (0,)


def reseal(ship: Ship, island: Island, path: Path, plain: bytes, recipients: list[str]) -> None:
    """Another content under the same name, with manifest and index signed and sealed anew, table digests left alone."""

    def seal(data: bytes) -> bytes:
        options = " ".join(f"-r {recipient}" for recipient in recipients)
        return subprocess.run(
            f"zstd -qc | age {options}", shell=True, input=data, capture_output=True, check=True
        ).stdout

    def stored(name: str, sealed: bytes) -> dict[str, object]:
        target = island.store / name
        target.chmod(0o600)
        target.write_bytes(sealed)
        digest = (
            subprocess.run(["sha256sum"], input=sealed, capture_output=True, check=True).stdout[:64].decode()
        )
        return {"name": name, "size": len(sealed), "sha256": digest}

    manifest = island.store / str(newest(ship)["manifest"])
    statement = json.loads(manifest.read_bytes())["statement"]
    index_path = island.store / statement["index"]["name"]
    index = json.loads(
        subprocess.run(
            f"age -d -i {island.folder / 'identity'} {index_path} | zstd -dqc",
            shell=True,
            capture_output=True,
            check=True,
        ).stdout
    )
    new = stored(path.name, seal(plain))
    statement["parts"] = [new if part["name"] == path.name else part for part in statement["parts"]]
    index["parts"] = [part | new if part["name"] == path.name else part for part in index["parts"]]
    statement["index"] = stored(index_path.name, seal(json.dumps(index).encode()))
    manifest.chmod(0o600)
    manifest.write_bytes(Signer.from_pem(ship.signing.private_pem).sign(statement))  # type: ignore[attr-defined]


@pytest.mark.postgres
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_leaves_no_database_of_the_targets_name(
    ship: Ship, island: Island, ending: signal.Signals
) -> None:
    with ship.server.connect("shop") as session:
        session.execute("INSERT INTO t SELECT n, md5(n::text) FROM generate_series(20001, 600000) n")
    ship.backup()
    process = island.begin("database", "main/databases", "shop", "back")
    deadline = time.monotonic() + 60
    while not any(name.startswith("lifeboat-incomplete-") for name in databases(ship.server)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, ending)
    process.communicate(timeout=60)
    for left in left_in_memory(process):
        assert ending == signal.SIGKILL  # nothing can tidy up after it; README.md says so
        shutil.rmtree(left)

    assert process.returncode != 0
    assert "back" not in databases(ship.server)

    island.restore("database", "main/databases", "shop", "back")
    assert dump_text(ship.server, "back", NEWEST) == dump_text(ship.server, "shop", NEWEST)


# ----------------------------------------------------------------------------------------------------- trees


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    top = tmp_path / "documents"
    top.mkdir()
    make_hostile_tree(top)
    make_links_and_specials(top)
    (top / "old").write_text("before 1970")
    os.utime(top / "old", ns=(-1_500_000_001, -1_500_000_001))
    (top / "closed").mkdir()
    (top / "closed/file").write_text("in a closed folder")
    (top / "sticky").mkdir()
    (top / "sticky").chmod(0o1777)
    (top / "-n link").symlink_to("a")
    (top / "large").write_bytes(os.urandom(3_000_000))
    if os.geteuid() == 0:
        os.chown(top / "a/inner", 1234, 4321)
        os.chown(top / "out", 12, 34, follow_symlinks=False)
    for path in (top / "a/b", top / "out"):
        os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789), follow_symlinks=False)
    (top / "closed").chmod(0o500)
    return top


@pytest.fixture
def tree_ship(documents: Path, tmp_path: Path) -> TreeShip:
    (tmp_path / "store").mkdir()
    return TreeShip(
        store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=LocalTreeTarget(str(documents))
    )


def facts(top: Path) -> dict[bytes, tuple[object, ...]]:
    """All that a restore must bring back, by path; of hard links also the first name. Specials are not backed up."""
    found: dict[bytes, tuple[object, ...]] = {}
    first: dict[int, Path] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content: bytes = b""
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        elif not path.is_dir():
            continue
        other = first.setdefault(status.st_ino, path.relative_to(top))
        known = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content, other)
        found[os.fsencode(path.relative_to(top))] = known
    return found


def test_a_tree_comes_back_equal(tree_ship: TreeShip, documents: Path, tmp_path: Path, shell: str) -> None:
    tree_ship.backup()
    before = facts(documents)

    island = Island(tmp_path / "island", tree_ship, shell=shell)
    said = island.restore("tree", "main/files", str(tmp_path / "-back 'to'"))

    assert facts(tmp_path / "-back 'to'") == before
    assert len(before) > 60
    assert "restored:" in said
    assert not list(tmp_path.glob("*incomplete*"))


def test_parts_of_older_backups_are_found_in_the_same_folder(
    tree_ship: TreeShip, documents: Path, tmp_path: Path
) -> None:
    (documents / "many").mkdir()
    for number in range(200):
        (documents / f"many/{number}").write_bytes(os.urandom(4000))
    for path in documents.rglob("*"):
        if not path.is_symlink():
            os.utime(
                path, ns=(1_700_000_000_123_456_789,) * 2
            )  # one of this moment travels twice, to be sure
    tree_ship.backup()
    (documents / "many/new").write_text("new")
    (documents / "many/17").write_text("other")
    (documents / "many/18").unlink()
    manifest = tree_ship.backup().manifest
    assert manifest.references
    assert manifest.parts

    Island(tmp_path / "island", tree_ship).restore("tree", "main/files", "back")

    assert facts(tmp_path / "island/back") == facts(documents)


def test_chosen_paths_come_with_the_folders_above_them(
    tree_ship: TreeShip, documents: Path, tmp_path: Path
) -> None:
    tree_ship.backup()
    island = Island(tmp_path / "island", tree_ship)
    assert "\tfile\tno-utf8-\\377\\376\n" in island.restore("files", "main/files")
    assert "0\tdirectory\ta/b\n1\tfile\ta/b/c\n" in island.restore("files", "main/files", "a/b")

    island.restore("tree", "main/files", "some", "a/b", "no-utf8-\\377\\376", "new\\012line", "back\\\\slash")

    wanted = {b"a", b"a/b", b"a/b/c", b"no-utf8-\xff\xfe", b"new\nline", b"back\\slash"}
    everything = facts(documents)
    assert facts(tmp_path / "island/some") == {path: everything[path] for path in wanted}
    assert "Nothing in" in island.restore("tree", "main/files", "none", "nowhere", code=REFUSED)
    assert "all of its names" in island.restore("tree", "main/files", "none", "second", code=1)
    assert not (tmp_path / "island/none").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_a_folder_that_exists_is_refused(tree_ship: TreeShip, tmp_path: Path, kind: str) -> None:
    tree_ship.backup()
    island = Island(tmp_path / "island", tree_ship)
    target = tmp_path / "taken"
    match kind:
        case "folder":
            target.mkdir()
        case "file":
            target.write_text("")
        case _:
            target.symlink_to("nowhere")

    assert "exists already" in island.restore("tree", "main/files", str(target), code=REFUSED)


def test_a_damaged_part_is_refused_before_a_folder_is_made(tree_ship: TreeShip, tmp_path: Path) -> None:
    tree_ship.backup()
    island = Island(tmp_path / "island", tree_ship)
    path = largest_part(island)

    for damage in damages(path, island.store / str(newest(tree_ship)["index"])):
        assert path.name in island.restore("tree", "main/files", "back", code=SECURITY), damage

    assert not list((tmp_path / "island").glob("back*"))


def test_a_tool_that_fails_once_is_never_overlooked(tmp_path: Path) -> None:
    """A shell has no exceptions: whichever call fails, the tree is equal or the script says no."""
    top = tmp_path / "few"
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").write_text("content")
    (top / "a/other").hardlink_to(top / "a/b/file")
    (top / "link").symlink_to("a")
    for path in (top / "a/b/file", top / "a/b", top / "a"):
        os.utime(path, ns=(1_600_000_000_123_456_789,) * 2)
        path.chmod(0o750)
    if os.geteuid() == 0:
        for path in (top / "a/b/file", top / "a", top / "link"):
            os.chown(path, 1234, 4321, follow_symlinks=False)
    (tmp_path / "store").mkdir()
    ship = TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=LocalTreeTarget(str(top)))
    ship.backup()
    island = Island(tmp_path / "island", ship)
    program = island.tools() / "awk"  # nearly every list of the script passes through it
    real, calls, hit = program.resolve(), tmp_path / "calls", tmp_path / "hit"
    program.unlink()
    failures = 0

    for number in range(1, 100):
        calls.write_text("")
        hit.unlink(missing_ok=True)
        program.write_text(
            f"#!/bin/sh\necho >>{calls}\n[ $(/usr/bin/wc -l <{calls}) -ne {number} ] || {{ : >{hit}; exit 1; }}\n"
            f'exec {real} "$@"\n'
        )
        program.chmod(0o755)
        process = island.begin("tree", "main/files", f"back-{number}")
        process.communicate(timeout=60)
        if not hit.exists():
            break
        back = tmp_path / f"island/back-{number}"
        assert (process.returncode == 0) == back.exists(), number
        assert not back.exists() or facts(back) == facts(top), number
        failures += process.returncode != 0

    assert failures > 3
    assert process.returncode == 0


# ----------------------------------------------------------------------------------------------- over the wire


@pytest.mark.sshd
@pytest.mark.skipif(not SSHD or not shutil.which("sftp"), reason="no OpenSSH server and client are installed")
def test_what_one_backup_needs_is_fetched_over_sftp_and_nothing_else(documents: Path, tmp_path: Path) -> None:
    with account() as user, running_sshd(user) as server:
        ship = TreeShip(
            store=LocalTarget(server.folder), folder=tmp_path, tree=LocalTreeTarget(str(documents))
        )
        first = ship.backup().manifest
        (documents / "new").write_text("new")
        second = ship.backup().manifest
        shutil.chown(server.folder, user)
        for path in server.folder.iterdir():
            shutil.chown(path, user)
        island = Island(tmp_path / "island", ship)
        remote = str(server.folder)
        island.store = tmp_path / "copy"
        island.store.mkdir()
        configuration = tmp_path / "ssh_config"
        (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {public_line(server.host_key)}\n")
        (tmp_path / "key").write_bytes(server.key.export_private_key())
        (tmp_path / "key").chmod(0o600)
        configuration.write_text(
            f"Host nas\nHostname 127.0.0.1\nPort {server.port}\nUser {user}\nIdentityFile {tmp_path}/key\n"
            f"UserKnownHostsFile {tmp_path}/known\nStrictHostKeyChecking yes\nBatchMode yes\n"
        )
        sftp = island.tools() / "sftp"
        sftp.write_text(f'#!/bin/sh\nexec {shutil.which("sftp")} -F {configuration} "$@"\n')
        sftp.chmod(0o755)

        island.restore("fetch", "main/files", "nas", remote)
        (island.store / second.index.name).chmod(0o600)
        (island.store / second.index.name).write_bytes(b"cut off")
        island.restore("fetch", "main/files", "nas", remote)
        assert "sftp from nas failed" in island.restore(
            "fetch", "main/files", "nas", remote + "/nowhere", code=1
        )
        server.stop()
        assert "sftp from nas failed" in island.restore("fetch", "main/files", "nas", remote, code=1)

        names = {path.name for path in island.store.iterdir()}
        assert names == {first.file_name, second.file_name, *(needed.name for needed in second.needed)}
        island.restore("tree", "main/files", "back")
        assert facts(tmp_path / "island/back") == facts(documents)

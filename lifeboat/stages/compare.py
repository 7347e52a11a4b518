"""Compare: is a restored database what its backup's index says? Tables by digest, schema, sequences (P7)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from lifeboat.adapters.digesting import TableDigest, digest_tables
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer, Session, conninfo, server_major
from lifeboat.adapters.postgres_inventory import read_properties
from lifeboat.adapters.sealing import CopiedTable, Copies
from lifeboat.errors import SourceError
from lifeboat.model.backup_diff import property_changes
from lifeboat.model.index import Database, DatabaseProperties, Index, Table
from lifeboat.model.statements import differences, entries_of
from lifeboat.stages.dump import SESSION
from lifeboat.stages.private_folder import private_folder
from lifeboat.stages.restore import without_rows

BATCH = 64 * 2**20
"""Bytes of COPY text that one child reads for one answer."""


@dataclass(frozen=True)
class Difference:
    """``code`` says of which kind, and may be published; ``where`` names names, and is for the drill's own page."""

    code: str
    where: str


def compare_database(
    index: Index, database: Database, loader: Loader, server: PostgresServer, name: str, *, jobs: int
) -> list[Difference]:
    """Everything in which ``name`` on ``server`` is not what was backed up. Raises what reading it raises."""
    found = list(_table_differences(index, database, loader, server, name, jobs))
    with server.connect(name) as session:
        present = read_properties(session)
        found += _property_differences(database.properties, present)
        found += _sequences_behind(session)
        major = server_major(session)
    if major == index.server_major:
        found += _schema_differences(index, database, loader, server, name)
    return found


def _table_differences(
    index: Index, database: Database, loader: Loader, server: PostgresServer, name: str, jobs: int
) -> Iterator[Difference]:
    batches = _batches(database.tables)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        answers = pool.map(lambda batch: _digests(loader, server, name, database, batch), batches)
        for batch, digests in zip(batches, answers, strict=True):
            for table, digest in zip(batch, digests, strict=True):
                if digest.rows != table.rows:
                    yield Difference(
                        "row-count", f"{table.label}: {digest.rows:,} rows, backed up were {table.rows:,}"
                    )
                elif digest.sha256 != table.sha256 and not _same_rows(
                    index, database, loader, server, name, table
                ):
                    yield Difference(
                        "table-content", f"{table.label}: its rows are not those that were backed up"
                    )


def _batches(tables: Sequence[Table]) -> list[list[Table]]:
    """Large tables first, small ones together."""
    batches: list[list[Table]] = []
    held = BATCH + 1
    for table in sorted(tables, key=lambda table: -table.length):
        if held + table.length > BATCH:
            batches.append([])
            held = 0
        batches[-1].append(table)
        held += table.length
    return batches


def _digests(
    loader: Loader,
    server: PostgresServer,
    name: str,
    database: Database,
    tables: Sequence[Table],
    *,
    by_row: bool = False,
) -> list[TableDigest]:
    encoding = database.properties.encoding
    copies = Copies(
        label=f"compare {len(tables)} tables of {name}",
        connection=server.copy_settings(name, {"statement_timeout": "0"}),
        session=(*SESSION, "BEGIN READ ONLY"),
        tables=tuple(CopiedTable(table.schema_name, table.name, table.columns, encoding) for table in tables),
    )
    return digest_tables(copies, loader.crew, loader.deadline, by_row=by_row)


def _same_rows(
    index: Index, database: Database, loader: Loader, server: PostgresServer, name: str, table: Table
) -> bool:
    """Whether the rows are the same in another order: a page's left room takes a later row (design §3)."""
    (digest,) = _digests(loader, server, name, database, [table], by_row=True)
    return loader.row_sum(index.part(table.part), table) == digest.row_sum


def _property_differences(expected: DatabaseProperties, present: DatabaseProperties) -> Iterator[Difference]:
    for change in property_changes(expected, present):
        if change.name == "collation version":
            continue  # of this host's libraries
        code = "extension" if change.name.startswith("extension ") else "database-property"
        yield Difference(code, f"{change.name} is {change.after}, backed up was {change.before}")


_OWNED_SEQUENCES = """
SELECT s.oid::regclass::text, n.nspname, c.relname, a.attname
FROM pg_class s JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AND q.seqincrement > 0 AND NOT q.seqcycle
"""


def _sequences_behind(session: Session) -> Iterator[Difference]:
    """Sequences that would give numbers which their columns hold already: the first insert would fail."""
    for sequence, schema, table, column in session.execute(_OWNED_SEQUENCES).fetchall():
        row = session.execute(
            sql.SQL(
                "SELECT max({}) > (SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {}) FROM ONLY {}"
            ).format(
                sql.Identifier(str(column)), sql.SQL(str(sequence)), sql.Identifier(str(schema), str(table))
            )
        ).fetchone()
        if row and row[0]:
            yield Difference("sequence-behind", f"{sequence} is behind {schema}.{table}.{column}")


def _schema_differences(
    index: Index, database: Database, loader: Loader, server: PostgresServer, name: str
) -> Iterator[Difference]:
    """By what pg_dump says of both: the archive of the backup, and one of the restored database, as scripts."""
    with private_folder() as folder:
        backed_up = folder / "schema"
        loader.file(index.part(database.schema_part), backed_up)
        expected = entries_of(_as_script(server, index.server_major, backed_up))
        restored = folder / "restored"
        _dump_schema(server, index.server_major, name, restored)
        found = entries_of(_as_script(server, index.server_major, restored))
    missing, additional = differences(expected, found)
    yield from (Difference("schema-missing", text) for text in missing)
    yield from (Difference("schema-additional", text) for text in additional)


def _as_script(server: PostgresServer, major: int, archive: Path) -> str:
    argv = [server.program("pg_restore", major), "--file=-", str(archive)]
    return run_program(argv, server).decode(errors="surrogateescape")


def _dump_schema(server: PostgresServer, major: int, name: str, path: Path) -> None:
    argv = [
        server.program("pg_dump", major),
        "--format=custom",
        "--compress=0",
        "--section=pre-data",
        "--section=post-data",
        f"--file={path}",
        f"--dbname={conninfo(name)}",
    ]
    run_program(argv, server)


def run_program(argv: Sequence[str], server: PostgresServer) -> bytes:
    """What a program of PostgreSQL writes. Raises ``SourceError`` with its words, without rows in them."""
    done = subprocess.run(argv, env=server.environment(), capture_output=True, check=False)
    if done.returncode != 0:
        raise SourceError(f"{Path(argv[0]).name}: {without_rows(done.stderr)}")
    return done.stdout

"""Dump: which program produces the bytes of a part, and what its complaints mean.

``schema``, ``rest`` and ``globals`` come from pg_dump and pg_dumpall of the server's own major; ordinary tables from
``COPY``, with the session settings that pg_dump uses. What COPY takes is excluded from ``rest`` by name, so
that the two together are whole by construction: a table we did not list is in ``rest``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lifeboat.adapters.postgres import PostgresServer, conninfo
from lifeboat.adapters.postgres_inventory import TableFacts
from lifeboat.adapters.sealing import CopiedTable, Copies, Producer, Program
from lifeboat.errors import PreflightRefused, ProducerFailed
from lifeboat.model.index import IndexFinding
from lifeboat.model.parts import PartKind, PlannedPart
from lifeboat.stages.snapshot import FrozenDatabase, FrozenServer

ARGUMENT_LIMIT = 1_500_000
"""Bytes of arguments we dare to pass; Linux takes 2 MiB. From PostgreSQL 17 a filter is read from standard input."""

SESSION = (
    "SET search_path = ''",
    "SET datestyle = ISO",
    "SET intervalstyle = POSTGRES",
    "SET extra_float_digits = 3",
    "SET synchronize_seqscans = off",
    "SET row_security = off",
)

# Complaints that change nothing about the dump. Anything else is a finding; "not dumped" is a failure.
_HARMLESS = (
    r"there are circular foreign-key constraints",
    r"You might not be able to restore the dump without using --disable-triggers",
    r"Consider using a full dump instead of a --data-only dump",
)
_LOSSY = (r"not dumped", r"could not be (?:read|dumped)", r"skipping")


def producer(
    part: PlannedPart, frozen: FrozenServer, server: PostgresServer, *, lock_wait_ms: int
) -> Producer:
    """The program that writes this part. Raises ``PreflightRefused`` when it is not installed (F7)."""
    if part.kind is PartKind.GLOBALS:
        return _globals(frozen, server)
    database = frozen.database(part.database)
    if part.kind is PartKind.TABLES:
        tables = [database.tables[position] for position in part.tables]
        return _tables(database, tables, frozen, server, lock_wait_ms)
    return _archive(part.kind, database, frozen, server, lock_wait_ms)


def _globals(frozen: FrozenServer, server: PostgresServer) -> Program:
    argv = globals_command(server, frozen.major)
    return Program(label="pg_dumpall roles", argv=argv, environment=server.environment())


def globals_command(server: PostgresServer, major: int) -> tuple[str, ...]:
    """What writes a server's roles and tablespaces."""
    return (
        server.program("pg_dumpall", major),
        "--globals-only",
        # Password hashes stay out: a managed server hides them, and a vanilla one hands them to any reader.
        "--no-role-passwords",
        "--no-password",
        f"--database={server.maintenance_database}",
    )


def _archive(
    kind: PartKind, database: FrozenDatabase, frozen: FrozenServer, server: PostgresServer, lock_wait_ms: int
) -> Program:
    argv = [
        server.program("pg_dump", frozen.major),
        "--format=custom",
        "--compress=0",
        "--no-password",
        f"--snapshot={database.snapshot_id}",
        f"--lock-wait-timeout={lock_wait_ms}",
    ]
    script = ""
    if kind is PartKind.SCHEMA:
        argv += ["--section=pre-data", "--section=post-data"]
    elif frozen.major >= 17:
        argv += ["--section=data", "--filter=-"]
        # In a filter file, and there only, a backslash begins an escape: one too few, and the rows are dumped twice.
        patterns = (table_pattern(table).replace("\\", "\\\\") for table in database.tables)
        script = "".join(f"exclude table_data {pattern}\n" for pattern in patterns)
    else:
        excluded = [f"--exclude-table-data={table_pattern(table)}" for table in database.tables]
        if sum(len(argument.encode()) + 9 for argument in excluded) > ARGUMENT_LIMIT:
            raise PreflightRefused(
                f"Database {database.name!r} has {len(database.tables)} tables: too many names for one command line of "
                f"pg_dump {frozen.major}.",
                hint="PostgreSQL 17 and later have no such limit.",
            )
        argv += ["--section=data", *excluded]
    return Program(
        label=f"pg_dump {kind} of {database.name}",
        argv=(*argv, f"--dbname={conninfo(database.name)}"),
        # The patterns above are UTF-8, so pg_dump must speak it, too; only SQL_ASCII can be converted from nothing.
        environment=server.environment(
            encoding="SQL_ASCII" if database.properties.encoding == "SQL_ASCII" else "UTF8"
        ),
        script=script,
    )


def _tables(
    database: FrozenDatabase,
    tables: Sequence[TableFacts],
    frozen: FrozenServer,
    server: PostgresServer,
    lock_wait_ms: int,
) -> Copies:
    options = {
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "lock_timeout": str(lock_wait_ms),
    }
    if frozen.major >= 17:
        options["transaction_timeout"] = "0"
    label = tables[0].label if len(tables) == 1 else f"{len(tables)} tables"
    return Copies(
        label=f"copy {label} of {database.name}",
        connection=server.copy_settings(database.name, options),
        # A snapshot that cannot be imported ends the connection's work: COPY must never read another moment.
        session=(
            *SESSION,
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            f"SET TRANSACTION SNAPSHOT '{database.snapshot_id}'",
        ),
        # Names travel in UTF-8; the rows in the database's own encoding, byte for byte as they are stored.
        tables=tuple(
            CopiedTable(table.schema_name, table.name, table.columns, database.properties.encoding)
            for table in tables
        ),
    )


def quoted(name: str) -> str:
    """A quoted identifier, for a pattern of pg_dump."""
    return '"' + name.replace('"', '""') + '"'


def table_pattern(table: TableFacts) -> str:
    """A pg_dump pattern that matches this table only: inside double quotes nothing is special."""
    return f"{quoted(table.schema_name)}.{quoted(table.name)}"


def judge_complaints(label: str, complaints: Sequence[str]) -> list[IndexFinding]:
    """What a producer that ended well had to say (F5).

    Raises ``ProducerFailed`` for a complaint that means something was left out.
    """
    lines = [line for text in complaints for line in text.splitlines() if line.strip()]
    lossy = [line for line in lines if any(re.search(pattern, line) for pattern in _LOSSY)]
    if lossy:
        raise ProducerFailed(f"{label} left something out: {'; '.join(lossy)}")
    unknown = [
        line
        for line in lines
        if not any(re.search(pattern, line) for pattern in _HARMLESS)
        and not re.match(r"pg_dump: (?:detail|hint): ", line)
    ]
    return [
        IndexFinding(code="producer-warning", clause="P7", message=f"{label}: {line}") for line in unknown
    ]

"""Which program produces which bytes, and what its complaints mean. No server: the commands are only written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from psycopg.conninfo import conninfo_to_dict
from support.examples import EPOCH, database

from lifeboat import clock
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.postgres_inventory import TableFacts
from lifeboat.adapters.sealing import CopiedTable, Copies, Program
from lifeboat.errors import PreflightRefused, ProducerFailed
from lifeboat.model.parts import PartKind, PlannedPart
from lifeboat.stages.dump import (
    ARGUMENT_LIMIT,
    judge_complaints,
    producer,
    quoted,
    table_pattern,
)
from lifeboat.stages.snapshot import FrozenDatabase, FrozenServer

PASSWORD = "S3CRET-canary"
HOSTILE = "host=127.0.0.1 dbname='app'"


@pytest.fixture
def server(tmp_path: Path) -> PostgresServer:
    return PostgresServer(
        host="db.example", port=5432, user="backup", password=lambda: PASSWORD, programs=str(tmp_path)
    )


def installed(server: PostgresServer, major: int) -> PostgresServer:
    """Programs that say they are of this major version."""
    assert server.programs is not None
    folder = Path(server.programs) / str(major)
    folder.mkdir(exist_ok=True)
    for name in ("pg_dump", "pg_dumpall"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.3'\n")
        program.chmod(0o755)
    return replace(server, programs=str(folder))


def facts(name: str, *columns: str, schema: str = "public") -> TableFacts:
    fields: dict[str, Any] = {"oid": 1, "schema_name": schema, "name": name, "size": 1, "columns": columns}
    return TableFacts(**fields)


def frozen(*tables: TableFacts, major: int = 15, name: str = "shop", encoding: str = "UTF8") -> FrozenServer:
    properties = database(name, schema_part=1, rest_part=1).properties.model_copy(
        update={"encoding": encoding}
    )
    made = FrozenDatabase(
        name=name,
        snapshot_id="00000003-0000001B-1",
        data_timestamp=EPOCH,
        wal_position=None,
        properties=properties,
        tables=tables,
        session=cast(Any, None),
    )
    return FrozenServer(
        version=f"{major}.3",
        version_number=major * 10_000 + 3,
        bootstrap_role="postgres",
        databases=(made,),
        findings=(),
        clock_skew=dt.timedelta(0),
        deadline=clock.Deadline.after(60),
    )


def part(kind: PartKind, *tables: int, name: str = "shop") -> PlannedPart:
    return PlannedPart(7, kind, "" if kind is PartKind.GLOBALS else name, tables, 1)


def made(server: PostgresServer, planned: PlannedPart, views: FrozenServer) -> Program:
    program = producer(planned, views, installed(server, views.major), lock_wait_ms=30_000)
    assert isinstance(program, Program)
    return program


def copies(server: PostgresServer, views: FrozenServer, *tables: int, name: str = "shop") -> Copies:
    found = producer(part(PartKind.TABLES, *tables, name=name), views, server, lock_wait_ms=30_000)
    assert isinstance(found, Copies)
    return found


def database_of(argv: Sequence[str]) -> str:
    (option,) = [argument.removeprefix("--dbname=") for argument in argv if argument.startswith("--dbname=")]
    return str(conninfo_to_dict(option)["dbname"])


PROGRAMS = [PartKind.GLOBALS, PartKind.SCHEMA, PartKind.REST]


@pytest.mark.parametrize("kind", PROGRAMS)
def test_password_travels_in_the_environment_only(server: PostgresServer, kind: PartKind) -> None:
    program = made(server, part(kind, 0), frozen(facts("orders", "id")))

    assert program.environment["PGPASSWORD"] == PASSWORD
    assert not any(PASSWORD in text for text in (*program.argv, program.script, program.label, repr(program)))
    assert "--no-password" in program.argv, "a program that asks for a password waits for ever"


def test_password_of_a_connection_shows_nowhere(server: PostgresServer) -> None:
    found = copies(server, frozen(facts("orders", "id")), 0)

    assert found.connection["password"] == PASSWORD
    assert PASSWORD not in repr(found)


def test_roles_are_dumped_without_their_passwords(server: PostgresServer) -> None:
    program = made(server, part(PartKind.GLOBALS), frozen())

    assert {"--globals-only", "--no-role-passwords"} <= set(program.argv)


@pytest.mark.parametrize("kind", [PartKind.SCHEMA, PartKind.REST])
def test_database_whose_name_is_a_connection_string_is_meant_by_name(
    server: PostgresServer, kind: PartKind
) -> None:
    """F48: pg_dump would dump another database, on another server, with exit status 0."""
    views = frozen(facts("orders", "id"), name=HOSTILE)

    program = made(server, part(kind, 0, name=HOSTILE), views)

    assert database_of(program.argv) == HOSTILE
    assert copies(server, views, 0, name=HOSTILE).connection["database"] == HOSTILE


@pytest.mark.parametrize("kind", [PartKind.SCHEMA, PartKind.REST])
def test_archive_reads_the_frozen_moment_and_never_waits_for_a_lock_for_ever(
    server: PostgresServer, kind: PartKind
) -> None:
    argv = made(server, part(kind), frozen(facts("orders", "id"))).argv

    assert "--snapshot=00000003-0000001B-1" in argv
    assert "--lock-wait-timeout=30000" in argv
    assert {"--format=custom", "--compress=0"} <= set(argv)


def test_schema_is_everything_but_data(server: PostgresServer) -> None:
    argv = made(server, part(PartKind.SCHEMA), frozen(facts("orders", "id"))).argv

    assert [argument for argument in argv if argument.startswith("--section")] == [
        "--section=pre-data",
        "--section=post-data",
    ]
    assert not any(argument.startswith("--exclude") for argument in argv)


def test_rest_excludes_exactly_what_copy_takes(server: PostgresServer) -> None:
    program = made(
        server, part(PartKind.REST), frozen(facts("orders", "id"), facts('a"b.c', "id", schema="S p"))
    )

    assert [argument for argument in program.argv if argument.startswith("--exclude")] == [
        '--exclude-table-data="public"."orders"',
        '--exclude-table-data="S p"."a""b.c"',
    ]
    assert "--section=data" in program.argv
    assert program.script == ""


def test_rest_names_its_tables_on_standard_input_from_postgresql_17_on(server: PostgresServer) -> None:
    program = made(server, part(PartKind.REST), frozen(facts("orders", "id"), facts("# x"), major=17))

    assert "--filter=-" in program.argv
    assert program.script == 'exclude table_data "public"."orders"\nexclude table_data "public"."# x"\n'
    assert not any(argument.startswith("--exclude") for argument in program.argv)


def test_more_names_than_a_command_line_takes_are_refused_before_postgresql_17(
    server: PostgresServer,
) -> None:
    many = [facts(f"{'t' * 57}{number:06d}") for number in range(ARGUMENT_LIMIT // 100)]

    with pytest.raises(PreflightRefused, match="too many names for one command line of pg_dump 15"):
        made(server, part(PartKind.REST), frozen(*many))
    assert made(server, part(PartKind.REST), frozen(*many, major=18)).script.count("\n") == len(many)


def test_tables_are_copied_in_the_order_of_the_part(server: PostgresServer) -> None:
    views = frozen(facts("orders", "id", "note"), facts("unused", "x"), facts("no_columns"))

    assert copies(server, views, 2, 0).tables == (
        CopiedTable("public", "no_columns", (), "UTF8"),
        CopiedTable("public", "orders", ("id", "note"), "UTF8"),
    )


def test_rows_come_in_the_encoding_they_are_stored_in_and_names_of_archives_in_utf8(
    server: PostgresServer,
) -> None:
    views = frozen(facts("größe", "id"), encoding="LATIN1")

    assert copies(server, views, 0).tables == (CopiedTable("public", "größe", ("id",), "LATIN1"),)
    assert made(server, part(PartKind.REST), views).environment["PGCLIENTENCODING"] == "UTF8"


def test_tables_are_read_at_the_frozen_moment_or_not_at_all(server: PostgresServer) -> None:
    session = copies(server, frozen(facts("orders", "id")), 0).session

    assert session[-2:] == (
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
    )
    assert "SET row_security = off" in session, "hidden rows must be an error and no silence"


@pytest.mark.parametrize(("major", "transaction"), [(15, False), (16, False), (17, True), (18, True)])
def test_server_side_time_limits_are_off_while_copying(
    server: PostgresServer, major: int, transaction: bool
) -> None:
    options = copies(server, frozen(facts("orders"), major=major), 0).connection["options"]

    assert options["statement_timeout"] == "0" and options["lock_timeout"] == "30000"
    assert ("transaction_timeout" in options) is transaction


def test_program_of_another_major_version_is_refused(server: PostgresServer) -> None:
    """F7: an older pg_dump refuses, a newer one writes what the old server cannot read."""
    other = installed(server, 16)

    with pytest.raises(PreflightRefused, match=r"No pg_dump of PostgreSQL 15 .*\(16\)"):
        producer(part(PartKind.SCHEMA), frozen(), other, lock_wait_ms=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", '"plain"'),
        ('a"b', '"a""b"'),
        ('"', '""""'),
        ("a;\n\\! rm", '"a;\n\\! rm"'),
        (":variable", '":variable"'),
        ("*", '"*"'),
    ],
)
def test_names_are_quoted_so_that_nothing_in_them_is_special(name: str, expected: str) -> None:
    assert quoted(name) == expected
    assert table_pattern(facts(name)) == f'"public".{expected}'


def test_harmless_complaints_are_forgotten() -> None:
    complaint = (
        "pg_dump: warning: there are circular foreign-key constraints on this table:\n"
        "pg_dump: detail: orders\n"
        "pg_dump: hint: You might not be able to restore the dump without using --disable-triggers or temporarily\n"
        "pg_dump: hint: Consider using a full dump instead of a --data-only dump to avoid this problem.\n\n"
    )

    assert judge_complaints("part 3", [complaint, ""]) == []


def test_unknown_complaint_is_a_finding_in_its_own_words() -> None:
    (finding,) = judge_complaints("part 3", ["pg_dump: warning: something new\npg_dump: detail: about it"])

    assert (finding.code, finding.clause) == ("producer-warning", "P7")
    assert finding.message == "part 3: pg_dump: warning: something new"


@pytest.mark.parametrize(
    "complaint",
    [
        "pg_dump: warning: archive items not dumped",
        "pg_dump: warning: large object 5 could not be read",
        "pg_dumpall: warning: skipping role x",
    ],
)
def test_complaint_that_something_was_left_out_is_a_failure(complaint: str) -> None:
    with pytest.raises(ProducerFailed, match="part 3 left something out: pg_dump"):
        judge_complaints("part 3", ["fine\n" + complaint])

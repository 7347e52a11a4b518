"""Restore: databases of a backup into new databases of a server.

Schema first, then the data of all tables in parallel, then indexes and constraints. Until everything is in and
verified the database is called ``….incomplete-…``; only then does it get its name (F53). Nothing of a dump ever goes
through psql (F54).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer, conninfo, server_major
from lifeboat.errors import RestoreFailed, RestoreRefused
from lifeboat.model.index import Database, DatabaseSetting, Index
from lifeboat.model.restore_plan import DatabaseRestore, RestorePlan, incomplete_name
from lifeboat.model.roles_script import role_statements
from lifeboat.stages.voyage import random_suffix

# What ties a table to others; left out when only some tables are restored.
_TIES = ("FK CONSTRAINT", "TRIGGER", "EVENT TRIGGER", "MATERIALIZED VIEW DATA", "PUBLICATION", "SUBSCRIPTION")


@dataclass(frozen=True)
class RestoredDatabase:
    """One database, back under ``target``. ``seconds`` from creating it to naming it."""

    name: str
    target: str
    tables: int
    rows: int
    seconds: float
    findings: tuple[str, ...]


def restore_roles(plan: RestorePlan, loader: Loader, server: PostgresServer) -> list[str]:
    """Create the roles of the backup that the server lacks. Returns findings; raises ``RestoreFailed``."""
    part = plan.index.part(plan.index.globals_part)
    with _private_folder() as folder, server.connect() as session:
        path = Path(folder) / "roles.sql"
        loader.file(part, path)
        existing = {str(row[0]) for row in session.execute("SELECT rolname FROM pg_roles").fetchall()}
        wanted, left = role_statements(
            path.read_text(), existing=existing, bootstrap=plan.index.bootstrap_role
        )
        for statement in wanted:
            try:
                session.execute(statement.text.encode())
            except psycopg.Error as error:
                raise RestoreFailed(f"Role {statement.role!r}: {' '.join(str(error).split())}") from None
    created = sorted({statement.role for statement in wanted} - existing)
    findings = [f"role {name!r} was created without a password: issue a new one" for name in created]
    return findings + ([f"roles that existed were left as they are: {', '.join(left)}"] if left else [])


def restore_database(
    plan: RestorePlan, wanted: DatabaseRestore, loader: Loader, server: PostgresServer, *, jobs: int
) -> RestoredDatabase:
    """Bring one database back. On any failure the target keeps its ``.incomplete-`` name; raises ``LifeboatError``."""
    watch = clock.Stopwatch()
    name = incomplete_name(wanted.target, random_suffix())
    with server.connect() as session:
        major = server_major(session)
        _refuse_other_major(plan.index, major, server)
        _create(session, name, wanted.source)
    with _private_folder() as folder:
        archive = Path(folder) / "schema"
        loader.file(plan.index.part(wanted.source.schema_part), archive)
        _pg_restore(server, major, name, "--section=pre-data", str(archive))
        _load_data(plan, wanted, loader, server, name, major, jobs)
        selection = _selection(server, major, archive) if wanted.partial else ()
        _pg_restore(server, major, name, "--section=post-data", f"--jobs={jobs}", *selection, str(archive))
    findings = _finish(server, wanted, name)
    return RestoredDatabase(
        name=wanted.source.name,
        target=wanted.target,
        tables=len(wanted.tables),
        rows=sum(table.rows for table in wanted.tables),
        seconds=watch.seconds(),
        findings=tuple(findings),
    )


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """In memory where the host offers it: the schema archive is all that is ever decrypted to a file."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of mode 0700 is made below it
    return tempfile.TemporaryDirectory(prefix="lifeboat-", dir=memory if memory.is_dir() else None)


def _refuse_other_major(index: Index, major: int, server: PostgresServer) -> None:
    if major < index.server_major:
        raise RestoreRefused(
            f"The backup is of PostgreSQL {index.server_major}, {server.label} runs {major}.",
            hint=f"Restore into PostgreSQL {index.server_major} or later.",
        )


def _create(session: psycopg.Connection[tuple[object, ...]], name: str, source: Database) -> None:
    properties = source.properties
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
        sql.Identifier(name),
        sql.Literal(properties.encoding),
        sql.Literal(properties.collate),
        sql.Literal(properties.ctype),
    )
    if properties.locale_provider == "i" and properties.locale:
        statement += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(properties.locale))
    elif properties.locale_provider == "b" and properties.locale:
        statement += sql.SQL(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(
            sql.Literal(properties.locale)
        )
    try:
        session.execute(statement)
    except psycopg.Error as error:
        raise RestoreFailed(
            f"The database for {source.name!r} could not be created: {' '.join(str(error).split())}",
            hint="The target needs the locale of the source and the right to create databases.",
        ) from None


def _load_data(
    plan: RestorePlan,
    wanted: DatabaseRestore,
    loader: Loader,
    server: PostgresServer,
    name: str,
    major: int,
    jobs: int,
) -> None:
    """All parts of the database, ``jobs`` at once, the largest first."""
    parts = sorted((plan.index.part(number) for number in wanted.parts), key=lambda part: -part.plain_bytes)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [
            pool.submit(
                loader.tables,
                part,
                [table for table in wanted.tables if table.part == part.number],
                server,
                name,
                wanted.source.properties.encoding,
            )
            for part in parts
        ]
        if not wanted.partial:
            rest = plan.index.part(wanted.source.rest_part)
            argv = [
                server.program("pg_restore", major),
                *_RESTORE,
                "--section=data",
                f"--dbname={conninfo(name)}",
            ]
            futures.append(pool.submit(loader.program, rest, argv, server.environment()))
        for future in futures:
            future.result()


_RESTORE = ("--exit-on-error", "--no-password", "--no-tablespaces", "--format=custom")


def _pg_restore(server: PostgresServer, major: int, database: str, *arguments: str) -> None:
    argv = [server.program("pg_restore", major), *_RESTORE, f"--dbname={conninfo(database)}", *arguments]
    done = subprocess.run(argv, env=server.environment(), capture_output=True, check=False)
    if done.returncode != 0:
        raise RestoreFailed(
            f"pg_restore {arguments[0]} into {database!r}: {done.stderr.decode(errors='replace').strip()}",
            hint="The database keeps its .incomplete- name; drop it when you have looked.",
        )


def _selection(server: PostgresServer, major: int, archive: Path) -> tuple[str, ...]:
    """A list file of the archive's entries without what ties tables to others."""
    argv = [server.program("pg_restore", major), "--list", str(archive)]
    # Bytes that are no UTF-8 (names of an SQL_ASCII database) go through as they are.
    listing = subprocess.run(argv, capture_output=True, check=True).stdout.decode(errors="surrogateescape")
    kept = [line for line in listing.split("\n") if not _is_tie(line)]
    path = archive.with_name("list")
    path.write_bytes("\n".join(kept).encode(errors="surrogateescape"))
    return (f"--use-list={path}",)


def _is_tie(line: str) -> bool:
    # A comment on a foreign key says no more than "on a constraint": the comments on all of them go.
    on_constraint = " COMMENT " in line and " CONSTRAINT " in line
    return on_constraint or any(f" {tie} " in line for tie in _TIES)


def _finish(server: PostgresServer, wanted: DatabaseRestore, name: str) -> list[str]:
    """Give the database its properties, and last of all its name."""
    try:
        findings = _give_properties(server, wanted, name)
    except psycopg.Error as error:
        raise RestoreFailed(
            f"{name!r} is restored, but could not become {wanted.target!r}: {' '.join(str(error).split())}",
            hint="The database keeps its .incomplete- name; rename it yourself when you have looked.",
        ) from None
    if wanted.partial:
        findings.append("only some tables: foreign keys, triggers and sequence values were left out")
    return findings


def _give_properties(server: PostgresServer, wanted: DatabaseRestore, name: str) -> list[str]:
    findings = []
    with server.connect() as session:
        roles = {str(row[0]) for row in session.execute("SELECT rolname FROM pg_roles").fetchall()}
        for statement, needs in _property_statements(wanted.source, name):
            missing = [role for role in needs if role not in roles]
            if missing:
                findings.append(
                    f"role {missing[0]!r} does not exist here: {statement.as_string(session)} was left out"
                )
                continue
            session.execute(statement)
        session.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(name), sql.Identifier(wanted.target)
            )
        )
    return findings


def _property_statements(source: Database, name: str) -> list[tuple[sql.Composed, Sequence[str]]]:
    """Owner, settings, grants, comment: what no dump of a database holds, with the roles each needs."""
    database, properties = sql.Identifier(name), source.properties
    statements: list[tuple[sql.Composed, Sequence[str]]] = [
        (
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(properties.owner)),
            [properties.owner],
        )
    ]
    if properties.connection_limit != -1:
        limit = sql.Literal(properties.connection_limit)
        statements.append((sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit), []))
    if properties.comment is not None:
        statements.append(
            (sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(properties.comment)), [])
        )
    for setting in properties.settings:
        value = sql.SQL(" SET {} = {}").format(sql.Identifier(setting.name), _setting_value(setting))
        if setting.role is None:
            statements.append((sql.SQL("ALTER DATABASE {}").format(database) + value, []))
        else:
            head = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), database)
            statements.append((head + value, [setting.role]))
    if properties.grants is not None:
        everyone = sql.SQL("PUBLIC, {}").format(sql.Identifier(properties.owner))
        revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, everyone)
        statements.append((revoke, [properties.owner]))
        for grant in properties.grants:
            who = sql.Identifier(grant.grantee) if grant.grantee else sql.SQL("PUBLIC")
            option = sql.SQL(" WITH GRANT OPTION") if grant.grantable else sql.SQL("")
            privilege = sql.SQL(cast(Any, grant.privilege))  # a keyword, from the server's own aclexplode
            statement = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(privilege, database, who) + option
            statements.append((statement, [grant.grantee] if grant.grantee else []))
    return statements


_LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
_LIST_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^",\s][^",]*)')


def _setting_value(setting: DatabaseSetting) -> sql.Composable:
    """A list of names is stored with its quotes; given back as one string it would be one name, as pg_dump knows."""
    if setting.name.lower() not in _LISTS:
        return sql.Literal(setting.value)
    items = [quoted.replace('""', '"') or bare.strip() for quoted, bare in _LIST_ITEM.findall(setting.value)]
    return sql.SQL(", ").join(map(sql.Literal, items or [""]))


def databases_present(server: PostgresServer) -> list[str]:
    """Every database of the target, also templates and closed ones, so that the plan can refuse what exists."""
    with server.connect() as session:
        return [str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()]

"""The server that a restore goes to: what it says of itself, and a live database exchanged for a restored one."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import sql

from lifeboat.adapters.postgres import PostgresServer, Session, server_major
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_plan import dated_name
from lifeboat.model.restore_target import TargetFacts

PAUSE: Final = 0.1
"""Seconds between two times of ending the sessions of a database that is being renamed."""


def look_at_target(server: PostgresServer) -> TargetFacts:
    """Raises ``SourceError`` when it does not answer."""
    with server.connect() as session:
        row = session.execute(
            """SELECT rolsuper OR rolcreatedb, rolsuper OR rolcreaterole,
                      (SELECT setting FROM pg_settings WHERE name = 'azure.extensions'),
                      (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database())
               FROM pg_roles WHERE rolname = current_user"""
        ).fetchone()
        assert row is not None
        databases, roles, allowed, comment = row
        return TargetFacts(
            label=server.label,
            major=server_major(session),
            databases=_names(session, "SELECT datname FROM pg_database"),
            roles=_names(session, "SELECT rolname FROM pg_roles"),
            extensions=_names(session, "SELECT name FROM pg_available_extensions"),
            allowed=_listed(str(allowed)) if allowed else None,
            may_create_databases=bool(databases),
            may_create_roles=bool(roles),
            comment=str(comment or ""),
        )


def _names(session: Session, query: str) -> frozenset[str]:
    return frozenset(str(row[0]) for row in session.execute(query.encode()).fetchall())


def _listed(setting: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in setting.split(",") if name.strip())


def replace_database(server: PostgresServer, restored: str, target: str, moment: dt.datetime) -> str:
    """Give ``restored`` the name ``target``; what has that name now is kept under a dated one, which is returned.

    Both names change in one transaction: there is no moment without a database of that name, and a crash leaves the old
    one in place. Renaming lets no new session in and waits five seconds for the old ones; meanwhile those are ended.
    Raises ``RestoreFailed``; then nothing changed but ended sessions.
    """
    kept = dated_name(target, "before", moment)
    try:
        with (
            server.connect(application="lifeboat restore") as session,
            _ending_sessions(server, target),
            session.transaction(),
        ):
            _rename(session, target, kept)
            _rename(session, restored, target)
        return kept
    except psycopg.Error as error:
        raise RestoreFailed(
            f"{restored!r} is restored, but could not take the place of {target!r}: {' '.join(str(error).split())}",
            hint=f"Stop what uses {target!r}, which is as it was, and exchange the names yourself: "
            f"{_told(target, kept)} {_told(restored, target)}",
        ) from None


@contextmanager
def _ending_sessions(server: PostgresServer, database: str) -> Iterator[None]:
    """While it lasts, every session of the database is ended, again and again, over a connection of its own."""
    over = threading.Event()

    def end_them() -> None:
        with server.connect(application="lifeboat restore") as session:
            while not over.wait(PAUSE):
                _end_sessions(session, database)

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end_them)
        try:
            yield
        finally:
            over.set()
        ending.result()


def _told(name: str, new: str) -> str:
    """The statement for a person to type."""
    return _renaming(name, new).as_string() + ";"


def _end_sessions(session: Session, database: str) -> None:
    session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        (database,),
    )


def _rename(session: Session, name: str, new: str) -> None:
    session.execute(_renaming(name, new))


def _renaming(name: str, new: str) -> sql.Composed:
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new))

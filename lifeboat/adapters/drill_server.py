"""A drill server that somebody lends: used by one drill at a time, and left as it was found (clauses P7, P15).

What was there before is written down on the server itself, so that the next drill clears up after one that died. Only
databases with the names that restores give are ever dropped, and roles that were not there before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import sql

from lifeboat.adapters.postgres import PostgresServer, Session
from lifeboat.errors import CouldNotMeasure, SandboxNotDestroyed

_LOCK: Final = 0x11FEB0A7
"""Advisory lock of the maintenance database: whoever holds it is the drill."""
_NOTE: Final = """
CREATE SCHEMA lifeboat_drill;
CREATE TABLE lifeboat_drill.before AS
    SELECT 'database' AS kind, datname::text AS name FROM pg_database UNION ALL
    SELECT 'role', rolname::text FROM pg_roles
"""
_OURS: Final = r"(-restored-[0-9]{8}|\.incomplete-[a-z0-9]+)$"
_LEFT: Final = """
SELECT 'database', datname::text FROM pg_database WHERE datname ~ %(ours)s
    AND datname::text NOT IN (SELECT name FROM lifeboat_drill.before WHERE kind = 'database')
UNION ALL
SELECT 'role', rolname::text FROM pg_roles
    WHERE rolname::text NOT IN (SELECT name FROM lifeboat_drill.before WHERE kind = 'role')
"""


@contextlib.contextmanager
def lent(server: PostgresServer) -> Iterator[None]:
    """The server is this drill's meanwhile; afterwards nothing of it is left there.

    Raises ``CouldNotMeasure`` when another drill has it, ``SandboxNotDestroyed`` when something is left after all, and
    ``SourceError`` when it cannot be reached.
    """
    with server.connect(application="lifeboat drill") as session:
        (free,) = session.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() or (False,)
        if not free:
            raise CouldNotMeasure(
                f"Another drill is using {server.label}.",
                hint="Wait for it, or give each its own: drills.server.",
            )
        _clear(server, session)
        session.execute(_NOTE)
        try:
            yield
        finally:
            _clear(server, session)


def _clear(server: PostgresServer, session: Session) -> None:
    """Drop what a drill made here, if one did, and look whether it is gone."""
    try:
        if session.execute("SELECT to_regclass('lifeboat_drill.before')").fetchone() == (None,):
            return
        for kind, name in _left(session):
            drop = "DROP DATABASE {} WITH (FORCE)" if kind == "database" else "DROP ROLE {}"
            session.execute(sql.SQL(drop).format(sql.Identifier(name)))
        left = _left(session)
        if not left:
            session.execute("DROP SCHEMA lifeboat_drill CASCADE")
    except psycopg.Error as error:
        left = [("error", type(error).__name__)]
    if left:
        raise SandboxNotDestroyed(
            f"{server.label} still holds what a drill restored: {', '.join(f'{kind} {name}' for kind, name in left)}.",
            hint="The next drill tries again; if it cannot either, drop it by hand, and the schema lifeboat_drill.",
        )


def _left(session: Session) -> list[tuple[str, str]]:
    """Databases first: a role that owns something cannot go."""
    found = session.execute(_LEFT, {"ours": _OURS}).fetchall()
    return sorted((str(kind), str(name)) for kind, name in found)

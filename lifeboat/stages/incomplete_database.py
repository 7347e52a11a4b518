"""The database of a restore until it has its name, and what is done of it: a restore that died is gone on with.

It is called ``<target>.incomplete-<suffix>``, its comment says of which backup it is, a small table inside which steps
are done. The rows of a part and the note that they are there are committed together, so the note is never wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from lifeboat.adapters.postgres import PostgresServer, Session
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_plan import DatabaseRestore, incomplete_name, incomplete_prefix
from lifeboat.stages.database_properties import create_database
from lifeboat.stages.voyage import random_suffix

SCHEMA = "lifeboat_restore"
"""Of the table of steps; it is gone before the database gets its name."""
PRE_DATA = "pre-data"
REST_BEGUN, REST = "rest begun", "rest"
_LOADED = ", all rows are in"


@dataclass
class IncompleteDatabase:
    """One that this process alone works on. ``steps`` are done; ``loaded``: all rows are in."""

    server: PostgresServer
    name: str
    mark: str
    steps: set[str] = field(default_factory=set)
    loaded: bool = False
    leftovers: tuple[str, ...] = ()
    """Databases that other restores into the same target left behind."""

    def done(self, step: str) -> None:
        """Note a step that cannot be committed together with its note."""
        with self.server.connect(self.name) as session:
            session.execute(_note(step))
        self.steps.add(step)

    def set_loaded(self) -> None:
        """The table of steps goes, and the comment says so, both at once.

        Before the database's own event triggers are there: one that refuses drops would refuse this one.
        """
        with self.server.connect(self.name, autocommit=False) as session:
            session.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))
            _comment(session, self.name, self.mark + _LOADED)
        self.loaded = True


def part_step(number: int) -> str:
    """The step of having loaded a part."""
    return f"part {number}"


def _note(step: str) -> sql.Composed:
    return sql.SQL("INSERT INTO {}.steps VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(SCHEMA), sql.Literal(step)
    )


@contextlib.contextmanager
def incomplete_database(
    server: PostgresServer, wanted: DatabaseRestore, backup_id: str, *, options: str = ""
) -> Iterator[IncompleteDatabase]:
    """The one that an earlier attempt at the same left behind, or a new one; no other process has it meanwhile.

    ``options`` are whatever else makes two attempts differ. Raises ``RestoreFailed`` when none can be made.
    """
    mark = _mark(wanted, backup_id, options)
    with server.connect(application="lifeboat restore") as session:
        if session.info.server_version >= 140_000:
            session.execute("SET idle_session_timeout = 0")
        found = _left_behind(session, incomplete_prefix(wanted.target))
        ours = [name for name, comment in found if (comment or "").removesuffix(_LOADED) == mark]
        others = tuple(name for name, _ in found if name not in ours)
        resumed = next((name for name in ours if _lock(session, name)), None)
        if resumed:
            loaded = dict(found)[resumed] == mark + _LOADED
            database = _resumed(server, session, wanted, resumed, mark, loaded=loaded)
        else:
            database = _new(server, session, wanted, mark)
        database.leftovers = others
        yield database


def _mark(wanted: DatabaseRestore, backup_id: str, options: str) -> str:
    tables = sorted(table.label for table in wanted.tables) if wanted.partial else ["all"]
    told = json.dumps([wanted.source.name, tables, options])
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    return f"Lifeboat: incomplete restore of {backup_id} ({digest})"


def _left_behind(session: Session, prefix: str) -> list[tuple[str, str | None]]:
    rows = session.execute(
        """SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database
           WHERE starts_with(datname, %s) ORDER BY oid DESC""",
        (prefix,),
    ).fetchall()
    return [(str(name), str(comment) if comment else None) for name, comment in rows]


def _lock(session: Session, name: str) -> bool:
    """Held until the session ends, with the process at the latest."""
    row = session.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
    return bool(row and row[0])


def _new(server: PostgresServer, session: Session, wanted: DatabaseRestore, mark: str) -> IncompleteDatabase:
    name = incomplete_name(wanted.target, random_suffix())
    _lock(session, name)
    create_database(session, name, wanted.source)
    try:
        with server.connect(name, autocommit=False) as inside:
            schema = sql.Identifier(SCHEMA)
            inside.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            inside.execute(sql.SQL("CREATE TABLE {}.steps (step text PRIMARY KEY)").format(schema))
            _comment(inside, name, mark)
    except psycopg.Error as error:
        raise RestoreFailed(f"{name!r} could not be prepared: {' '.join(str(error).split())}") from None
    return IncompleteDatabase(server, name, mark)


def _resumed(
    server: PostgresServer, session: Session, wanted: DatabaseRestore, name: str, mark: str, *, loaded: bool
) -> IncompleteDatabase:
    """What an earlier attempt left, unless it died where nobody can tell what is done: then a new one, in its place."""
    if loaded:
        return IncompleteDatabase(server, name, mark, loaded=True)
    with server.connect(name) as inside:
        rows = inside.execute(sql.SQL("SELECT step FROM {}.steps").format(sql.Identifier(SCHEMA))).fetchall()
    steps = {str(row[0]) for row in rows}
    if PRE_DATA in steps and (REST in steps or REST_BEGUN not in steps):
        return IncompleteDatabase(server, name, mark, steps)
    session.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    return _new(server, session, wanted, mark)


def _comment(session: Session, name: str, text: str) -> None:
    session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text)))

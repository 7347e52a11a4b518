"""Snapshot: frozen views of all databases of a server, what they hold, and whether all of it can be read.

A frozen database is a ``REPEATABLE READ`` transaction whose snapshot is exported: every child that dumps it sees the
same moment. It stays open until the data is sealed, and holds back vacuum for so long.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg

from lifeboat import clock
from lifeboat.adapters import postgres_inventory as inventory
from lifeboat.adapters.postgres import PostgresServer, Session, server_major
from lifeboat.adapters.postgres_inventory import TableFacts
from lifeboat.errors import PreflightRefused, SourceError
from lifeboat.model.carried import Yesterday
from lifeboat.model.index import DatabaseProperties, IndexFinding
from lifeboat.model.policy_sources import PostgresSource

PROGRAMS = ("pg_dump", "pg_dumpall")
"""What must be there in the server's own major version."""
SKEW_LIMIT = dt.timedelta(minutes=5)
"""Beyond this, prune is blocked and the backup carries a finding (F35)."""


@dataclass(frozen=True)
class FrozenDatabase:
    """One database at its data timestamp: the server's time when the transaction began, before the snapshot."""

    name: str
    snapshot_id: str
    data_timestamp: dt.datetime
    wal_position: str | None
    properties: DatabaseProperties
    tables: tuple[TableFacts, ...]
    session: Session = field(repr=False, compare=False)


@dataclass(frozen=True)
class FrozenServer:
    """All databases of one turn, with what was noticed on the way."""

    version: str
    version_number: int
    bootstrap_role: str
    databases: tuple[FrozenDatabase, ...]
    findings: tuple[IndexFinding, ...]
    clock_skew: dt.timedelta
    deadline: clock.Deadline
    """When the oldest of its snapshots has been open for as long as it may (``limits.snapshot_age``)."""
    yesterday: Yesterday = field(default_factory=Yesterday, repr=False)

    @property
    def major(self) -> int:
        return self.version_number // 10_000

    @property
    def data_timestamp(self) -> dt.datetime:
        """The oldest of its databases': what a restore of the whole brings back at least."""
        return min(database.data_timestamp for database in self.databases)

    def database(self, name: str) -> FrozenDatabase:
        return next(database for database in self.databases if database.name == name)


@dataclass(frozen=True)
class Census:
    """Which databases to back up, and what the policy does not know of."""

    names: tuple[str, ...]
    findings: tuple[IndexFinding, ...]


def take_census(present: Sequence[str], source: PostgresSource, *, where: str) -> Census:
    """Compare the server's databases with the policy's (clauses P1, S2).

    A listed one that is gone raises ``SourceError``; an unlisted one is backed up all the same, with a finding.
    """
    missing = [name for name in source.databases if name not in present]
    if missing:
        raise SourceError(
            f"{where}: the policy names databases that are not on the server: {', '.join(map(repr, missing))}.",
            hint="If they were dropped on purpose, take them out of the policy; if not, this is the moment to restore.",
        )
    ignored = {*source.skip, *source.internal_databases}
    names = tuple(name for name in present if name not in ignored)
    # `postgres` exists everywhere; it is backed up, but nobody needs to list it.
    unlisted = [name for name in names if name not in source.databases and name != "postgres"]
    findings = tuple(
        IndexFinding(
            code="database-not-in-policy",
            clause="P1",
            message=f"database {name!r} is backed up, but the policy does not name it",
        )
        for name in unlisted
    )
    return Census(names, findings)


def take_census_of(server: PostgresServer, source: PostgresSource, *, where: str) -> Census:
    """List the server's databases and check the programs before anything is opened (F7)."""
    with server.connect() as session:
        major = server_major(session)
        present = inventory.list_databases(session)
    for program in PROGRAMS:
        server.program(program, major)
    return take_census(present, source, where=where)


@contextlib.contextmanager
def frozen(
    server: PostgresServer,
    names: Sequence[str],
    *,
    lock_wait: dt.timedelta,
    age_limit: dt.timedelta,
    findings: Sequence[IndexFinding] = (),
    yesterday: Yesterday | None = None,
) -> Iterator[FrozenServer]:
    """Open the frozen views of these databases, one straight after the other, and close them at the end.

    ``age_limit`` counts from the first one: what dumps them is ended then, because they hold back vacuum.
    Raises ``PreflightRefused`` naming everything the backup would lose in any of them, ``SourceError`` when a
    lock cannot be had in time (F8).
    """
    deadline = clock.Deadline.after(age_limit.total_seconds(), "limits.snapshot_age")
    with contextlib.ExitStack() as stack:
        databases, losses = [], []
        skew = dt.timedelta(0)
        for name in names:
            session = stack.enter_context(
                contextlib.closing(server.connect(name, application="lifeboat snapshot"))
            )
            database, lost, skew = _freeze(session, name, lock_wait)
            databases.append(database)
            losses += [f"{name}: {loss}" for loss in lost]
        if losses:
            raise PreflightRefused(
                f"{server.label} would not be backed up whole:\n" + "\n".join(f"  {loss}" for loss in losses),
                hint="Give the backup role BYPASSRLS, pg_read_all_data and membership in the owners of large objects "
                "(docs/how-to/backup-role.md). Nothing is ever left out silently.",
            )
        yield FrozenServer(
            version=session.info.parameter_status("server_version") or "unknown",
            version_number=session.info.server_version,
            bootstrap_role=inventory.bootstrap_role(session),
            databases=tuple(databases),
            findings=(*findings, *_skew_findings(skew)),
            clock_skew=skew,
            deadline=deadline,
            yesterday=yesterday or Yesterday(),
        )


def _freeze(
    session: Session, name: str, lock_wait: dt.timedelta
) -> tuple[FrozenDatabase, list[str], dt.timedelta]:
    try:
        return _frozen_database(session, name, lock_wait)
    except psycopg.errors.LockNotAvailable:  # also from the sizes: measuring a table locks it
        session.execute("ROLLBACK")
        raise SourceError(
            f"Database {name!r}: a table is locked exclusively by another session: {inventory.locked_by(session)}.",
            hint="Let it finish or end it, then run the backup again; limits.lock_wait says how long we wait.",
        ) from None
    except psycopg.Error as error:
        raise SourceError(
            f"Database {name!r} could not be frozen: {' '.join(str(error).split())}",
            hint="If a table was dropped or renamed at this moment, run the backup again.",
        ) from None


def _frozen_database(
    session: Session, name: str, lock_wait: dt.timedelta
) -> tuple[FrozenDatabase, list[str], dt.timedelta]:
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    session.execute("SET LOCAL search_path = ''")  # nobody's tables before the catalogs
    session.execute(
        "SELECT set_config('lock_timeout', %s, true)", (f"{round(lock_wait.total_seconds() * 1000)}ms",)
    )
    if session.info.server_version >= 170000:
        session.execute("SET LOCAL transaction_timeout = 0")
    local = clock.utc_now()
    row = session.execute(
        """SELECT pg_export_snapshot(), transaction_timestamp(), clock_timestamp(),
                  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text"""
    ).fetchone()
    assert row is not None
    snapshot_id, began, now, wal = row
    assert isinstance(began, dt.datetime) and isinstance(now, dt.datetime)
    losses = inventory.losses(session)
    tables = inventory.list_tables(session)
    if not losses:
        inventory.lock_tables(session, tables)
    frozen_database = FrozenDatabase(
        name=name,
        snapshot_id=str(snapshot_id),
        data_timestamp=began.astimezone(dt.UTC),
        wal_position=str(wal) if wal else None,
        properties=inventory.read_properties(session),
        tables=tuple(tables),
        session=session,
    )
    return frozen_database, losses, now.astimezone(dt.UTC) - local


def _skew_findings(skew: dt.timedelta) -> list[IndexFinding]:
    if abs(skew) <= SKEW_LIMIT:
        return []
    seconds = round(skew.total_seconds())
    return [
        IndexFinding(
            code="clock-skew", clause="P13", message=f"the server's clock is {seconds} s off this host's"
        )
    ]

"""The heartbeat: one row of Lifeboat's own in a source, written before each backup, read from what was restored (P13).

It tells how old restored data is by the data itself: not by a clock of ours, a manifest, or a file's time.
"""

from __future__ import annotations

import datetime as dt

import psycopg

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import SourceDenied
from lifeboat.model.policy_probes import Heartbeat

_BEAT = "UPDATE lifeboat.heartbeat SET at = clock_timestamp()"
_READ = "SELECT max(at) FROM lifeboat.heartbeat"


def beat(server: PostgresServer, heartbeat: Heartbeat) -> None:
    """Write the time of now, by the server's own clock. Raises ``SourceDenied`` when the row is not there, or not ours
    to write."""
    try:
        with server.connect(heartbeat.database) as session:
            session.execute("SET default_transaction_read_only = off")
            written = session.execute(_BEAT).rowcount
    except psycopg.Error as error:
        raise _denied(
            server, heartbeat, " ".join((error.diag.message_primary or str(error)).split())
        ) from None
    if written != 1:
        raise _denied(server, heartbeat, f"it holds {written} rows")


def last_beat(server: PostgresServer, database: str) -> dt.datetime | None:
    """The time in a restored ``database``; None when there is none."""
    try:
        with server.connect(database) as session:
            row = session.execute(_READ).fetchone()
    except psycopg.Error:
        return None
    return row[0] if row and isinstance(row[0], dt.datetime) else None


def _denied(server: PostgresServer, heartbeat: Heartbeat, why: str) -> SourceDenied:
    return SourceDenied(
        f"The heartbeat lifeboat.heartbeat in {heartbeat.database!r} of {server.label} cannot be written: {why}.",
        hint="docs/how-to/backup-role.md shows the table, its one row, and the right to update it.",
    )

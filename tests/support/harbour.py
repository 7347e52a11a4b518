"""Real PostgreSQL servers, one per major, started when the first test asks; each test gets them empty."""

from __future__ import annotations

import contextlib
from pathlib import Path

from psycopg import sql
from support.postgres import MAJORS
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.store_local import LocalTarget

NEWEST = MAJORS[-1] if MAJORS else 0


class Harbour:
    """The clusters that were asked for so far."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._clusters: dict[tuple[int, str], Cluster] = {}

    def cluster(self, major: int, name: str = "main", **settings: str) -> Cluster:
        key = (major, name)
        if key not in self._clusters:
            folder = self._folder / f"{major}-{name}"
            cluster = Cluster(folder, major, settings={"fsync": "off", "max_connections": "60", **settings})
            self._clusters[key] = self._stack.enter_context(cluster)
        return self._clusters[key]

    def clean(self) -> None:
        for cluster in self._clusters.values():
            empty(FixedPassword.of(cluster))


def empty(server: PostgresServer) -> None:
    """Drop every database and role that is not the server's own."""
    with server.connect() as session:
        subscriptions = session.execute(
            "SELECT d.datname, s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        )
        for database, subscription in subscriptions.fetchall():
            with server.connect(str(database)) as inside:
                inside.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(str(subscription))))
        names = session.execute("SELECT datname FROM pg_database WHERE oid >= 16384").fetchall()
        for (name,) in names:
            session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(str(name))))
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))
        roles = [
            sql.Identifier(str(name))
            for (name,) in session.execute("SELECT rolname FROM pg_roles WHERE oid >= 16384").fetchall()
        ]
        for role in roles:
            session.execute(sql.SQL("DROP OWNED BY {}").format(role))
        for role in roles:
            session.execute(sql.SQL("DROP ROLE {}").format(role))


def make_ship(server: PostgresServer, folder: Path, *databases: str, **settings: object) -> Ship:
    """A ship with a store in a folder of its own."""
    (folder / "store").mkdir()
    return Ship(
        server=server, store=LocalTarget(folder / "store"), folder=folder, databases=databases, **settings
    )


def run(server: PostgresServer, database: str, script: str) -> None:
    """Run a script in one database."""
    with server.connect(database) as session:
        session.execute("SET search_path = public")
        session.execute(script.encode())

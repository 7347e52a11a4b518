"""Names that were chosen to hurt go out and come back, and hurt nobody (F48, F49)."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql
from support.harbour import NEWEST, make_ship
from support.postgres import dump_text

from lifeboat.adapters.postgres import PostgresServer

pytestmark = pytest.mark.postgres

NAMES = [
    "with space",
    'it\'s "quoted"',
    "dbname=postgres host=192.0.2.1",
    "postgresql://evil@192.0.2.1/postgres",
    "--help",
    "-f",
    "Ünïcödé 星 🛟",
    "b" * 63,
    "星" * 21,
    'x"; DROP DATABASE victim; --',
    "back\\slash",
    "../../etc/passwd",
    "$(touch /tmp/owned) `id` %s %d {}",
    "tab\tand\nline",
    "*",
    "UPPER",
]


def create(server: PostgresServer, name: str) -> None:
    """A database, and in it a schema, a table, a column and a role's grant that all bear the name."""
    quoted = sql.Identifier(name)
    with server.connect() as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        session.execute(sql.SQL("CREATE ROLE {}").format(quoted))
        session.execute(sql.SQL("ALTER DATABASE {0} OWNER TO {0}").format(quoted))
        session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(quoted, sql.Literal(name)))
        session.execute(sql.SQL("ALTER ROLE {0} IN DATABASE {0} SET search_path = {0}").format(quoted))
    with server.connect(name) as session:
        session.execute(sql.SQL("CREATE SCHEMA {0} AUTHORIZATION {0}").format(quoted))
        session.execute(sql.SQL("CREATE TABLE {0}.{0} ({0} text)").format(quoted))
        session.execute(sql.SQL("INSERT INTO {0}.{0} VALUES ({1}), (NULL)").format(quoted, sql.Literal(name)))


def test_every_name_goes_out_and_comes_back(server: PostgresServer, tmp_path: Path) -> None:
    with server.connect() as session:
        session.execute("CREATE DATABASE victim")
    for name in NAMES:
        create(server, name)
    ship = make_ship(server, tmp_path, "victim", *NAMES)

    published = ship.backup()

    assert published.manifest.totals.rows == 2 * len(NAMES)
    for stat in ship.listing():
        assert stat.name.startswith("main-databases")
    for number, name in enumerate(NAMES):
        (restored,) = ship.restore(databases=[name], new_name=f"back {number}")
        assert restored.rows == 2
        assert restored.findings == ()
        assert dump_text(server, restored.target, NEWEST) == dump_text(server, name, NEWEST)
    for name in NAMES[:4]:
        (restored,) = ship.restore(databases=["victim"], new_name=f"{name[:40]} again")
        assert restored.target == f"{name[:40]} again"
    with server.connect() as session:
        present = {str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()}
    assert {"victim", *NAMES} < present
    assert not [name for name in present if "incomplete" in name]

"""Restores into a server that gives nobody a superuser: as at Azure or DigitalOcean, by a role that may create
databases and roles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.harbour import Harbour, make_ship, run
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat import clock
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_target import target_problems
from lifeboat.stages.target_server import look_at_target, replace_database

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
SCHEMA = """
CREATE ROLE captain LOGIN; CREATE ROLE "mate's" NOLOGIN BYPASSRLS; GRANT captain TO "mate's";
"""
CONTENT = """
CREATE SCHEMA sea AUTHORIZATION captain;
SET ROLE captain;
CREATE TABLE sea.ships (id int PRIMARY KEY, name text);
INSERT INTO sea.ships SELECT n, 'ship ' || n FROM generate_series(1, 500) n;
CREATE INDEX ON sea.ships (name);
ALTER TABLE sea.ships ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON sea.ships USING (name = current_user);
CREATE FUNCTION sea.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON sea.ships FOR EACH ROW EXECUTE FUNCTION sea.f();
RESET ROLE;
GRANT USAGE ON SCHEMA sea TO "mate's";
GRANT SELECT ON sea.ships TO "mate's";
"""


def by(server: PostgresServer, user: str) -> PostgresServer:
    """The same server, as another user."""
    return replace(server, user=user, password=FixedPassword("managed"))


def managed(server: PostgresServer) -> PostgresServer:
    """The same server, as an administrator who is no superuser."""
    run(server, "postgres", "CREATE ROLE administrator LOGIN CREATEDB CREATEROLE PASSWORD 'managed'")
    return by(server, "administrator")


def backed_up(harbour: Harbour, tmp_path: Path, major: int) -> tuple[Ship, PostgresServer]:
    home = harbour.cluster(major, "main").server
    run(home, "postgres", SCHEMA)
    run(home, "postgres", "CREATE DATABASE shop OWNER captain")
    run(home, "shop", CONTENT)
    ship = make_ship(FixedPassword.of(harbour.cluster(major, "main")), tmp_path, "shop")
    ship.backup()
    return ship, home


@pytest.mark.parametrize("major", MAJORS)
def test_database_comes_back_with_owners_and_grants_without_a_superuser(
    clean_harbour: Harbour, tmp_path: Path, major: int
) -> None:
    ship, home = backed_up(clean_harbour, tmp_path, major)
    away = managed(clean_harbour.cluster(major, "away").server)

    (restored,) = ship.restore(server=away, databases=["shop"], with_roles=True)

    assert dump_text(clean_harbour.cluster(major, "away").server, restored.target, major) == dump_text(
        home, "shop", major
    )
    assert restored.findings == ()


def test_everything_can_be_given_to_one_role_where_the_owners_cannot_be_had(
    clean_harbour: Harbour, tmp_path: Path
) -> None:
    major = MAJORS[-1]
    ship, _ = backed_up(clean_harbour, tmp_path, major)
    superuser = clean_harbour.cluster(major, "away").server
    away = managed(superuser)

    (restored,) = ship.restore(server=away, databases=["shop"], owner="administrator")

    with superuser.connect(restored.target) as session:
        owners = session.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'sea'"
        ).fetchall()
        assert owners == [("administrator",)]
        assert session.execute("SELECT count(*) FROM sea.ships").fetchone() == (500,)
    assert any("belongs to 'administrator'" in finding for finding in restored.findings)


def test_what_the_target_lacks_is_told_all_at_once(clean_harbour: Harbour, tmp_path: Path) -> None:
    major = MAJORS[-1]
    ship, _ = backed_up(clean_harbour, tmp_path, major)
    superuser = clean_harbour.cluster(major, "away").server
    run(superuser, "postgres", "CREATE ROLE nobody LOGIN PASSWORD 'managed'")
    nobody = by(superuser, "nobody")
    plan = ship.plan(databases=["shop"], with_roles=True, owner="ghost")

    problems = target_problems(plan, look_at_target(nobody), "demo")

    for problem, told in zip(
        problems, ("may not create databases", "may not create roles", "'ghost', who is to own"), strict=True
    ):
        assert told in problem


def test_exchange_that_cannot_be_made_leaves_the_live_database_as_it_is(
    clean_harbour: Harbour, tmp_path: Path
) -> None:
    server = clean_harbour.cluster(MAJORS[-1], "main").server
    run(server, "postgres", "CREATE DATABASE live")
    with pytest.raises(RestoreFailed, match="could not take the place of 'live'"):
        replace_database(server, "never restored", "live", clock.utc_now())

    with server.connect("live") as session:
        assert session.execute("SELECT 1").fetchone() == (1,)

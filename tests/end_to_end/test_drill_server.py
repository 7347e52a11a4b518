"""A drill server that somebody lends: left as it was found, also after a drill that died, and one drill at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.folders import let_through
from support.harbour import NEWEST, Harbour, run
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.drill_server import lent
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import CouldNotMeasure, SandboxNotDestroyed
from lifeboat.model.objectives import Verdict

pytestmark = pytest.mark.postgres


@pytest.fixture
def other(clean_harbour: Harbour) -> PostgresServer:
    """With a database and a role of its owner's."""
    server = FixedPassword.of(clean_harbour.cluster(NEWEST, "lent"))
    run(server, "postgres", 'CREATE ROLE keeper; CREATE ROLE "shop-restored-20200101"')
    run(server, "postgres", "CREATE DATABASE theirs OWNER keeper")
    return server


def holds(server: PostgresServer) -> set[str]:
    with server.connect() as session:
        rows = session.execute(
            "SELECT datname::text FROM pg_database UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE oid >= 16384"
            " UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE 'lifeboat%'"
        )
        return {str(row[0]) for row in rows.fetchall()}


def test_drill_uses_the_server_and_leaves_it_as_it_was(
    ship: Ship, other: PostgresServer, tmp_path: Path
) -> None:
    let_through(tmp_path)
    run(ship.server, "postgres", "CREATE ROLE clerk; GRANT clerk TO postgres")
    run(ship.server, "shop", "ALTER TABLE t OWNER TO clerk")
    ship.backup()
    before = holds(other)

    (record,) = ship.drill(tmp_path / "sandboxes", lent_server=other)

    assert record.verdict is Verdict.MET, record.reasons
    assert (record.sandbox.kind, record.sandbox.postgresql) == ("server", NEWEST)
    assert holds(other) == before


def test_what_a_dead_drill_left_goes_with_the_next_and_nothing_else(other: PostgresServer) -> None:
    before = holds(other)
    with pytest.raises(RuntimeError), lent(other):
        run(other, "postgres", "CREATE ROLE clerk")
        run(other, "postgres", 'CREATE DATABASE "shop-restored-20261101" OWNER clerk')
        raise RuntimeError
    assert holds(other) == before
    dying = lent(other)
    dying.__enter__()
    run(other, "postgres", "CREATE ROLE clerk")
    run(other, "postgres", 'CREATE DATABASE "shop-restored-20261101" OWNER clerk')
    run(other, "postgres", "CREATE DATABASE newcomer")
    with other.connect() as session:  # its process is gone, and its session with it
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lifeboat drill'"
        )
    with lent(other):
        assert holds(other) == {*before, "newcomer", "schema lifeboat_drill"}
    assert holds(other) == {*before, "newcomer"}
    run(other, "postgres", "DROP DATABASE newcomer")
    with pytest.raises(SandboxNotDestroyed):
        dying.__exit__(None, None, None)


def test_one_drill_at_a_time(other: PostgresServer) -> None:
    with lent(other), pytest.raises(CouldNotMeasure, match="Another drill is using"), lent(other):
        pass


def test_what_cannot_be_dropped_is_told(other: PostgresServer) -> None:
    """A role that was given something that is not the drill's."""
    with pytest.raises(SandboxNotDestroyed, match="still holds"), lent(other):
        run(other, "postgres", "CREATE ROLE clerk")
        run(other, "theirs", "CREATE TABLE kept (n int); ALTER TABLE kept OWNER TO clerk")
    run(other, "theirs", "DROP TABLE kept")
    with lent(other):
        pass
    assert "role clerk" not in holds(other)

"""A restore only ever creates, under a name of its own, and says no before it touches anything (F32, F52, F53)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.postgres import dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import LifeboatError, RestoreFailed, RestoreRefused
from lifeboat.stages import restore
from lifeboat.stages.keygen import new_identity

pytestmark = pytest.mark.postgres


def databases(server: PostgresServer) -> set[str]:
    with server.connect() as session:
        return {str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()}


def rows(server: PostgresServer, database: str, table: str) -> int:
    with server.connect(database) as session:
        (row,) = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
        return int(str(row[0]))


@pytest.mark.parametrize("as_what", ["a database", "a template", "closed to connections"])
def test_a_target_that_exists_is_refused_whatever_it_is(ship: Ship, as_what: str) -> None:
    """F52."""
    ship.backup()
    run(ship.server, "postgres", "CREATE DATABASE taken")
    if as_what == "a template":
        run(ship.server, "postgres", "ALTER DATABASE taken IS_TEMPLATE true")
    if as_what == "closed to connections":
        run(ship.server, "postgres", "ALTER DATABASE taken ALLOW_CONNECTIONS false")
    before = databases(ship.server)

    with pytest.raises(RestoreRefused, match="already has 'taken'"):
        ship.restore(databases=["shop"], new_name="taken")

    assert databases(ship.server) == before


def test_restoring_twice_is_refused_and_never_doubles_a_row(ship: Ship) -> None:
    """F52."""
    ship.backup()
    (restored,) = ship.restore(databases=["shop"])

    with pytest.raises(RestoreRefused):
        ship.restore(databases=["shop"])

    assert rows(ship.server, restored.target, "t") == 2000


def test_a_target_that_appears_meanwhile_is_not_written_to(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship.backup()
    original = restore._Work.carry_out

    def carry_out(work: restore._Work) -> None:
        run(ship.server, "postgres", "CREATE DATABASE back")
        original(work)

    monkeypatch.setattr(restore._Work, "carry_out", carry_out)

    with pytest.raises(RestoreFailed, match="back"):
        ship.restore(databases=["shop"], new_name="back")

    with ship.server.connect("back") as session:
        assert session.execute("SELECT to_regclass('t')").fetchone() == (None,)


@pytest.mark.parametrize("name", ["x" * 64, "ü" * 32, "nul\0byte"], ids=["64", "64 bytes", "nul"])
def test_a_new_name_that_postgresql_would_not_keep_is_refused(ship: Ship, name: str) -> None:
    ship.backup()
    before = databases(ship.server)

    with pytest.raises(RestoreRefused, match=r"no name|longer than 63 bytes"):
        ship.restore(databases=["shop"], new_name=name)

    assert databases(ship.server) == before


def test_two_long_names_that_are_cut_to_the_same_target_are_refused(
    server: PostgresServer, tmp_path: Path
) -> None:
    names = ["n" * 60 + ending for ending in ("one", "two")]
    for name in names:
        run(server, "postgres", f'CREATE DATABASE "{name}"')
        run(server, name, "CREATE TABLE t ()")
    ship = make_ship(server, tmp_path, *names)
    ship.backup()
    before = databases(server)

    with pytest.raises(RestoreRefused, match="the target of two databases"):
        ship.restore(databases=names)

    assert databases(server) == before
    (restored,) = ship.restore(databases=names[:1])
    assert restored.name == names[0]


def test_a_wrong_identity_is_told_before_a_database_is_made(ship: Ship) -> None:
    """F32."""
    ship.backup()
    before = databases(ship.server)

    with pytest.raises(
        RestoreRefused, match="None of the 1 identities at hand opens main-databases-"
    ) as refused:
        ship.but(operations=new_identity()).plan()

    assert "AGE-SECRET-KEY" not in str(refused.value)
    assert databases(ship.server) == before


def test_the_index_identity_of_a_worker_opens_no_part(ship: Ship) -> None:
    ship.backup()

    with pytest.raises(RestoreFailed, match="identity at hand does not open"):
        ship.restore(databases=["shop"], new_name="back", identity=ship.index.identity)  # type: ignore[attr-defined]

    assert "back" not in databases(ship.server)


def test_the_escrow_identity_alone_restores_everything(ship: Ship) -> None:
    """F32: all the others are lost."""
    ship.backup()
    survivor = ship.but(operations=ship.escrow)

    (restored,) = survivor.restore(databases=["shop"])

    assert dump_text(ship.server, restored.target, NEWEST) == dump_text(ship.server, "shop", NEWEST)


def test_a_server_that_crashes_during_a_restore_leaves_no_database_with_its_name(
    harbour: Harbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F53."""
    if not NEWEST:
        pytest.skip("no PostgreSQL server is installed")
    cluster = harbour.cluster(NEWEST, "crashing")
    server = FixedPassword.of(cluster)
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n")
    ship = make_ship(server, tmp_path, "shop")
    ship.backup()
    original = restore.name_database

    def name_database(*arguments: object, **options: object) -> list[str]:
        cluster.stop(signal.SIGQUIT)
        return original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(restore, "name_database", name_database)

    with pytest.raises(LifeboatError):
        ship.restore(databases=["shop"], new_name="back")

    monkeypatch.undo()
    cluster.start()
    assert "back" not in databases(server)
    ship.restore(databases=["shop"], new_name="back")
    assert rows(server, "back", "t") == 1000
    harbour.clean()


def test_one_table_comes_back_without_what_ties_it_to_others(ship: Ship) -> None:
    run(
        ship.server,
        "shop",
        """COMMENT ON CONSTRAINT u_id_fkey ON u IS 'a tie'; COMMENT ON CONSTRAINT t_pkey ON t IS 'the key';
           CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t; CREATE UNIQUE INDEX on_m ON m (count);
           CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
           CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION f();
           COMMENT ON TRIGGER g ON u IS 'a trigger';
           CREATE PUBLICATION p FOR TABLE u; COMMENT ON PUBLICATION p IS 'p'""",
    )
    ship.backup()

    (restored,) = ship.restore(databases=["shop"], tables=["public.u"], new_name="some")

    assert restored.rows == rows(ship.server, "some", "u") == 500
    assert rows(ship.server, "some", "t") == 0
    assert any("only some tables" in finding for finding in restored.findings)


def test_tables_and_databases_that_a_backup_does_not_hold_are_refused(ship: Ship) -> None:
    ship.backup()

    with pytest.raises(RestoreRefused, match="no database 'fleet'"):
        ship.plan(databases=["fleet"])
    with pytest.raises(RestoreRefused, match=r"no table 'public\.v'"):
        ship.plan(databases=["shop"], tables=["public.v"])
    with pytest.raises(RestoreRefused, match="has no main-databases-none"):
        ship.plan("main-databases-none")


def test_an_owner_that_the_target_lacks_is_told_by_name(ship: Ship) -> None:
    run(ship.server, "postgres", "CREATE ROLE captain; ALTER DATABASE shop OWNER TO captain")
    ship.backup()
    run(ship.server, "postgres", "ALTER DATABASE shop OWNER TO postgres; DROP ROLE captain")

    (restored,) = ship.restore(databases=["shop"])

    assert "role 'captain' does not exist here" in restored.findings[0]

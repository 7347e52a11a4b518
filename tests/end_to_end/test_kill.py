"""kill -9 at every step (F1, F3, F40): nothing is committed that does not restore, older backups are untouched, the
status tells the truth, and the next run needs no cleaning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.folders import let_through
from support.killing import MARK, insist_that_none_is_left, killed
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.spool import sweep
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.stages.incomplete_database import incomplete_database

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]

BACKUP_KILLS = [
    ("survey", "before"), ("freeze", "after"), ("dump", "before"), ("seal", "after"), ("dump", "after"),
    ("upload", "before"), ("send", "middle"), ("send", "after"), ("upload", "after"), ("check", "before"),
    ("check", "after"), ("index", "before"), ("index", "middle"), ("index", "after"), ("commit", "before"),
    ("commit", "middle"), ("commit", "after"),
]  # fmt: skip
PRUNE_KILLS = [
    ("record", "before"),
    ("record", "middle"),
    ("record", "after"),
    ("delete", "before"),
    ("delete", "after"),
]
RESTORE_KILLS = [
    ("create", "before"), ("create", "after"), ("pg_restore", "before"), ("pg_restore", "after"),
    ("load", "before"), ("part", "after"), ("rest", "before"), ("rest", "after"), ("load", "after"),
    ("loaded", "after"), ("last", "before"), ("last", "after"), ("name", "before"),
]  # fmt: skip
KEPT = {("load", "after"), ("loaded", "after"), ("last", "before"), ("last", "after"), ("name", "before")}
"""Killed here, a restore has all rows in, and its successor fetches none of them."""

MORE = """
CREATE TABLE "a b" (id int PRIMARY KEY REFERENCES t, n text UNIQUE);
INSERT INTO "a b" SELECT n, 'n' || n FROM generate_series(1, 1000) n;
CREATE TABLE p (at date, n int, PRIMARY KEY (at, n)) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO p SELECT '2026-05-05', n FROM generate_series(1, 1000) n;
CREATE INDEX ON p (n);
CREATE MATERIALIZED VIEW m AS SELECT n FROM p;
CREATE UNIQUE INDEX ON m (n);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE RULE r AS ON DELETE TO p1 DO INSTEAD NOTHING;
CREATE STATISTICS x ON id, n FROM "a b";
ALTER TABLE "a b" ENABLE ROW LEVEL SECURITY;
CREATE POLICY y ON "a b" USING (true);
CREATE PUBLICATION z FOR TABLE t, "a b";
CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'nothing is dropped here'; END$$;
CREATE EVENT TRIGGER w ON sql_drop EXECUTE FUNCTION e();
SELECT lo_from_bytea(0, 'large object');
"""
"""What is made after the rows are in, of every kind; and an event trigger that would refuse our own dropping."""


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    folder = tmp_path_factory.mktemp("kill")
    let_through(folder)
    (folder / "store").mkdir()
    with Cluster(folder / "postgres", MAJORS[-1], settings={"fsync": "off"}) as cluster:
        server = FixedPassword.of(cluster)
        with server.connect() as session:
            session.execute("CREATE DATABASE shop")
        with server.connect("shop") as session:
            session.execute("CREATE TABLE t (id int PRIMARY KEY, s text)")
            session.execute("INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
            session.execute(MORE)
        with server.connect() as session:
            session.execute("CREATE DATABASE fleet")
        with server.connect("fleet") as session:
            session.execute("CREATE TABLE small AS SELECT 1 AS n")
            # Above what shares a part with others.
            session.execute(
                "CREATE TABLE large AS SELECT n, repeat('x', 900) AS s FROM generate_series(1, 45000) n"
            )
            session.execute("CREATE INDEX ON large (n); CREATE INDEX ON large (s, n)")
        databases = ("shop", "fleet")
        ship = Ship(server=server, store=LocalTarget(folder / "store"), folder=folder, databases=databases)
        ship.backup()
        yield ship


def run_and_die(ship: Ship, action: str, step: str, moment: str, **arguments: object) -> None:
    """Run the action in a process that kills itself, and insist that it did and left no child behind."""
    killed(ship, action, step, moment, **arguments)
    # They carry its mark, or talk to its server.
    insist_that_none_is_left(**{MARK: str(ship.folder)}, PGPORT=str(ship.server.port))


def prove(ship: Ship) -> None:
    """The oracle: no doubts, every committed backup restores equal, and another backup can be taken."""
    catalog = ship.catalog()
    assert not catalog.doubts
    for entry in catalog.entries[-2:]:
        (restored,) = ship.restore(entry.manifest.backup_id, databases=["shop"])
        assert dump_text(ship.server, restored.target, MAJORS[-1]) == dump_text(
            ship.server, "shop", MAJORS[-1]
        )
        with ship.server.connect() as session:
            session.execute(f'DROP DATABASE "{restored.target}"')


@pytest.mark.parametrize(("step", "moment"), BACKUP_KILLS, ids=lambda value: str(value))
def test_backup_killed_at_a_step_leaves_only_whole_backups(ship: Ship, step: str, moment: str) -> None:
    before = {entry.manifest.backup_id for entry in ship.catalog().entries}

    run_and_die(ship, "backup", step, moment)

    new = {entry.manifest.backup_id for entry in ship.catalog().entries} - before
    assert len(new) == (1 if (step, moment) == ("commit", "after") else 0)
    swept = sweep(ship.folder / "spool")
    assert len(swept) == 1
    assert not list((ship.folder / "spool").iterdir())
    ship.backup()
    prove(ship)


@pytest.mark.parametrize(("step", "moment"), RESTORE_KILLS, ids=lambda value: str(value))
def test_restore_killed_at_a_step_never_leaves_a_database_under_its_final_name(
    ship: Ship, step: str, moment: str
) -> None:
    run_and_die(ship, "restore", step, moment, databases=["shop"], new_name="back")

    assert "back" not in databases(ship)
    fetched: list[str] = []
    (restored,) = ship.restore(databases=["shop"], new_name="back", fetched=fetched)
    tables = [name for name in fetched if name in parts_of_tables(ship)]
    assert not (tables and (step, moment) in KEPT)
    assert dump_text(ship.server, "back", MAJORS[-1]) == dump_text(ship.server, "shop", MAJORS[-1])
    with ship.server.connect() as session:
        session.execute("DROP DATABASE back")
        for name in databases(ship):
            # Killed between creating and marking it, a database is of nobody; a person is told of it.
            if ".incomplete-" in name:
                assert (step, moment) == ("create", "after")
                assert any(name in finding for finding in restored.findings)
                session.execute(f'DROP DATABASE "{name}"')


def databases(ship: Ship) -> set[str]:
    with ship.server.connect() as session:
        return {str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()}


def parts_of_tables(ship: Ship) -> set[str]:
    return {part.name for part in ship.open().parts if part.kind == "tables"}


def test_restore_that_died_with_half_its_parts_in_fetches_the_other_half(ship: Ship) -> None:
    """Killed at the second part: the first one stays where it is."""
    run_and_die(ship, "restore", "second part", "before", databases=["fleet"], new_name="back", jobs=1)

    fetched: list[str] = []
    (restored,) = ship.restore(databases=["fleet"], new_name="back", fetched=fetched)

    found = next(database for database in ship.open().databases if database.name == "fleet")
    assert restored.resumed == 1
    assert len({table.part for table in found.tables}) == 2
    assert len([name for name in fetched if name in parts_of_tables(ship)]) == 1
    assert dump_text(ship.server, "back", MAJORS[-1]) == dump_text(ship.server, "fleet", MAJORS[-1])
    with ship.server.connect() as session:
        session.execute("DROP DATABASE back")


def test_two_restores_into_the_same_target_do_not_share_a_database(ship: Ship) -> None:
    """The one that sleeps holds its database; the other one makes its own, and wins the name."""
    plan = ship.plan(databases=["shop"], new_name="back")
    (wanted,) = plan.databases
    with incomplete_database(ship.server, wanted, plan.index.backup_id) as sleeping:
        (restored,) = ship.restore(databases=["shop"], new_name="back")
        assert any(sleeping.name in finding for finding in restored.findings) is False
        assert sleeping.name in databases(ship)
    with ship.server.connect() as session:
        session.execute(f'DROP DATABASE "{sleeping.name}"')
        session.execute("DROP DATABASE back")


@pytest.fixture(scope="module")
def calm_ship(ship: Ship) -> Ship:
    """One whose store no killed backup left an index on: a prune would wait for it to be committed, for half an hour."""
    folder = ship.folder / "calm"
    folder.mkdir()
    (folder / "store").mkdir()
    return ship.but(folder=folder, store=LocalTarget(folder / "store"), anchor=None)


@pytest.mark.parametrize(("step", "moment"), PRUNE_KILLS, ids=lambda value: str(value))
def test_prune_killed_at_a_step_is_finished_by_the_next(calm_ship: Ship, step: str, moment: str) -> None:
    ship = calm_ship
    while len(ship.catalog().entries) < 4:
        ship.backup()
    doomed = ship.catalog().entries[0].manifest.backup_id

    run_and_die(ship, "prune_oldest", step, moment)

    report = ship.prune_oldest(doomed)
    names = {stat.name for stat in ship.listing()}
    needed = {stored.name for entry in ship.catalog().entries for stored in entry.manifest.needed}
    assert not [name for name in names - needed if name.startswith(doomed)]
    assert doomed not in {entry.manifest.backup_id for entry in ship.catalog().entries}
    assert ship.catalog().doubts == ()
    assert report.plan.refusals == ()
    prove(ship)

"""Tables that did not change: their old part is referred to, the new one dropped, and the backup is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.folders import let_through
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.stages import yesterday

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("carried")
    let_through(folder)
    with Cluster(folder / "postgres", MAJORS[-1], settings={"fsync": "off"}) as cluster:
        yield cluster


@pytest.fixture
def ship(cluster: Cluster, tmp_path: Path) -> Iterator[Ship]:
    (tmp_path / "store").mkdir()
    server = FixedPassword.of(cluster)
    with server.connect() as session:
        session.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        session.execute("CREATE DATABASE shop")
    with server.connect("shop") as session:
        # Larger than what shares a part, so that each has one of its own.
        for name in ("archive", "orders"):
            session.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, note text)")
            session.execute(
                f"INSERT INTO {name} SELECT n, repeat(md5(n::text), 9) FROM generate_series(1, 150000) n"
            )
        session.execute("CREATE TABLE small (id int)")
    yield Ship(server=server, store=LocalTarget(tmp_path / "store"), folder=tmp_path, databases=("shop",))


def insert(ship: Ship, statement: str = "INSERT INTO orders VALUES (0, 'new')") -> None:
    with ship.server.connect("shop") as session:
        session.execute(statement)


def prove(ship: Ship, backup_id: str | None = None) -> None:
    (restored,) = ship.restore(backup_id, databases=["shop"], new_name="proof")
    try:
        assert dump_text(ship.server, restored.target, MAJORS[-1]) == dump_text(
            ship.server, "shop", MAJORS[-1]
        )
    finally:
        with ship.server.connect() as session:
            session.execute("DROP DATABASE proof")


def test_unchanged_table_is_referred_to_and_a_changed_one_travels(ship: Ship) -> None:
    first = ship.backup().manifest
    insert(ship)

    second = ship.backup().manifest

    index = ship.open(second)
    database = index.database("shop")
    assert database is not None
    by_name = {table.name: index.part(table.part).name for table in database.tables}
    assert by_name["archive"] in {part.name for part in first.parts}
    assert by_name["orders"] in {part.name for part in second.parts}
    assert {part.name for part in second.references} >= {by_name["archive"]}
    assert second.totals.plain_bytes > first.totals.plain_bytes
    prove(ship)


def test_backup_whose_original_was_pruned_still_restores(ship: Ship) -> None:
    first = ship.backup().manifest
    for _ in range(3):
        last = ship.backup().manifest
    assert last.references

    ship.prune_oldest(first.backup_id)

    assert first.file_name not in {stat.name for stat in ship.listing()}
    prove(ship, last.backup_id)


def test_rewritten_or_altered_table_travels(ship: Ship) -> None:
    """The same rows under other columns, or in another order, are another stream."""
    ship.backup()
    insert(ship, "ALTER TABLE archive RENAME COLUMN note TO remark")

    second = ship.backup().manifest

    index = ship.open(second)
    database = index.database("shop")
    assert database is not None
    part = next(index.part(table.part).name for table in database.tables if table.name == "archive")
    assert part in {part.name for part in second.parts}
    prove(ship)


def test_first_backup_of_a_month_refers_to_nothing(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    ship.backup()
    monkeypatch.setattr(yesterday, "is_fresh_due", lambda *_: True)

    assert ship.backup().manifest.references == ()
    prove(ship)

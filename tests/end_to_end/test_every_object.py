"""Every kind of object goes out to the store and comes back equal: by pg_dump's word, row by row, on a bare server."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.every_object import of, properties, roles, three_databases
from support.folders import let_through
from support.harbour import NEWEST, Harbour, make_ship, run
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import RestoreFailed
from lifeboat.stages.incomplete_database import IncompleteDatabase

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("major", MAJORS)
def test_every_kind_of_object_comes_back_equal_on_a_bare_server(
    clean_harbour: Harbour, tmp_path: Path, major: int
) -> None:
    home, away = of(clean_harbour, major, "main"), of(clean_harbour, major, "away")
    three_databases(home)
    ship = make_ship(home, tmp_path, "every", "latin", "ascii")

    published = ship.backup()
    restored = ship.restore(server=away, databases=["every", "latin", "ascii"], with_roles=True)

    assert published.manifest.quality == "good"
    assert published.manifest.findings == ()
    assert roles(away) == roles(home)
    assert [found.findings for found in restored] == [(), (), ()]
    for found in restored:
        assert dump_text(away, found.target, major) == dump_text(home, found.name, major)
        assert properties(away, found.target) == properties(home, found.name)


@pytest.mark.parametrize("major", MAJORS)
def test_a_child_table_with_columns_in_another_order_keeps_its_rows(
    clean_harbour: Harbour, tmp_path: Path, major: int
) -> None:
    """pg_dump itself brings such a table back with its parent's order of columns: compared by name."""
    server = of(clean_harbour, major, "main")
    run(server, "postgres", "CREATE DATABASE heirs")
    run(
        server,
        "heirs",
        """CREATE TABLE parent (a int, b text, c date);
           CREATE TABLE child (c date, own float8, b text, a int);
           ALTER TABLE child INHERIT parent;
           INSERT INTO parent VALUES (1, 'x', '2020-01-01');
           INSERT INTO child VALUES ('2021-01-01', 0.5, '17', 2), (NULL, NULL, '', 3)""",
    )
    ship = make_ship(server, tmp_path, "heirs")
    ship.backup()

    (restored,) = ship.restore(databases=["heirs"])

    def rows(database: str) -> list[object]:
        with server.connect(database) as session:
            both = "SELECT tableoid::regclass::text, a, b, c FROM parent ORDER BY a"
            return [
                session.execute(both).fetchall(),
                session.execute("SELECT a, own FROM child ORDER BY a").fetchall(),
            ]

    assert restored.rows == 3
    assert rows(restored.target) == rows("heirs")


def test_foreign_keys_between_tables_of_several_parts_come_back(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a circle, to itself, across schemas: each is made when both its tables are in, while others are loaded."""
    monkeypatch.setattr("lifeboat.model.parts.LARGE_TABLE", 8192)
    run(server, "postgres", "CREATE DATABASE circle")
    run(
        server,
        "circle",
        """CREATE SCHEMA "own one";
           CREATE TABLE a (id int PRIMARY KEY, b int, parent int REFERENCES a);
           CREATE TABLE b (id int PRIMARY KEY, c int);
           CREATE TABLE "own one".c (id int PRIMARY KEY, a int);
           CREATE TABLE later (id int PRIMARY KEY, a int, b int);
           INSERT INTO a SELECT n, n, 1 FROM generate_series(1, 3000) n;
           INSERT INTO b SELECT n, n FROM generate_series(1, 3000) n;
           INSERT INTO "own one".c SELECT n, n FROM generate_series(1, 3000) n;
           INSERT INTO later SELECT n, n, n FROM generate_series(1, 3000) n;
           ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b DEFERRABLE;
           ALTER TABLE b ADD CONSTRAINT b_c FOREIGN KEY (c) REFERENCES "own one".c;
           ALTER TABLE "own one".c ADD CONSTRAINT c_a FOREIGN KEY (a) REFERENCES a;
           ALTER TABLE later ADD FOREIGN KEY (a) REFERENCES a, ADD FOREIGN KEY (b) REFERENCES b NOT VALID;
           COMMENT ON CONSTRAINT a_b ON a IS 'closes the circle'""",
    )
    ship = make_ship(server, tmp_path, "circle")
    published = ship.backup()

    keys: list[object] = []

    def dies(building: IncompleteDatabase) -> None:
        with server.connect(building.name) as session:
            keys.extend(session.execute("SELECT conname FROM pg_constraint WHERE contype = 'f'").fetchall())
        raise RestoreFailed("died when all rows and keys were in")

    with monkeypatch.context() as patched, pytest.raises(RestoreFailed):
        patched.setattr(IncompleteDatabase, "set_loaded", dies)
        ship.restore(databases=["circle"])
    (restored,) = ship.restore(databases=["circle"])

    assert len(keys) == 6, "none of them waited for the end"
    assert restored.resumed >= 4, "no table is loaded over a foreign key"
    assert len(published.manifest.parts) >= 4 + 3, "each table is a part of its own"
    assert dump_text(server, restored.target, NEWEST) == dump_text(server, "circle", NEWEST)


def test_large_objects_are_loaded_when_their_size_says_so(ship: Ship) -> None:
    run(ship.server, "shop", "SELECT lo_from_bytea(0, convert_to(repeat('sea water ', 300000), 'UTF8'))")
    ship.backup()
    fetched: list[str] = []

    ship.restore(databases=["shop"], fetched=fetched, jobs=1)

    kinds = {part.name: part.kind for part in ship.open().parts}
    assert [kinds[name] for name in fetched] == ["schema", "rest", "tables"]


@pytest.mark.skipif(18 not in MAJORS, reason="only PostgreSQL 18 takes extensions from any folder")
def test_rows_of_an_extensions_configuration_table_come_back(clean_harbour: Harbour, tmp_path: Path) -> None:
    share = tmp_path / "share"
    (share / "extension").mkdir(parents=True)
    let_through(tmp_path)  # the server runs as another user
    (share / "extension" / "own.control").write_text("default_version = '1'\nrelocatable = true\n")
    (share / "extension" / "own--1.sql").write_text(
        """CREATE TABLE own_config (key text, value text);
           INSERT INTO own_config VALUES ('built-in', '1');
           CREATE TABLE own_cache (n int);
           SELECT pg_catalog.pg_extension_config_dump('own_config', $$WHERE key <> 'built-in'$$);"""
    )
    cluster = clean_harbour.cluster(18, "extension", extension_control_path=f"{share}:$system")
    server = FixedPassword.of(cluster)
    run(server, "postgres", "CREATE DATABASE extended")
    run(
        server,
        "extended",
        "CREATE EXTENSION own; INSERT INTO own_config VALUES ('ours', '2'); CREATE TABLE t ()",
    )
    ship = make_ship(server, tmp_path, "extended")
    ship.backup()

    (restored,) = ship.restore(databases=["extended"])

    assert dump_text(server, restored.target, 18) == dump_text(server, "extended", 18)
    with server.connect(restored.target) as session:
        assert session.execute("SELECT * FROM own_config ORDER BY 1").fetchall() == [
            ("built-in", "1"),
            ("ours", "2"),
        ]

"""Every kind of object goes out to the store and comes back equal: by pg_dump's word, row by row, on a bare server."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql
from support.harbour import Harbour, make_ship, run
from support.postgres import MAJORS, dump_text
from support.servers import FixedPassword

from lifeboat.adapters import postgres_inventory as inventory
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.model.index import DatabaseProperties

pytestmark = pytest.mark.postgres

EVERY_OBJECT = Path(__file__).parents[1] / "support" / "every_object.sql"

ROLES = r"""
CREATE ROLE "every owner" NOLOGIN;
CREATE ROLE every_reader LOGIN CONNECTION LIMIT 3 VALID UNTIL '2030-01-01 00:00:00+00';
CREATE ROLE "Every ""quoted"" Röle" BYPASSRLS CREATEDB CREATEROLE NOINHERIT;
CREATE ROLE "evil""; DROP DATABASE every; --" REPLICATION;
COMMENT ON ROLE "every owner" IS E'owns; -- ''all'' \\ of it\nand more';
GRANT every_reader TO "every owner" WITH ADMIN OPTION;
GRANT "every owner", every_reader TO "Every ""quoted"" Röle";
GRANT pg_read_all_data TO "evil""; DROP DATABASE every; --";
ALTER ROLE every_reader SET search_path = a, "B; c", pg_catalog;
ALTER ROLE every_reader SET "app.motto" = 'it''s; here';
GRANT SET, ALTER SYSTEM ON PARAMETER log_min_messages TO every_reader WITH GRANT OPTION;
"""

PROPERTIES = r"""
ALTER DATABASE every OWNER TO "every owner";
ALTER DATABASE every CONNECTION LIMIT 17;
COMMENT ON DATABASE every IS E'every; \\ ''thing''\nin it';
ALTER DATABASE every SET search_path = public, "Odd schema; -- '", "$user";
ALTER DATABASE every SET datestyle = 'SQL, DMY';
ALTER DATABASE every SET extra_float_digits = 0;
ALTER DATABASE every SET "app.key" = 'a=b, "c"';
ALTER DATABASE every SET temp_tablespaces = '';
ALTER ROLE every_reader IN DATABASE every SET search_path = types, "x y";
ALTER ROLE every_reader IN DATABASE every SET work_mem = '7MB';
REVOKE ALL ON DATABASE every FROM PUBLIC;
GRANT CONNECT ON DATABASE every TO every_reader WITH GRANT OPTION;
REVOKE TEMPORARY ON DATABASE every FROM "every owner";
"""

LATIN = r"""
CREATE SCHEMA "Käse";
CREATE TABLE "Käse"."Größe" ("Länge" text, n int);
INSERT INTO "Käse"."Größe" VALUES ('é ÿ ¿', 1), (E'\u00a0', 2);
CREATE TABLE plain AS SELECT "Länge" FROM "Käse"."Größe";
COMMENT ON TABLE "Käse"."Größe" IS 'größer';
"""

ASCII = r"""
CREATE TABLE "schön" (bytes text, "übrig" int);
INSERT INTO "schön" SELECT convert_from('\xff00fe80'::bytea, 'SQL_ASCII') WHERE false;
"""


def of(harbour: Harbour, major: int, name: str) -> PostgresServer:
    return FixedPassword.of(harbour.cluster(major, name))


def properties(server: PostgresServer, database: str) -> DatabaseProperties:
    """Everything but the size, which is not a property."""
    with server.connect(database) as session:
        return inventory.read_properties(session).model_copy(update={"size": 0})


def roles(server: PostgresServer) -> list[object]:
    """What a server knows of its own roles, passwords aside."""
    with server.connect() as session:
        inherit = "inherit_option, set_option" if session.info.server_version >= 160000 else "true, true"
        queries = (
            """SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
                      rolbypassrls, rolconnlimit, rolvaliduntil, shobj_description(oid, 'pg_authid')
               FROM pg_roles WHERE oid >= 16384 ORDER BY 1""",
            f"SELECT roleid::regrole::text, member::regrole::text, admin_option, {inherit} FROM pg_auth_members "
            "WHERE member >= 16384 ORDER BY 1, 2",
            "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting WHERE setdatabase = 0 ORDER BY 1",
            "SELECT parname, paracl::text FROM pg_parameter_acl ORDER BY 1",
        )
        return [session.execute(sql.SQL(query)).fetchall() for query in queries]  # type: ignore[arg-type]


@pytest.mark.parametrize("major", MAJORS)
def test_every_kind_of_object_comes_back_equal_on_a_bare_server(
    clean_harbour: Harbour, tmp_path: Path, major: int
) -> None:
    home, away = of(clean_harbour, major, "main"), of(clean_harbour, major, "away")
    run(home, "postgres", ROLES)
    for statement in (
        "CREATE DATABASE every",
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
    ):
        run(home, "postgres", statement)
    run(home, "every", EVERY_OBJECT.read_text())
    run(home, "postgres", PROPERTIES)
    run(home, "latin", LATIN)
    run(home, "ascii", ASCII)
    fill_with_bytes_of_no_encoding(home)
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


def fill_with_bytes_of_no_encoding(server: PostgresServer) -> None:
    """Every byte but NUL, in a database that asks no questions."""
    with server.connect("ascii") as session:
        session.execute("SET client_encoding = 'SQL_ASCII'")
        values = b"".join(b"(E'%b', %d)," % (rb"\x%02x\xff" % byte, byte) for byte in range(1, 256))
        session.execute('INSERT INTO "schön" VALUES '.encode() + values[:-1])


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


@pytest.mark.skipif(18 not in MAJORS, reason="only PostgreSQL 18 takes extensions from any folder")
def test_rows_of_an_extensions_configuration_table_come_back(clean_harbour: Harbour, tmp_path: Path) -> None:
    share = tmp_path / "share"
    (share / "extension").mkdir(parents=True)
    for folder in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        folder.chmod(0o755)  # the server runs as another user
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

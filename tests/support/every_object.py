"""Roles and three databases with every kind of object, and what a server says of them: to be compared after a restore."""

from __future__ import annotations

from pathlib import Path

from psycopg import sql
from support.harbour import Harbour, run
from support.servers import FixedPassword

from lifeboat.adapters import postgres_inventory as inventory
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.model.index import DatabaseProperties

EVERY_OBJECT = Path(__file__).with_name("every_object.sql")

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


def three_databases(server: PostgresServer) -> None:
    """``every``, and two of other encodings: ``latin`` and ``ascii``."""
    run(server, "postgres", ROLES)
    for statement in (
        "CREATE DATABASE every",
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
    ):
        run(server, "postgres", statement)
    run(server, "every", EVERY_OBJECT.read_text())
    run(server, "postgres", PROPERTIES)
    run(server, "latin", LATIN)
    run(server, "ascii", ASCII)
    fill_with_bytes_of_no_encoding(server)


def fill_with_bytes_of_no_encoding(server: PostgresServer) -> None:
    """Every byte but NUL, in a database that asks no questions."""
    with server.connect("ascii") as session:
        session.execute("SET client_encoding = 'SQL_ASCII'")
        values = b"".join(b"(E'%b', %d)," % (rb"\x%02x\xff" % byte, byte) for byte in range(1, 256))
        session.execute('INSERT INTO "schön" VALUES '.encode() + values[:-1])

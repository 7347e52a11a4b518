"""What a PostgreSQL server holds, and what a backup of it would lose: queries only.

All of them run inside the transaction whose snapshot the dump uses, so that they speak of the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from psycopg import sql

from lifeboat.adapters.postgres import Session
from lifeboat.model.index import DatabaseProperties, DatabaseSetting, Grant

# What belongs to an extension comes back with it; its configuration tables are pg_dump's to read or to refuse.
_NOT_OF_AN_EXTENSION = """NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                               AND d.objid = c.oid AND d.deptype = 'e')"""

_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname, pg_table_size(c.oid)::bigint,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND {not_of_an_extension}
ORDER BY n.nspname, c.relname
"""

# Row security hides rows from everyone who is neither superuser, nor BYPASSRLS, nor an owner it is not forced on.
_HIDDEN_BY_ROW_SECURITY = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND row_security_active(c.oid)
  AND {not_of_an_extension}
ORDER BY 1
"""

_UNREADABLE_TABLES = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'))
  AND {not_of_an_extension}
ORDER BY 1
"""

_UNREADABLE_SEQUENCES = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  -- the planner may test privileges first, and that is an error for anything but a sequence
  AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT') END
  AND {not_of_an_extension}
ORDER BY 1
"""

# pg_read_all_data does not reach large objects: only owner membership or an explicit grant does (sources §4.5).
_UNREADABLE_LARGE_OBJECTS = """
SELECT count(*)::bigint FROM pg_largeobject_metadata m
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  AND NOT pg_has_role(m.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) g WHERE g.privilege_type = 'SELECT'
                  AND (g.grantee = 0 OR pg_has_role(g.grantee, 'USAGE')))
"""

_LOCKED_BY = """
SELECT string_agg(format('process %s (%s, %s) holds %s', l.pid, a.usename, coalesce(nullif(a.application_name, ''),
                  'no name'), l.mode), '; ')
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class TableFacts:
    """An ordinary table; ``size`` is its bytes on the server, ``columns`` without generated and dropped ones."""

    oid: int
    schema_name: str
    name: str
    size: int
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.schema_name}.{self.name}"


def _rows(session: Session, query: str, *parameters: object) -> list[Any]:
    text = query.replace("{not_of_an_extension}", _NOT_OF_AN_EXTENSION)
    return cast(list[Any], session.execute(cast(Any, text), parameters or None).fetchall())


def list_databases(session: Session) -> list[str]:
    """Every database that takes connections and is no template."""
    return [
        row[0]
        for row in _rows(
            session, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
        )
    ]


def bootstrap_role(session: Session) -> str:
    """The role with oid 10: the grantor that memberships need on restore (sources §4.2)."""
    return str(_rows(session, "SELECT rolname FROM pg_roles WHERE oid = 10")[0][0])


def list_tables(session: Session) -> list[TableFacts]:
    return [
        TableFacts(oid, schema, name, size, tuple(columns))
        for oid, schema, name, size, columns in _rows(session, _TABLES)
    ]


def losses(session: Session) -> list[str]:
    """What this role could not read, one sentence each; empty when the backup would be whole."""
    named = (
        ("row-level security would hide rows of {} from this role", _HIDDEN_BY_ROW_SECURITY),
        ("this role may not read table {}", _UNREADABLE_TABLES),
        ("this role may not read sequence {}", _UNREADABLE_SEQUENCES),
    )
    found = [text.format(row[0]) for text, query in named for row in _rows(session, query)]
    (count,) = _rows(session, _UNREADABLE_LARGE_OBJECTS)[0]
    return found + ([f"this role may not read {count} large objects"] if count else [])


def locked_by(session: Session) -> str:
    """Who holds exclusive locks in this database now, for the message of a lock that timed out (F8)."""
    return _rows(session, _LOCKED_BY)[0][0] or "nobody any more"


def lock_tables(session: Session, tables: list[TableFacts]) -> None:
    """Hold ACCESS SHARE on all tables, as pg_dump does, so that none is dropped or rewritten under the dump."""
    for start in range(0, len(tables), 200):
        names = sql.SQL(", ").join(sql.Identifier(t.schema_name, t.name) for t in tables[start : start + 200])
        session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(names))


def read_properties(session: Session) -> DatabaseProperties:
    """The current database's own properties."""
    provider = "datlocprovider" if session.info.server_version >= 150000 else "'c'"
    locale = {17: "datlocale", 16: "daticulocale", 15: "daticulocale"}.get(
        min(session.info.server_version // 10_000, 17), "NULL::text"
    )
    version = "datcollversion" if session.info.server_version >= 150000 else "NULL::text"
    row = _rows(
        session,
        f"""SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), {provider}::text, datcollate, datctype,
                   {locale}, {version}, datconnlimit, shobj_description(oid, 'pg_database'), datacl IS NULL,
                   pg_database_size(oid)::bigint
            FROM pg_database WHERE datname = current_database()""",  # noqa: S608 - three column names of ours
    )[0]
    grants = _rows(
        session,
        """SELECT CASE WHEN g.grantee = 0 THEN '' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type, g.is_grantable
           FROM pg_database d, aclexplode(d.datacl) g WHERE d.datname = current_database() ORDER BY 1, 2""",
    )
    settings = _rows(
        session,
        """SELECT r.rolname, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
           FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
           LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
           WHERE d.datname = current_database() ORDER BY 1 NULLS FIRST, 2""",
    )
    return DatabaseProperties(
        owner=row[0],
        encoding=row[1],
        locale_provider=row[2],
        collate=row[3],
        ctype=row[4],
        locale=row[5],
        collation_version=row[6],
        connection_limit=row[7],
        comment=row[8],
        grants=None if row[9] else tuple(Grant(grantee=g, privilege=p, grantable=a) for g, p, a in grants),
        settings=tuple(DatabaseSetting(role=r, name=n, value=v) for r, n, v in settings),
        extensions=dict(
            _rows(session, "SELECT extname::text, extversion::text FROM pg_extension ORDER BY 1")
        ),
        size=row[10],
    )

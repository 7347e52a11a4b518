"""A database as its backup describes it: created with its encoding and locale, given its properties last of all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import psycopg
from psycopg import sql

from lifeboat.adapters.postgres import PostgresServer, Session
from lifeboat.errors import RestoreFailed
from lifeboat.model.index import Database, DatabaseSetting


def create_database(session: Session, name: str, source: Database) -> None:
    """An empty database with the encoding and locale of ``source``. Raises ``RestoreFailed``."""
    properties = source.properties
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
        sql.Identifier(name),
        sql.Literal(properties.encoding),
        sql.Literal(properties.collate),
        sql.Literal(properties.ctype),
    )
    if properties.locale_provider == "i" and properties.locale:
        statement += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(properties.locale))
    elif properties.locale_provider == "b" and properties.locale:
        statement += sql.SQL(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(
            sql.Literal(properties.locale)
        )
    try:
        session.execute(statement)
    except psycopg.Error as error:
        raise RestoreFailed(
            f"The database for {source.name!r} could not be created: {' '.join(str(error).split())}",
            hint="The target needs the locale of the source and the right to create databases.",
        ) from None


def name_database(
    server: PostgresServer, source: Database, name: str, target: str, *, owner: str = ""
) -> list[str]:
    """Give the database its properties and its name, all at once or nothing. Returns findings: what needs a role that
    is not there.

    ``owner`` is who gets it instead of the owner it had; then its grants and role settings are left out, too. Raises
    ``RestoreFailed``.
    """
    try:
        with server.connect(autocommit=False) as session:
            findings = _give_properties(session, source, name, owner)
            session.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(target))
            )
            return findings
    except psycopg.Error as error:
        raise RestoreFailed(
            f"{name!r} is restored, but could not become {target!r}: {' '.join(str(error).split())}",
            hint="Restore again: what is there is not fetched again. Or rename it yourself when you have looked.",
        ) from None


def _give_properties(session: Session, source: Database, name: str, owner: str) -> list[str]:
    findings = []
    roles = {str(row[0]) for row in session.execute("SELECT rolname FROM pg_roles").fetchall()}
    for statement, needs in _property_statements(source, name, owner):
        missing = [role for role in needs if role not in roles]
        if missing:
            findings.append(
                f"role {missing[0]!r} does not exist here: {statement.as_string(session)} was left out"
            )
            continue
        session.execute(statement)
    return findings


Statement = tuple[sql.Composed, Sequence[str]]
"""A statement, and the roles it needs."""


def _property_statements(source: Database, name: str, owner: str) -> Iterator[Statement]:
    """Owner, settings, grants, comment: what no dump of a database holds."""
    database, properties = sql.Identifier(name), source.properties
    new_owner = owner or properties.owner
    yield (
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(new_owner)),
        [new_owner],
    )
    if properties.connection_limit != -1:
        limit = sql.Literal(properties.connection_limit)
        yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit), []
    comment = sql.Literal(properties.comment)  # also None: what a restore noted there goes
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, comment), []
    for setting in properties.settings:
        value = sql.SQL(" SET {} = {}").format(sql.Identifier(setting.name), _setting_value(setting))
        if setting.role is None:
            yield sql.SQL("ALTER DATABASE {}").format(database) + value, []
        elif not owner:
            head = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), database)
            yield head + value, [setting.role]
    if properties.grants is not None and not owner:
        yield from _grant_statements(source, name)


def _grant_statements(source: Database, name: str) -> Iterator[Statement]:
    database, properties = sql.Identifier(name), source.properties
    everyone = sql.SQL("PUBLIC, {}").format(sql.Identifier(properties.owner))
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, everyone), [properties.owner]
    for grant in properties.grants or ():
        who = sql.Identifier(grant.grantee) if grant.grantee else sql.SQL("PUBLIC")
        option = sql.SQL(" WITH GRANT OPTION") if grant.grantable else sql.SQL("")
        privilege = sql.SQL(cast(Any, grant.privilege))  # a keyword, from the server's own aclexplode
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(privilege, database, who) + option
        yield statement, [grant.grantee] if grant.grantee else []


_LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
_LIST_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^",\s][^",]*)')


def _setting_value(setting: DatabaseSetting) -> sql.Composable:
    """A list of names is stored with its quotes; given back as one string it would be one name, as pg_dump knows."""
    if setting.name.lower() not in _LISTS:
        return sql.Literal(setting.value)
    items = [quoted.replace('""', '"') or bare.strip() for quoted, bare in _LIST_ITEM.findall(setting.value)]
    return sql.SQL(", ").join(map(sql.Literal, items or [""]))

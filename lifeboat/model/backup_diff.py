"""What changed between two backups of a PostgreSQL server, as far as their indexes tell; of trees: ``tree_diff``.

An index names tables with their columns, rows and the digest of their COPY stream, and what belongs to a database as a
whole. Views, functions, indexes and roles are inside parts that only a restore opens, so that no change of theirs is
seen here. A digest is of the rows in the order in which they lay: it may differ although the rows are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lifeboat.errors import Refused
from lifeboat.model.index import Database, DatabaseProperties, DatabaseSetting, Grant, Index, Table
from lifeboat.model.manifest import Manifest

HIDDEN = "hidden"
"""Stands for the value of a setting that may be a secret."""
_PLAIN_PROPERTIES = (
    "owner",
    "encoding",
    "locale_provider",
    "collate",
    "ctype",
    "locale",
    "collation_version",
    "connection_limit",
    "comment",
)


class Change(StrEnum):
    ADDED = "added"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True)
class PropertyChange:
    """``before`` and ``after`` are for people; None where there was none. See ``HIDDEN``."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class TableState:
    """A table in one of the two backups; ``bytes`` are of its COPY text."""

    rows: int
    bytes: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class TableChange:
    """``differs`` is any of ``columns``, ``rows`` and ``content``; empty for a table that is in one backup only."""

    database: str
    table: str
    change: Change
    before: TableState | None
    after: TableState | None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseChange:
    """``properties`` are those that differ; empty for a database that is in one backup only."""

    database: str
    change: Change
    properties: tuple[PropertyChange, ...] = ()


@dataclass(frozen=True)
class Holding:
    """What an index names; ``bytes`` are of all COPY texts."""

    databases: int
    tables: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class DatabasesDiff:
    """Databases and tables that are the same are in ``before`` and ``after`` only.

    A database that is added or gone has each of its tables among ``tables``; a database is ``changed`` by its own
    properties, not by its tables.
    """

    before: Holding
    after: Holding
    server: tuple[PropertyChange, ...]
    databases: tuple[DatabaseChange, ...]
    tables: tuple[TableChange, ...]

    @property
    def empty(self) -> bool:
        return not (self.server or self.databases or self.tables)


def refuse_incomparable(before: Manifest, after: Manifest) -> None:
    """Raises ``Refused`` unless both are backups of one source, and of one kind."""
    if (before.chain, before.source_kind) != (after.chain, after.source_kind):
        kinds = [f"{one.service}/{one.source} ({one.source_kind})" for one in (before, after)]
        raise Refused(
            f"{before.backup_id} is a backup of {kinds[0]}, {after.backup_id} of {kinds[1]}.",
            hint="Only two backups of one source can be compared.",
        )


def diff_databases(before: Index, after: Index) -> DatabasesDiff:
    """Everything in which two indexes of one source differ, by name: a renamed table is gone, and another added."""
    older, newer = _by_name(before), _by_name(after)
    names = sorted(older.keys() | newer.keys())
    return DatabasesDiff(
        before=_holding(before),
        after=_holding(after),
        server=_differing(_server(before), _server(after)),
        databases=tuple(
            change for name in names if (change := _database_change(name, older.get(name), newer.get(name)))
        ),
        tables=tuple(
            change for name in names for change in _table_changes(name, older.get(name), newer.get(name))
        ),
    )


def _by_name(index: Index) -> dict[str, Database]:
    return {database.name: database for database in index.databases}


def _holding(index: Index) -> Holding:
    tables = [table for database in index.databases for table in database.tables]
    return Holding(
        databases=len(index.databases),
        tables=len(tables),
        rows=sum(table.rows for table in tables),
        bytes=sum(table.length for table in tables),
    )


def _database_change(name: str, before: Database | None, after: Database | None) -> DatabaseChange | None:
    if before is None or after is None:
        return DatabaseChange(name, Change.ADDED if before is None else Change.GONE)
    properties = property_changes(before.properties, after.properties)
    return DatabaseChange(name, Change.CHANGED, properties) if properties else None


def property_changes(before: DatabaseProperties, after: DatabaseProperties) -> tuple[PropertyChange, ...]:
    """What differs of a database as a whole: owner, encoding, locale, settings, privileges, extensions."""
    return _differing(_properties(before), _properties(after))


def _table_changes(name: str, before: Database | None, after: Database | None) -> list[TableChange]:
    older, newer = _tables(before), _tables(after)
    changes = []
    for key in sorted(older.keys() | newer.keys()):
        one, other = older.get(key), newer.get(key)
        kind = Change.ADDED if one is None else Change.GONE if other is None else Change.CHANGED
        differs = _differences(one, other) if one and other else ()
        if differs or kind is not Change.CHANGED:
            label = ".".join(key)
            changes.append(TableChange(name, label, kind, _state(one), _state(other), differs))
    return changes


def _tables(database: Database | None) -> dict[tuple[str, str], Table]:
    """By schema and name: labels are not unique, a name may hold a dot."""
    return {(table.schema_name, table.name): table for table in database.tables} if database else {}


def _state(table: Table | None) -> TableState | None:
    return TableState(table.rows, table.length, table.columns) if table else None


def _differences(before: Table, after: Table) -> tuple[str, ...]:
    told = (
        ("columns", before.columns != after.columns),
        ("rows", before.rows != after.rows),
        ("content", (before.length, before.sha256) != (after.length, after.sha256)),
    )
    return tuple(name for name, differs in told if differs)


# Properties: by a name for people, what is compared and what is shown

_Told = Mapping[str, tuple[str, str]]


def _differing(before: _Told, after: _Told) -> tuple[PropertyChange, ...]:
    return tuple(
        PropertyChange(
            name, before[name][1] if name in before else None, after[name][1] if name in after else None
        )
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _server(index: Index) -> _Told:
    told = {"server version": index.server_version, "bootstrap role": index.bootstrap_role}
    return {name: (value, value) for name, value in told.items()}


def _properties(properties: DatabaseProperties) -> _Told:
    """``size`` is not among them: that of a database in use is another one every time."""
    values = {name.replace("_", " "): getattr(properties, name) for name in _PLAIN_PROPERTIES}
    told = {name: str(value) for name, value in values.items() if value is not None}
    told["privileges"] = _privileges(properties.grants)
    told |= {f"extension {name}": version for name, version in properties.extensions.items()}
    settings = {_setting_name(setting): (setting.value, _shown(setting)) for setting in properties.settings}
    return {name: (value, value) for name, value in told.items()} | settings


def _privileges(grants: tuple[Grant, ...] | None) -> str:
    if grants is None:
        return "default"
    told = (
        f"{grant.grantee or 'PUBLIC'}: {grant.privilege}{' with grant option' if grant.grantable else ''}"
        for grant in grants
    )
    return ", ".join(sorted(told)) or "none"


def _setting_name(setting: DatabaseSetting) -> str:
    return f"setting {setting.name}" + (f" of role {setting.role}" if setting.role else "")


def _shown(setting: DatabaseSetting) -> str:
    """A name with a dot is an application's or an extension's own: some keep tokens there."""
    return HIDDEN if "." in setting.name else setting.value

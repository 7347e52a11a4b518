"""What a restore will do, decided before anything is fetched or touched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lifeboat.errors import RestoreRefused
from lifeboat.model.index import Database, Index, IndexPart, Table
from lifeboat.model.manifest import Manifest
from lifeboat.model.table_patterns import choose_tables

NAME_LIMIT = 63
"""Bytes PostgreSQL keeps of a database name."""


@dataclass(frozen=True)
class DatabaseRestore:
    """One database to bring back. ``partial``: only some tables, without what ties them to others."""

    source: Database
    target: str
    tables: tuple[Table, ...]
    partial: bool

    @property
    def parts(self) -> tuple[int, ...]:
        """Those that hold rows of its tables, by number."""
        return tuple(sorted({table.part for table in self.tables}))

    @property
    def fetched_parts(self) -> tuple[int, ...]:
        """All that are read from the store for it, by number."""
        rest = () if self.partial else (self.source.rest_part,)
        return (self.source.schema_part, *self.parts, *rest)


@dataclass(frozen=True)
class RestorePlan:
    """``fetch_bytes`` are sealed bytes to read from the store. ``owner`` is the role that gets everything, instead of
    the backup's owners; empty: everything belongs to whom it belonged."""

    manifest: Manifest
    index: Index
    databases: tuple[DatabaseRestore, ...]
    with_roles: bool
    owner: str = ""

    @property
    def parts(self) -> tuple[IndexPart, ...]:
        numbers = {number for database in self.databases for number in database.fetched_parts}
        if self.with_roles:
            numbers.add(self.index.globals_part)
        return tuple(part for part in self.index.parts if part.number in numbers)

    @property
    def fetch_bytes(self) -> int:
        return sum(part.size for part in self.parts)


def plan_restore(
    manifest: Manifest,
    index: Index,
    *,
    databases: Sequence[str] = (),
    tables: Sequence[str] = (),
    new_name: str | None = None,
    with_roles: bool = False,
    owner: str = "",
    present: Collection[str] = (),
) -> RestorePlan:
    """Choose databases (all when none is named) and tables of a backup, and name the targets.

    ``tables`` are names or patterns as ``table_patterns`` reads them (all when there is none). A target is
    ``<database>-restored-<day>`` unless ``new_name`` says otherwise. Raises ``RestoreRefused`` for what the backup
    does not hold, and for a target that exists already (F52).
    """
    names = dict.fromkeys(databases)
    chosen = [_database(index, name) for name in names] if names else list(index.databases)
    if (tables or new_name) and len(chosen) != 1:
        raise RestoreRefused(
            "A table or a new name needs exactly one database.",
            hint=f"Choose one of: {', '.join(database.name for database in index.databases)}.",
        )
    restores = tuple(
        DatabaseRestore(
            source=database,
            target=new_name or default_name(database.name, manifest),
            tables=_tables(database, tables) if tables else database.tables,
            partial=bool(tables),
        )
        for database in chosen
    )
    _refuse_bad_names([restore.target for restore in restores])
    taken = [restore.target for restore in restores if restore.target in present]
    if taken:
        raise RestoreRefused(
            f"The target already has {', '.join(map(repr, taken))}: a restore only ever creates databases.",
            hint="Choose another name with --as, or drop the old one yourself.",
        )
    return RestorePlan(manifest, index, restores, with_roles, owner)


def _refuse_bad_names(targets: Sequence[str]) -> None:
    """PostgreSQL cuts long names without a word: another database than was asked for, or twice the same."""
    unfit = [target for target in targets if "\0" in target]
    if unfit:
        raise RestoreRefused(f"{unfit[0]!r} is no name for a database.")
    long = [target for target in targets if len(target.encode()) > NAME_LIMIT]
    twice = sorted({target for target in targets if targets.count(target) > 1})
    if long or twice:
        what = f"longer than {NAME_LIMIT} bytes" if long else "the target of two databases"
        raise RestoreRefused(
            f"{(long or twice)[0]!r} is {what}.",
            hint="Restore one database at a time, with --as and a short name.",
        )


def default_name(name: str, manifest: Manifest) -> str:
    """``shop-restored-20261123``, shortened to what PostgreSQL keeps."""
    return _shortened(name, f"-restored-{manifest.day:%Y%m%d}")


def dated_name(name: str, what: str, moment: dt.datetime) -> str:
    """``shop-before-20261123T140502Z``, shortened likewise."""
    return _shortened(name, f"-{what}-{moment.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}")


def _shortened(name: str, ending: str) -> str:
    return name.encode()[: NAME_LIMIT - len(ending)].decode(errors="ignore") + ending


def incomplete_name(target: str, suffix: str) -> str:
    """What a target is called until it is whole: no application connects to it by mistake (F53)."""
    return incomplete_prefix(target) + suffix


def incomplete_prefix(target: str) -> str:
    """What all incomplete databases of a target begin with; six characters follow."""
    ending = ".incomplete-"
    return _shortened(target, f"{ending}{'x' * 6}")[:-6]


def _database(index: Index, name: str) -> Database:
    found = index.database(name)
    if found is None:
        raise RestoreRefused(
            f"Backup {index.backup_id} has no database {name!r}.",
            hint=f"It has: {', '.join(repr(database.name) for database in index.databases)}.",
        )
    return found


def _tables(database: Database, patterns: Sequence[str]) -> tuple[Table, ...]:
    chosen = choose_tables([database], patterns)
    if chosen.unmatched:
        raise RestoreRefused(
            f"Database {database.name!r} of this backup has no table {', '.join(map(repr, chosen.unmatched))}.",
            hint="Write schema.table, or a pattern like 'public.*'; `lifeboat tables` lists them.",
        )
    if chosen.ambiguous:
        raise RestoreRefused(
            f"Database {database.name!r} of this backup has several tables {', '.join(map(repr, chosen.ambiguous))}.",
            hint="Write a dot inside a name as [.]: 'a[.]b.c' is table c of schema a.b.",
        )
    return tuple(table for _, table in chosen.tables)

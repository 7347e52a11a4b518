"""``lifeboat diff``: what changed from one backup of a source to another, from their indexes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, instant, line, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.open_environment import OpenEnvironment
    from lifeboat.model.backup_diff import DatabasesDiff, PropertyChange, TableState
    from lifeboat.model.manifest import Manifest
    from lifeboat.model.tree_diff import Counts, TreeDiff

Row = tuple[object, ...]


def diff(
    environment: EnvironmentName,
    backup_a: Annotated[str, typer.Argument(metavar="BACKUP_A", help="The backup before.")],
    backup_b: Annotated[
        str, typer.Argument(metavar="BACKUP_B", help="The backup after, of the same source.")
    ],
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="Show this many changes; all are counted.")
    ] = 50,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Say what changed between two backups of a source, from their indexes; no data is fetched.

    With --json every change is told, whatever the limit.
    """
    from cli.open_backup import find_entries
    from cli.open_environment import open_environment
    from lifeboat.model.backup_diff import DatabasesDiff, refuse_incomparable

    opened = open_environment(policy, environment)
    before, after = (entry.manifest for entry in find_entries(opened, backup_a, backup_b))
    refuse_incomparable(before, after)
    found = _compared(opened, before, after, None if as_json else limit)
    shown = _databases_tables(found, limit) if isinstance(found, DatabasesDiff) else _tree_tables(found)
    data = {"before": _backup_data(before), "after": _backup_data(after), "diff": found}
    Output(as_json).result(
        data, _heading(before, after), *(shown if not found.empty else []), *_ending(found, limit)
    )


def _compared(
    opened: OpenEnvironment, before: Manifest, after: Manifest, limit: int | None
) -> DatabasesDiff | TreeDiff:
    from cli.open_backup import open_index
    from lifeboat.model.backup_diff import diff_databases
    from lifeboat.model.tree_diff import diff_trees
    from lifeboat.model.tree_index import TreeIndex

    older, newer = open_index(opened, before), open_index(opened, after)
    if isinstance(older, TreeIndex):
        assert isinstance(newer, TreeIndex)  # refused before when the kinds differ
        return diff_trees(older.members(), newer.members(), limit=limit)
    assert not isinstance(newer, TreeIndex)
    return diff_databases(older, newer)


def _backup_data(manifest: Manifest) -> dict[str, object]:
    return {
        "backup_id": manifest.backup_id,
        "data_timestamp": manifest.data_timestamp,
        "quality": manifest.quality,
        "totals": manifest.totals,
    }


def _heading(before: Manifest, after: Manifest) -> RenderableType:
    from lifeboat.model.outcome import holdings, human_bytes

    rows = [
        (
            name,
            one.backup_id,
            instant(one.data_timestamp),
            one.quality,
            holdings(one.totals),
            human_bytes(one.totals.plain_bytes),
        )
        for name, one in (("before", before), ("after", after))
    ]
    return table(["", "=backup", "=data of", "quality", "holds", ">size"], rows)


def _ending(found: DatabasesDiff | TreeDiff, limit: int) -> list[RenderableType]:
    from lifeboat.model.backup_diff import DatabasesDiff

    if found.empty:
        return [line("Nothing that an index tells is different.")]
    left_out = max(len(found.tables) - limit, 0) if isinstance(found, DatabasesDiff) else found.left_out
    return [line(f"And {left_out:,} more: see them with --limit or --json.")] if left_out else []


def _databases_tables(found: DatabasesDiff, limit: int) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes

    before, after = found.before, found.after
    counts = [
        _count_row("databases", before.databases, after.databases, [one.change for one in found.databases]),
        _count_row("tables", before.tables, after.tables, [one.change for one in found.tables]),
        ("rows", f"{before.rows:,}", "", "", "", f"{after.rows:,}"),
        ("bytes", human_bytes(before.bytes), "", "", "", human_bytes(after.bytes)),
    ]
    shown = [_counts_table(counts)]
    if properties := _property_rows(found):
        shown.append(table(["database", "change", "property", "before", "after"], properties))
    tables = [
        (
            one.database,
            one.table,
            str(one.change),
            _rows(one.before),
            _rows(one.after),
            _size(one.before),
            _size(one.after),
            ", ".join(one.differs),
        )
        for one in found.tables[:limit]
    ]
    columns = ["database", "table", "change", ">rows before", ">after", ">size before", ">after", "different"]
    return [*shown, table(columns, tables)] if tables else shown


def _property_rows(found: DatabasesDiff) -> list[Row]:
    """One row for each property that differs, and for each database that is added or gone."""
    rows: list[Row] = [("the server", "changed", *_told(one)) for one in found.server]
    for database in found.databases:
        told = [_told(one) for one in database.properties] or [("", "–", "–")]
        rows += [(database.database, str(database.change), *cells) for cells in told]
    return rows


def _told(one: PropertyChange) -> tuple[str, str, str]:
    return (one.name, "–" if one.before is None else one.before, "–" if one.after is None else one.after)


def _count_row(name: str, before: int, after: int, changes: Sequence[str]) -> Row:
    told = (changes.count(change) for change in ("added", "gone", "changed"))
    return (name, f"{before:,}", *(f"{count:,}" for count in told), f"{after:,}")


def _counts_table(rows: Sequence[Row]) -> RenderableType:
    return table(["", ">before", ">added", ">gone", ">changed", ">after"], rows)


def _rows(state: TableState | None) -> str:
    return f"{state.rows:,}" if state else "–"


def _size(state: TableState | None) -> str:
    from lifeboat.model.outcome import human_bytes

    return human_bytes(state.bytes) if state else "–"


def _tree_tables(found: TreeDiff) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes

    sizes = found.bytes
    counts = [
        _entries_row("files", found.files),
        _entries_row("directories", found.directories),
        _entries_row("links", found.links),
        (
            "bytes",
            *(
                human_bytes(size)
                for size in (sizes.before, sizes.added, sizes.gone, sizes.rewritten, sizes.after)
            ),
        ),
    ]
    rows = [
        (
            one.path,
            str(one.kind),
            str(one.change),
            "–" if one.size_before is None else human_bytes(one.size_before),
            "–" if one.size_after is None else human_bytes(one.size_after),
            ", ".join(one.differs),
        )
        for one in found.changes
    ]
    changes = table(["path", "kind", "change", ">size before", ">after", "different"], rows)
    return [_counts_table(counts), changes] if rows else [_counts_table(counts)]


def _entries_row(name: str, counts: Counts) -> Row:
    told = (counts.before, counts.added, counts.gone, counts.changed, counts.after)
    return (name, *(f"{count:,}" for count in told))

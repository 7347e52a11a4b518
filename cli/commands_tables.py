"""``lifeboat tables``: which tables a backup holds, from its index."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, table
from lifeboat.errors import Refused

PATTERNS_HELP = "Names or globs, 'public.orders', 'public.*' or 'shop.*.*'; everything when left out."


def tables(
    environment: EnvironmentName,
    backup_id: Annotated[str, typer.Argument(metavar="BACKUP_ID", help="As `lifeboat list` shows it.")],
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN]...", help=PATTERNS_HELP, show_default=False)
    ] = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """List the tables of a backup from its index; no data is fetched."""
    from cli.open_backup import find_entry, open_index
    from cli.open_environment import open_environment
    from lifeboat.model.outcome import human_bytes
    from lifeboat.model.table_patterns import choose_tables
    from lifeboat.model.tree_index import TreeIndex

    opened = open_environment(policy, environment)
    index = open_index(opened, find_entry(opened, backup_id).manifest)
    if isinstance(index, TreeIndex):
        raise Refused(
            f"{backup_id} is a backup of files.",
            hint=f"`lifeboat files {environment} {backup_id}` lists them.",
        )
    chosen = choose_tables(index.databases, patterns or [])
    parts = {part.number: part.name for part in index.parts}
    told = [
        {
            "database": database.name,
            "table": found.label,
            "rows": found.rows,
            "bytes": found.length,
            "part": parts[found.part],
        }
        for database, found in chosen.tables
    ]
    rows = [
        (each["database"], each["table"], f"{each['rows']:,}", human_bytes(found.length), each["part"])
        for each, (_, found) in zip(told, chosen.tables, strict=True)
    ]
    output = Output(as_json)
    output.result(
        {"backup_id": backup_id, "tables": told, "unmatched": chosen.unmatched},
        table(["database", "table", ">rows", ">size", "=part"], rows),
    )
    for pattern in chosen.unmatched:
        output.message(f"No table of this backup is {pattern!r}.")

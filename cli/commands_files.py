"""``lifeboat files``: what is in the backup of a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, table
from lifeboat.errors import Refused

if TYPE_CHECKING:
    from lifeboat.model.tree import Member
    from lifeboat.model.tree_index import TreeIndex

PATTERNS_HELP = "Glob patterns below the top, like 'customers/17/**' or '**/*.pdf'; everything when left out."


def files(
    environment: EnvironmentName,
    backup_id: Annotated[str, typer.Argument(metavar="BACKUP_ID", help="As `lifeboat list` shows it.")],
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN]...", help=PATTERNS_HELP, show_default=False)
    ] = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """List the files of a backup from its index; no data is fetched."""
    from cli.open_backup import find_entry, open_index
    from cli.open_environment import open_environment
    from lifeboat.model.outcome import human_bytes
    from lifeboat.model.tree_index import TreeIndex

    opened = open_environment(policy, environment)
    manifest = find_entry(opened, backup_id).manifest
    index = open_index(opened, manifest)
    if not isinstance(index, TreeIndex):
        raise Refused(
            f"{backup_id} is no backup of files.",
            hint=f"`lifeboat tables {environment} {backup_id}` lists its tables.",
        )
    found = [member.entry for member in _matching(index, patterns or [])]
    rows = [
        (
            entry.to_json()["path"],
            str(entry.kind),
            human_bytes(entry.size) if entry.size else "",
            _time_of(entry.mtime_ns),
        )
        for entry in found
    ]
    data = {"backup_id": backup_id, "files": [entry.to_json() for entry in found]}
    Output(as_json).result(data, table(["=path", "kind", ">size", "=modified (UTC)"], rows))


def _matching(index: TreeIndex, patterns: list[str]) -> Iterator[Member]:
    from lifeboat.model.patterns import Selection

    takes: Callable[[bytes], bool] = Selection(include=tuple(patterns) or ("**",)).takes
    return (member for member in index.members() if takes(member.entry.path))


def _time_of(mtime_ns: int) -> str:
    import datetime as dt

    # Not fromtimestamp: a file may be dated before 1970, or far beyond.
    try:
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return "–"
    return f"{moment:%Y-%m-%d %H:%M:%S}"

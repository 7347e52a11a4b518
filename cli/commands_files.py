"""``lifeboat files`` and ``lifeboat restore-files``: what is in the backup of a tree, and bringing it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands_restore import ask, parse_moment
from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, instant, table
from lifeboat.errors import Refused

if TYPE_CHECKING:
    from lifeboat.model.manifest import Manifest
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
    from cli.commands_list import find_entry, open_index
    from cli.open_environment import open_environment
    from lifeboat.model.outcome import human_bytes
    from lifeboat.model.tree_index import TreeIndex

    opened = open_environment(policy, environment)
    manifest = find_entry(opened, backup_id).manifest
    index = open_index(opened, manifest)
    if not isinstance(index, TreeIndex):
        raise Refused(
            f"{backup_id} is no backup of files.", hint="`lifeboat show --tables` lists its tables."
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


def restore_files(
    environment: EnvironmentName,
    source: Annotated[str, typer.Argument(metavar="SERVICE/SOURCE", help="Whose backup.")],
    folder: Annotated[
        str, typer.Option("--to", metavar="FOLDER", help="The folder to make; it must not exist.")
    ],
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN]...", help=PATTERNS_HELP, show_default=False)
    ] = None,
    backup: Annotated[
        str | None,
        typer.Option("--backup", metavar="ID", help="This backup; the newest good one when left out."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The newest good backup of TIME or before: 2026-11-23T14:00, policy's zone.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Parts fetched at the same time.")
    ] = 3,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is created.")] = False,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Restore files of a backup into a new folder of this host; nothing that exists is touched.

    Runs on a host that holds an identity: LIFEBOAT_IDENTITY_FILE names its file. The plan is shown first, and what was
    shown is what is restored, even if a newer backup arrives meanwhile.
    """
    from pathlib import Path

    from cli.open_environment import open_environment
    from cli.prefect_api import prefect_errors
    from lifeboat.model.manifest import chain_name
    from lifeboat.stages.fetch import choose, fetch_tree_index, read_catalog, read_identities
    from tasks.restore_board import identity_path

    service, source_name = split_source(source)
    identities = read_identities(identity_path())
    opened = open_environment(policy, environment)
    catalog = read_catalog(opened.store, opened.name, chain_name(service, source_name), opened.trusted)
    moment = parse_moment(at, opened.policy.time_zone) if at else None
    manifest = choose(catalog, backup_id=backup, at=moment).manifest
    index = fetch_tree_index(opened.store, manifest, identities)
    plan = plan_data(manifest, index, patterns or [], str(Path(folder).absolute()))
    output = Output(as_json)
    if not as_json:
        output.result(None, _plan_table(manifest, plan))
    if not yes:
        ask(f"{plan['files']:,} files")
    from flows.restore import restore_files as flow

    with prefect_errors():
        restored = flow(
            environment, service, source_name, plan["folder"],
            paths=patterns, backup=manifest.backup_id, policy=policy, jobs=jobs,
        )  # fmt: skip
    rows = [(str(restored.folder), f"{restored.files:,}", f"{restored.seconds:.1f}")]
    output.result({"plan": plan, "restored": restored}, table(["restored into", ">files", ">seconds"], rows))


def plan_data(manifest: Manifest, index: TreeIndex, patterns: list[str], folder: str) -> dict[str, Any]:
    """What would come back: counts, and bytes of the parts that hold it."""
    found = list(_matching(index, patterns))
    parts = {member.part for member in found if member.part}
    return {
        "backup_id": manifest.backup_id,
        "quality": manifest.quality,
        "data_timestamp": manifest.data_timestamp,
        "folder": folder,
        "files": sum(1 for member in found if member.part),
        "bytes": sum(member.entry.size for member in found),
        "fetch_bytes": sum(index.header.part(number).size for number in parts),
    }


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


def _plan_table(manifest: Manifest, plan: dict[str, Any]) -> Any:  # noqa: ANN401 - what Rich prints
    from lifeboat.model.outcome import human_bytes

    rows = [
        ("from", f"{manifest.backup_id} ({manifest.quality}), data of {instant(manifest.data_timestamp)}"),
        ("files", f"{plan['files']:,}, {human_bytes(plan['bytes'])}"),
        ("to fetch", f"at most {human_bytes(plan['fetch_bytes'])}"),
        ("into", f"{plan['folder']}, a new folder"),
    ]
    return table(["restore of files", ""], rows)

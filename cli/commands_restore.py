"""``lifeboat restore``: show what would come back, ask, and bring it back under a new name."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, console, instant, table
from lifeboat.errors import Cancelled, Refused

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.open_environment import OpenEnvironment
    from lifeboat.model.restore_plan import RestorePlan
    from lifeboat.stages.restore import RestoredDatabase

Databases = Annotated[
    list[str] | None,
    typer.Option(
        "--database", metavar="NAME", help="Only this database; may be given again. All when left out."
    ),
]
Tables = Annotated[
    list[str] | None,
    typer.Option(
        "--table", metavar="SCHEMA.TABLE", help="Only this table of one database; may be given again."
    ),
]


def restore(
    environment: EnvironmentName,
    source: Annotated[str, typer.Argument(metavar="SERVICE/SOURCE", help="Whose backup.")],
    target: Annotated[
        str, typer.Option("--target", metavar="BLOCK", help="The postgres-server block to restore into.")
    ],
    database: Databases = None,
    table: Tables = None,
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
    new_name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="The new database's name; <database>-restored-<day> else."),
    ] = None,
    with_roles: Annotated[
        bool, typer.Option("--with-roles", help="Also create the roles that the target lacks.")
    ] = False,
    target_environment: Annotated[
        str | None,
        typer.Option(
            "--target-environment",
            metavar="ENV",
            help="The target's environment, if another; the policy decides.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Tables loaded at the same time.")
    ] = 2,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is created.")] = False,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Restore databases of a backup into new databases of a server; existing ones are never touched.

    Runs on a host that holds an identity: LIFEBOAT_IDENTITY_FILE names its file. The plan is shown first, and what was
    shown is what is restored, even if a newer backup arrives meanwhile.
    """
    from cli.open_environment import open_environment
    from cli.prefect_api import prefect_errors
    from tasks.restore_board import identity_path, refuse_foreign_target

    service, source_name = split_source(source)
    identity_path()
    opened = open_environment(policy, environment)
    refuse_foreign_target(opened.policy, environment, target_environment or environment)
    plan = _plan(
        opened, service, source_name, target,
        backup=backup, at=parse_moment(at, opened.policy.time_zone) if at else None,
        databases=database or [], tables=table or [], new_name=new_name, with_roles=with_roles,
    )  # fmt: skip
    output = Output(as_json)
    if not as_json:
        output.result(None, *_plan_tables(plan, target))
    if not yes:
        ask(f"{len(plan.databases)} databases")
    from flows.restore import restore_databases

    with prefect_errors():
        restored = restore_databases(
            environment, service, source_name, target,
            databases=[wanted.source.name for wanted in plan.databases], tables=table or [],
            backup=plan.manifest.backup_id, new_name=new_name, with_roles=with_roles,
            target_environment=target_environment, policy=policy, jobs=jobs,
        )  # fmt: skip
    output.result({"plan": plan_data(plan, target), "restored": restored}, _restored_table(restored))


def parse_moment(text: str, time_zone: str) -> dt.datetime:
    """An instant in ISO 8601; without an offset it is a wall time of ``time_zone``, the earlier one of two.

    Raises ``typer.BadParameter`` for anything else.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write it like 2026-11-23T14:00 or 2026-11-23T13:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(time_zone))).astimezone(dt.UTC)


def _plan(
    opened: OpenEnvironment,
    service: str,
    source_name: str,
    target: str,
    *,
    backup: str | None,
    at: dt.datetime | None,
    **choice: Any,  # noqa: ANN401 - the keywords of plan_restore
) -> RestorePlan:
    from blocks.harbour import load_block_server
    from cli.prefect_api import prefect_errors
    from lifeboat.model.manifest import chain_name
    from lifeboat.model.restore_plan import plan_restore
    from lifeboat.stages.fetch import choose, fetch_index, read_catalog, read_identities
    from lifeboat.stages.restore import databases_present
    from tasks.restore_board import identity_path

    identities = read_identities(identity_path())
    with prefect_errors():
        server = load_block_server(target)
    catalog = read_catalog(opened.store, opened.name, chain_name(service, source_name), opened.trusted)
    manifest = choose(catalog, backup_id=backup, at=at).manifest
    index = fetch_index(opened.store, manifest, identities)
    return plan_restore(manifest, index, present=databases_present(server), **choice)


def ask(what: str) -> None:
    """Ask ``Create <what> as shown?``; raise unless a person says yes. Whoever is not there cannot agree."""
    if not sys.stdin.isatty():
        raise Refused(
            f"This would create {what}, and there is no terminal to ask on.",
            hint="Add --yes if the plan is right.",
        )
    try:
        answer = console(stderr=True).input(f"Create {what} as shown? Type yes: ")
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise Cancelled("Not restored: nothing was created or changed.")


def plan_data(plan: RestorePlan, target: str) -> dict[str, Any]:
    """The plan as JSON knows it; names only, no index."""
    return {
        "backup_id": plan.manifest.backup_id,
        "quality": plan.manifest.quality,
        "data_timestamp": plan.manifest.data_timestamp,
        "fetch_bytes": plan.fetch_bytes,
        "target_block": target,
        "with_roles": plan.with_roles,
        "databases": [
            {
                "name": wanted.source.name,
                "target": wanted.target,
                "tables": len(wanted.tables),
                "partial": wanted.partial,
            }
            for wanted in plan.databases
        ],
    }


def _plan_tables(plan: RestorePlan, target: str) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes

    manifest = plan.manifest
    rows = [
        (
            wanted.source.name,
            wanted.target,
            instant(wanted.source.data_timestamp),
            f"{len(wanted.tables)} tables only" if wanted.partial else f"all {len(wanted.tables)} tables",
            f"{sum(found.rows for found in wanted.tables):,}",
        )
        for wanted in plan.databases
    ]
    roles = ", and the roles that it lacks" if plan.with_roles else ""
    title = (
        f"From {manifest.backup_id} ({manifest.quality}, data of {instant(manifest.data_timestamp)}), "
        f"{human_bytes(plan.fetch_bytes)} to fetch, into the server of block {target!r}{roles}:"
    )
    return [table(["database", "would be created as", "data of", "what", ">rows"], rows, title=title)]


def _restored_table(restored: list[RestoredDatabase]) -> RenderableType:
    rows = [
        (
            done.name,
            done.target,
            done.tables,
            f"{done.rows:,}",
            f"{done.seconds:.1f}",
            "; ".join(done.findings) or "–",
        )
        for done in restored
    ]
    return table(["database", "restored as", ">tables", ">rows", ">seconds", "findings"], rows)

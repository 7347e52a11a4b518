"""``lifeboat restore``: show what would come back, ask, and bring it back; with Prefect, or without any server."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, console, instant, line, table
from cli.restore_ways import Targets, blocks_from, carry_out_directly, carry_out_with_prefect, open_places
from lifeboat.errors import Cancelled, Refused

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lifeboat.model.policy import Policy
    from lifeboat.model.restore_outcome import PlannedObject, RestoreOutcome
    from lifeboat.stages.restore_order import RestoreOrder
    from tasks.restore_board import Destination


def restore(
    environment: EnvironmentName,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE/SOURCE]...",
            help="Whose backups; all of one run when left out.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target", metavar="BLOCK", help="The postgres-server block to restore databases into."
        ),
    ] = "",
    folder: Annotated[
        str, typer.Option("--to", metavar="FOLDER", help="The folder to make for files: a path, or a URL.")
    ] = "",
    files_block: Annotated[
        str,
        typer.Option("--files-block", metavar="BLOCK", help="The block that may write to the URL of --to."),
    ] = "",
    broker: Annotated[
        str,
        typer.Option(
            "--broker", metavar="BLOCK", help="The http-export block that imports RabbitMQ's definitions."
        ),
    ] = "",
    into_used: Annotated[
        bool, typer.Option("--into-used", help="Import also into a broker that holds definitions already.")
    ] = False,
    database: Annotated[
        list[str] | None,
        typer.Option(
            "--database", metavar="NAME", help="Only this database; may be given again. All when left out."
        ),
    ] = None,
    table_name: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="PATTERN",
            help="Only tables like 'public.*' of one database; may be given again.",
        ),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            "--path", metavar="PATTERN", help="Only files like 'customers/17/**'; may be given again."
        ),
    ] = None,
    backup: Annotated[
        str | None,
        typer.Option("--backup", metavar="ID", help="This backup; the newest good one when left out."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="The backups that this run took.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The newest good backup of 2026-11-23T14:00 or before (policy's zone).",
        ),
    ] = None,
    newest_of_each: Annotated[
        bool,
        typer.Option("--newest-of-each", help="Each source's newest, even if they are of different runs."),
    ] = False,
    new_name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="The new database's name; <database>-restored-<day> else."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put databases in the place of the live ones, which are kept.")
    ] = False,
    with_roles: Annotated[
        bool, typer.Option("--with-roles", help="Also create the roles that the target lacks.")
    ] = False,
    owner: Annotated[
        str, typer.Option("--owner", metavar="ROLE", help="Give everything to this role; leave grants out.")
    ] = "",
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Parts loaded at the same time.")
    ] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and end there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, unless something live is touched.")] = False,
    approve: Annotated[
        str, typer.Option("--approve", metavar="NAME", help="What the plan asks to be typed, if you know it.")
    ] = "",
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Without a Prefect server: blocks come from the file of --blocks."),
    ] = False,
    blocks: Annotated[
        Path | None, typer.Option("--blocks", metavar="FILE", help="A file as for `lifeboat blocks apply`.")
    ] = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Restore databases into a server, files into a new folder, definitions into a broker.

    Runs on a host that holds an identity: LIFEBOAT_IDENTITY_FILE names its file. The plan is shown first, and what was
    shown is what is restored, even if a newer backup arrives meanwhile.
    """
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.model.restore_outcome import approval_wanted
    from lifeboat.stages.drill_records import estimate_restoration
    from lifeboat.stages.restoration import plan_restoration
    from tasks.restore_board import identity_path

    for label in sources or ():
        split_source(label)
    identity_path()
    rules = read_policy(Path(policy))
    targets = Targets(target, folder, files_block, broker)
    moment = parse_moment(at, rules.time_zone) if at else None
    with blocks_from(blocks, direct=direct):
        destination = open_places(rules, environment, targets, direct=direct)
        order = _order(
            rules, environment, destination, sources=tuple(sources or ()), point=(backup, moment, run),
            newest_of_each=newest_of_each, databases=tuple(database or ()), tables=tuple(table_name or ()),
            paths=tuple(path or ()), new_name=new_name, replace=replace, with_roles=with_roles, owner=owner,
            into_used=into_used,
        )  # fmt: skip
        items = plan_restoration(order, destination.places)
        planned = [each for item in items for each in item.described()]
        wanted = approval_wanted(planned, environment, destination.environment)
        estimate = estimate_restoration(order, destination.places, planned)
        output = Output(as_json)
        if not as_json:
            output.result(None, *_plan_tables(planned), *map(line, estimate.sentences))
        if dry_run:
            output.result({"plan": planned, "estimate": estimate, "approval": wanted}) if as_json else None
            return
        approval = _agreed(planned, wanted, approve, yes=yes)
        outcomes = (
            carry_out_directly(rules, order, items, destination, jobs)
            if direct
            else carry_out_with_prefect(order, items, targets, approval, policy, jobs)
        )
    from tasks.restore import raise_if_failed

    if not as_json:
        output.result(None, _outcome_table(outcomes))
    raise_if_failed(outcomes)
    if as_json:
        output.result({"plan": planned, "estimate": estimate, "restored": outcomes})


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


def _order(
    rules: Policy,
    environment: str,
    destination: Destination,
    *,
    point: tuple[str | None, dt.datetime | None, str | None],
    **choice: Any,  # noqa: ANN401 - fields of RestoreOrder
) -> RestoreOrder:
    from lifeboat.model.restore_choice import Point
    from lifeboat.stages.restore_order import RestoreOrder

    return RestoreOrder(
        environment=environment,
        target_environment=destination.environment,
        known_sources=rules.environment(environment).source_labels,
        point=Point(*point),
        **choice,
    )


def _agreed(planned: Sequence[PlannedObject], wanted: str, given: str, *, yes: bool) -> str:
    """What was typed to approve; raises unless a person agreed. Whoever is not there cannot agree."""
    from lifeboat.model.restore_outcome import refuse_other_approval

    if wanted and given:
        refuse_other_approval(wanted, given)
        return given
    if not wanted and yes:
        return ""
    question = (
        f"Type {wanted!r} to go on: " if wanted else f"Restore {len(planned)} objects as shown? Type yes: "
    )
    if not sys.stdin.isatty():
        raise Refused(
            f"This would restore {len(planned)} objects, and there is no terminal to ask on.",
            hint=f"Add --approve {wanted!r} if the plan is right."
            if wanted
            else "Add --yes if the plan is right.",
        )
    try:
        answer = console(stderr=True).input(question).strip()
    except EOFError:
        answer = ""
    if answer != wanted if wanted else answer.lower() != "yes":
        raise Cancelled("Not restored: nothing was created or changed.")
    return answer if wanted else ""


def _plan_tables(planned: Sequence[PlannedObject]) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes

    rows = [
        (
            each.source,
            each.backup_id,
            instant(each.data_timestamp),
            each.what,
            each.holds,
            human_bytes(each.fetch_bytes),
            f"{each.target}{' (LIVE)' if each.live else ''}",
        )
        for each in planned
    ]
    columns = ["=source", "=backup", "data of", "what", "holds", ">to fetch", "would be restored as"]
    notes = [(each.what, note) for each in planned for note in each.notes]
    shown: list[RenderableType] = [table(columns, rows, title="Plan")]
    return shown + ([table(["note on", ""], notes)] if notes else [])


def _outcome_table(outcomes: Sequence[RestoreOutcome]) -> RenderableType:
    rows = [
        (
            done.source,
            done.what,
            done.target,
            done.state,
            f"{done.rows or done.files:,}",
            f"{done.seconds:.1f}",
            "; ".join((*done.findings, *([done.failure] if done.failure else []))) or "–",
        )
        for done in outcomes
    ]
    return table(["=source", "what", "restored as", "state", ">rows or files", ">seconds", "findings"], rows)

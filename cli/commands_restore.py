"""``lifeboat restore``: show what would come back, ask, and bring it back; with Prefect, or without any server."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, console, instant, table
from lifeboat.errors import Cancelled, ConfigurationError, Refused

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lifeboat.model.policy import Policy
    from lifeboat.model.restore_outcome import PlannedObject, RestoreOutcome
    from lifeboat.stages.restoration import Item, RestoreOrder
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
        str, typer.Option("--to", metavar="FOLDER", help="The folder to make for files; it must not exist.")
    ] = "",
    database: Annotated[
        list[str] | None,
        typer.Option(
            "--database", metavar="NAME", help="Only this database; may be given again. All when left out."
        ),
    ] = None,
    table_name: Annotated[
        list[str] | None,
        typer.Option(
            "--table", metavar="SCHEMA.TABLE", help="Only this table of one database; may be given again."
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
    """Restore databases into a server, and files into a new folder of this host.

    Runs on a host that holds an identity: LIFEBOAT_IDENTITY_FILE names its file. The plan is shown first, and what was
    shown is what is restored, even if a newer backup arrives meanwhile.
    """
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.model.restore_outcome import approval_wanted
    from lifeboat.stages.restoration import plan_restoration
    from tasks.restore_board import identity_path

    identity_path()
    rules = read_policy(Path(policy))
    moment = parse_moment(at, rules.time_zone) if at else None
    with _blocks_from(blocks, direct=direct):
        destination = _open_places(rules, environment, target, folder, direct=direct)
        order = _order(
            rules, environment, destination, sources=tuple(sources or ()), point=(backup, moment, run),
            newest_of_each=newest_of_each, databases=tuple(database or ()), tables=tuple(table_name or ()),
            paths=tuple(path or ()), new_name=new_name, replace=replace, with_roles=with_roles, owner=owner,
        )  # fmt: skip
        items = plan_restoration(order, destination.places)
        planned = [each for item in items for each in item.described()]
        wanted = approval_wanted(planned, environment, destination.environment)
        output = Output(as_json)
        if not as_json:
            output.result(None, *_plan_tables(planned))
        if dry_run:
            output.result({"plan": planned, "approval": wanted}) if as_json else None
            return
        approval = _agreed(planned, wanted, approve, yes=yes)
        outcomes = (
            _carry_out_directly(rules, order, items, destination, jobs)
            if direct
            else _carry_out_with_prefect(order, items, target, folder, approval, policy, jobs)
        )
    output.result({"plan": planned, "restored": outcomes}, _outcome_table(outcomes))
    from tasks.restore import raise_if_failed

    raise_if_failed(outcomes)


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


@contextlib.contextmanager
def _blocks_from(file: Path | None, *, direct: bool) -> Iterator[None]:
    """Without a server, blocks come from a file; with one, from the server."""
    if direct != (file is not None):
        raise ConfigurationError(
            "--direct and --blocks go together: without a Prefect server, blocks come from a file.",
            hint="Use the file that `lifeboat blocks apply` reads; keep a copy of it with the recovery runbook.",
        )
    if file is None:
        yield
        return
    import os

    from blocks.offline import blocks_from_file

    with blocks_from_file(file, os.environ):
        yield


def _open_places(rules: Policy, environment: str, server: str, folder: str, *, direct: bool) -> Destination:
    from cli.prefect_api import prefect_errors, require_api
    from tasks.restore_board import open_places

    if direct:
        return open_places(rules, environment, server=server, folder=folder)
    require_api()
    with prefect_errors():
        return open_places(rules, environment, server=server, folder=folder)


def _order(
    rules: Policy,
    environment: str,
    destination: Destination,
    *,
    point: tuple[str | None, dt.datetime | None, str | None],
    **choice: Any,  # noqa: ANN401 - fields of RestoreOrder
) -> RestoreOrder:
    from lifeboat.model.restore_choice import Point
    from lifeboat.stages.restoration import RestoreOrder

    return RestoreOrder(
        environment=environment,
        target_environment=destination.environment,
        known_sources=rules.environment(environment).source_labels,
        point=Point(*point),
        **choice,
    )


def _agreed(planned: Sequence[PlannedObject], wanted: str, given: str, *, yes: bool) -> str:
    """What was typed to approve; raises unless a person agreed. Whoever is not there cannot agree."""
    if wanted and given:
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


def _carry_out_directly(
    rules: Policy, order: RestoreOrder, items: Sequence[Item], destination: Destination, jobs: int
) -> list[RestoreOutcome]:
    from tasks.restore_board import loader_aboard

    screen = console(stderr=True)
    with loader_aboard(destination.places, rules.environment(order.environment), lambda _: None) as loader:
        outcomes = []
        for item in items:
            screen.print(f"restoring {item.source} …")
            outcomes += item.carry_out(loader, jobs)
        return outcomes


def _carry_out_with_prefect(
    order: RestoreOrder,
    items: Sequence[Item],
    server: str,
    folder: str,
    approval: str,
    policy: str,
    jobs: int,
) -> list[RestoreOutcome]:
    """As a run that the UI shows; it restores the very backups that were planned."""
    from cli.prefect_api import prefect_errors
    from flows.restore import restore as flow
    from lifeboat.errors import RestoreFailed

    manifests = [item.manifest for item in items]
    runs = {manifest.run_id for manifest in manifests}
    point = {"backup": manifests[0].backup_id} if len(manifests) == 1 else {}
    if len(manifests) > 1 and len(runs) == 1:
        point = {"run": runs.pop()}
    with prefect_errors():
        state = flow(
            order.environment, list(order.sources), server, folder,
            **point, at=order.point.at if not point else None, newest_of_each=order.newest_of_each and not point,
            databases=list(order.databases), tables=list(order.tables), paths=list(order.paths),
            new_name=order.new_name, replace=order.replace, with_roles=order.with_roles, owner=order.owner,
            approval=approval, policy=policy, jobs=jobs, return_state=True,
        )  # fmt: skip
        result: Any = state.result(raise_on_failure=False)
    if isinstance(result, RestoreFailed):
        return list(result.outcomes)
    if isinstance(result, Exception):
        raise result
    return list(result)


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

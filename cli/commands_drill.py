"""``lifeboat drill``: prove the backups by restoring them; for people, and for CI by exit code, JSON and JUnit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands_restore import parse_moment
from cli.drill_junit import junit_of, junit_of_none
from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, console, line
from lifeboat.errors import CouldNotMeasure, DrillMissed, LifeboatError

if TYPE_CHECKING:
    from lifeboat.model.drill_record import DrillRecord


def drill(
    environment: EnvironmentName,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE/SOURCE]...",
            help="What to drill: all of it when left out; some measure no RTO.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="The backups that this run took.")
    ] = None,
    incident: Annotated[
        str | None,
        typer.Option(
            "--incident", metavar="TIME", help="When disaster struck, for the RPO; now when left out."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", min=0, help="Draw the older backups that the drill of this seed drew."
        ),
    ] = None,
    page: Annotated[
        str, typer.Option("--page", metavar="FILE", help="Write the drill's page, in HTML; names are on it.")
    ] = "",
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML, for CI.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json-file", metavar="FILE", help="Write the record as JSON, for CI.")
    ] = None,
    cold: Annotated[
        bool,
        typer.Option(
            "--cold", help="By recovery/restore.sh in an empty environment, as if Lifeboat were gone."
        ),
    ] = False,
    files: Annotated[
        int,
        typer.Option(
            "--files",
            metavar="N",
            min=0,
            help="Only N files of each source, drawn at random; no RTO and RPO.",
        ),
    ] = 0,
    ci: Annotated[
        bool,
        typer.Option(
            "--ci",
            help="Have the deployment drill/ENV do it and wait for it; writes lifeboat-drill.json and .xml.",
        ),
    ] = False,
    wait: Annotated[
        str,
        typer.Option(
            "--wait", metavar="DURATION", help="With --ci: how long to wait before it is cancelled."
        ),
    ] = "4h",
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Parts loaded at the same time.")
    ] = 2,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Restore an environment's backups into a sandbox, compare, measure RTO and RPO, destroy the sandbox.

    Exits with 0 when the objectives were met and everything was equal, 1 when not, 2 when it could not measure.
    """
    from cli.prefect_api import require_api
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.model.drill_page import drill_page

    for label in sources or ():
        split_source(label)
    moment = parse_moment(incident, read_policy(Path(policy)).time_zone) if incident else None
    parameters: dict[str, Any] = {
        "environment": environment, "sources": sources, "run": run, "incident": moment, "seed": seed, "page": page,
        "cold": cold, "files": files, "policy": policy, "jobs": jobs,
    }  # fmt: skip
    if ci:
        junit = junit or Path("lifeboat-drill.xml")
        json_file = json_file or Path("lifeboat-drill.json")
        record = _by_deployment(parameters, wait, junit, json_file)
    else:
        require_api()
        record = _here(parameters)
    if junit:
        junit.write_bytes(junit_of(record))
    if json_file:
        json_file.write_text(record.model_dump_json(indent=2) + "\n")
    output = Output(as_json)
    if not as_json:
        output.result(None, line(drill_page(record, (), ())))
    from tasks.drill import refuse_verdict

    refuse_verdict(record)
    if as_json:
        output.result(record.model_dump(mode="json"))


def _here(parameters: dict[str, Any]) -> DrillRecord:
    """By a run in this process: this is the drill host."""
    from cli.prefect_api import prefect_errors
    from flows.drill import drill as flow

    with prefect_errors():
        result: Any = flow(**parameters, return_state=True).result(raise_on_failure=False)
    record = result.record if isinstance(result, (DrillMissed, CouldNotMeasure)) else result
    if isinstance(record, Exception) or record is None:
        raise result
    found: DrillRecord = record
    return found


def _by_deployment(parameters: dict[str, Any], wait: str, junit: Path, json_file: Path) -> DrillRecord:
    """By the deployment, on its workers. What the deployment knows better is left to it: policy and jobs.

    Whatever keeps the record from coming back is ``CouldNotMeasure``: CI must not take it for a missed objective, nor
    the files of an earlier drill for those of this one.
    """
    from cli.drill_ci import drill_by_deployment
    from cli.prefect_api import prefect_errors, require_api
    from lifeboat.model.policy_values import parse_duration

    try:
        limit = parse_duration(wait)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from None
    told = {
        name: value.isoformat() if name == "incident" else value
        for name, value in parameters.items()
        if value is not None and name not in ("policy", "jobs", "page")
    }
    screen = console(stderr=True)
    for stale in (junit, json_file):
        stale.unlink(missing_ok=True)
    try:
        require_api()
        with prefect_errors(under_way=True):
            return drill_by_deployment(parameters["environment"], told, limit, screen.print)
    except LifeboatError as error:
        junit.write_bytes(junit_of_none(parameters["environment"], error.message))
        raise CouldNotMeasure(error.message, hint=error.hint) from None

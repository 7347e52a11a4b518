"""``lifeboat drill``: prove the backups by restoring them; for people, and for CI by exit code, JSON and JUnit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from xml.etree import ElementTree

import typer

from cli.commands_restore import parse_moment
from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, line
from lifeboat.errors import CouldNotMeasure, DrillMissed

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
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Parts loaded at the same time.")
    ] = 2,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Restore an environment's backups into a sandbox, compare, measure RTO and RPO, destroy the sandbox.

    Exits with 0 when the objectives were met and everything was equal, 1 when not, 2 when it could not measure.
    """
    from cli.prefect_api import prefect_errors, require_api
    from flows.drill import drill as flow
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.model.drill_page import drill_page

    for label in sources or ():
        split_source(label)
    rules = read_policy(Path(policy))
    moment = parse_moment(incident, rules.time_zone) if incident else None
    require_api()
    with prefect_errors():
        state = flow(environment, sources, run, moment, seed, page, policy, jobs, return_state=True)
        result: Any = state.result(raise_on_failure=False)
    record = result.record if isinstance(result, (DrillMissed, CouldNotMeasure)) else result
    if isinstance(record, Exception) or record is None:
        raise result
    if junit:
        junit.write_bytes(_junit(record))
    output = Output(as_json)
    if not as_json:
        output.result(None, line(drill_page(record, (), ())))
    if isinstance(result, Exception):
        raise result
    if as_json:
        output.result(record.model_dump(mode="json"))


def _junit(record: DrillRecord) -> bytes:
    """A case for each objective and each backup; a failure is what was missed, an error what was not measured."""
    suite = ElementTree.Element("testsuite", name=f"drill of {record.environment}")
    cases: list[tuple[str, str, tuple[str, ...]]] = []
    for name, judged in (("RTO", record.rto), ("RPO", record.rpo)):
        if judged is not None:
            cases.append((name, judged.verdict, judged.reasons))
    for backup in record.backups:
        reasons = tuple(reason for reason in record.reasons if reason.startswith(backup.backup_id))
        different = any(each.differences for each in record.comparisons if each.backup_id == backup.backup_id)
        verdict = "missed" if different else "unmeasured" if reasons else "met"
        cases.append((backup.backup_id, verdict, reasons))
    if record.drill_kind == "partial":
        cases.append(("whole environment", "unmeasured", ("only some of its sources were drilled",)))
    for failure in record.failures:
        cases.append((failure.code, "missed", (f"{failure.count} × {failure.code}",)))
    for name, verdict, reasons in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=record.environment, name=name)
        if verdict != "met":
            kind = "failure" if verdict == "missed" else "error"
            ElementTree.SubElement(case, kind, message="; ".join(reasons))
    suite.set("tests", str(len(cases)))
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text

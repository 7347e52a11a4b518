"""``lifeboat retention``: what would stay, what would go, and why. Deleting is the backup run's last step."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, line, table
from lifeboat.errors import PruneRefused

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.open_environment import Chain, OpenEnvironment
    from lifeboat.model.retention import RetentionPlan

WOULD = {"keep": "would stay", "delete": "would go", "defer": "would wait"}


def retention(
    environment: EnvironmentName,
    dry_run: Annotated[  # noqa: ARG001 - it changes nothing, and whoever says it is reassured
        bool, typer.Option("--dry-run", help="Said or not: this command never deletes anything.")
    ] = False,
    simulate: Annotated[
        int | None,
        typer.Option(
            "--simulate",
            metavar="DAYS",
            min=1,
            max=3660,
            help="Also the next DAYS days; 400 show a whole year.",
        ),
    ] = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Say what a prune would do with every backup now, and why.

    Exits with 4 when a prune would refuse because something is in doubt; nothing would be deleted then.
    """
    from cli.open_environment import chains_of, open_environment, read_view

    opened = open_environment(policy, environment)
    view = read_view(opened)
    plans = [(chain, _plan(opened, chain, view)) for chain in chains_of(opened, view)]
    told = [_plan_data(opened, chain, plan, simulate) for chain, plan in plans]
    tables = [part for data in told for part in _tables(data)]
    Output(as_json).result({"environment": environment, "sources": told}, *tables)
    if any(plan.refusals for _, plan in plans):
        raise typer.Exit(PruneRefused.exit_code)


def _plan(opened: OpenEnvironment, chain: Chain, view: Any) -> RetentionPlan:  # noqa: ANN401
    from cli.open_environment import retention_of
    from lifeboat.stages.prune import store_clock_doubts

    return retention_of(opened, chain.catalog, tuple(store_clock_doubts(view, chain.catalog)))


def _plan_data(
    opened: OpenEnvironment, chain: Chain, plan: RetentionPlan, simulate: int | None
) -> dict[str, Any]:
    return {
        "source": chain.label,
        "backups": [
            {
                "day": decision.backup.day,
                "backup_id": decision.backup.backup_id,
                "verdict": decision.verdict,
                "reasons": decision.reasons,
                "size": decision.backup.size,
            }
            for decision in plan.decisions
        ],
        "refusals": plan.refusals,
        "findings": plan.findings,
        "simulation": _simulation(opened, chain, simulate) if simulate else None,
    }


def _simulation(opened: OpenEnvironment, chain: Chain, days: int) -> list[Any]:
    from zoneinfo import ZoneInfo

    from lifeboat import clock
    from lifeboat.model.retention_months import by_month
    from lifeboat.model.retention_simulation import simulate

    zone = ZoneInfo(opened.policy.time_zone)
    simulated = simulate(
        [entry.facts() for entry in chain.catalog.entries],
        opened.environment.retention_of(chain.catalog.chain),
        start=clock.utc_now().astimezone(zone).date() + dt.timedelta(days=1),
        days=days,
        runs_per_day=len(opened.environment.schedule.at),
        time_zone=zone,
    )
    return list(by_month(simulated))


def _tables(data: dict[str, Any]) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes

    rows = [
        (
            backup["day"],
            backup["backup_id"],
            WOULD[backup["verdict"]],
            "; ".join(backup["reasons"]),
            human_bytes(backup["size"]),
        )
        for backup in data["backups"]
    ]
    shown: list[RenderableType] = [
        table(["=day", "=backup", "=verdict", "why", ">size"], rows, title=data["source"])
    ]
    shown += [line(f"A prune would refuse: {refusal}") for refusal in data["refusals"]]
    shown += [
        line(f"finding {finding.code} ({finding.clause}): {finding.message}") for finding in data["findings"]
    ]
    if data["simulation"] is not None:
        shown.append(_simulation_table(data))
    return shown


def _simulation_table(data: dict[str, Any]) -> RenderableType:
    rows = [
        (
            month.month,
            month.days,
            month.kept,
            month.monthlies,
            month.deleted,
            month.deferred,
            "; ".join((*month.findings, *month.refusals)) or "–",
        )
        for month in data["simulation"]
    ]
    columns = [
        "month",
        ">days",
        ">would be kept",
        ">monthlies",
        ">would go",
        ">would wait",
        "findings, refusals",
    ]
    return table(columns, rows, title=f"{data['source']}: if every run succeeds")

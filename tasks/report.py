"""Report: what people look at in the UI - what was backed up, what was pruned and why, and findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from lifeboat.adapters.policy_file import read_policy
from lifeboat.model.manifest import Manifest
from lifeboat.model.outcome import SourceOutcome, holdings, human_bytes
from lifeboat.model.recovery_point import recovery_points
from lifeboat.model.retention import RetentionPlan
from lifeboat.stages.prune import PruneReport
from tasks.options import ONCE


@task(name="report backup", task_run_name="report {key}", **ONCE)
def report_backup(key: str, rows: list[dict[str, object]], manifest: Manifest) -> None:
    """A table of what is in the backup: databases, or parts of files."""
    totals = manifest.totals
    there = (
        f", {human_bytes(totals.referenced_bytes)} were on the store already" if manifest.references else ""
    )
    create_table_artifact(
        key=f"backup-{key}",
        table=rows,
        description=(
            f"**{manifest.backup_id}** holds data of {manifest.data_timestamp:%Y-%m-%d %H:%M:%S} UTC: "
            f"{holdings(totals)}, {human_bytes(totals.plain_bytes)}. "
            f"{human_bytes(totals.sealed_bytes)} travelled{there}; read back and committed as place "
            f"{manifest.sequence}. Quality: **{manifest.quality}**."
        ),
    )


@task(name="report prune", task_run_name="report prune {key}", **ONCE)
def report_prune(key: str, pruned: PruneReport) -> None:
    """Every backup of the source with the reason it stays or went."""
    orphans = (
        f", {len(pruned.orphans)} unreferenced objects found, {len(pruned.reaped)} reaped"
        if pruned.orphans
        else ""
    )
    create_table_artifact(
        key=f"prune-{key}",
        table=retention_rows(pruned.plan),
        description=f"Deleted {len(pruned.plan.delete)} backups, freed {human_bytes(pruned.freed)}{orphans}.",
    )


def retention_rows(plan: RetentionPlan) -> list[dict[str, object]]:
    """One row per backup, newest first."""
    return [
        {
            "day": decision.backup.day.isoformat(),
            "backup": decision.backup.backup_id,
            "verdict": decision.verdict.value,
            "why": "; ".join(decision.reasons),
            "size": human_bytes(decision.backup.size),
        }
        for decision in plan.decisions
    ]


@task(name="report run", task_run_name="report {environment}", **ONCE)
def report_run(environment: str, run_id: str, outcomes: Sequence[SourceOutcome], policy: str) -> None:
    """One table for the whole run; recovery points, failures and findings below it."""
    points = recovery_points(read_policy(Path(policy)).environment(environment), outcomes)
    lines = [
        f"# Backup of {environment}",
        f"Run `{run_id}`",
        "",
        "| source | state | data of (UTC) | holds | size | travelled | seconds |",
        "|---|---|---|---|--:|--:|--:|",
        *(_line(outcome) for outcome in outcomes),
    ]
    notes = [f"- {point}" for point in points]
    notes += [f"- **{o.service}/{o.source}**: {text}" for o in outcomes for text in _notes(o)]
    create_markdown_artifact(key=f"run-{environment}", markdown="\n".join([*lines, "", *notes]))


def _line(outcome: SourceOutcome) -> str:
    moment = f"{outcome.data_timestamp:%Y-%m-%d %H:%M:%S}" if outcome.data_timestamp else "–"
    return (
        f"| {outcome.service}/{outcome.source} | {outcome.state} | {moment} | {holdings(outcome)} | "
        f"{human_bytes(outcome.plain_bytes)} | {human_bytes(outcome.sealed_bytes)} | {outcome.seconds:.1f} |"
    )


def _notes(outcome: SourceOutcome) -> list[str]:
    return [*([outcome.failure] if outcome.failure else []), *outcome.findings]

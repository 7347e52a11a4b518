"""What retention would do in the days to come, if every run succeeds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lifeboat.model.retention import (
    BackupFacts,
    Decision,
    Finding,
    RetentionPlan,
    RetentionRules,
    plan_retention,
)
from lifeboat.model.retention_rules import monthlies


@dataclass(frozen=True)
class SimulatedDay:
    """One day, when its runs and its prune are over. ``kept`` counts what is still there, deferred too."""

    day: dt.date
    kept: int
    deleted: tuple[Decision, ...]
    deferred: tuple[Decision, ...]
    monthlies: tuple[dt.date, ...]
    """The days of the backups that stand for their months, newest first."""
    oldest_daily: dt.date | None
    """The oldest day that still has a daily within its limit."""
    refusals: tuple[str, ...]
    findings: tuple[Finding, ...]


def simulate(
    backups: Sequence[BackupFacts],
    rules: RetentionRules,
    *,
    start: dt.date,
    days: int = 400,
    runs_per_day: int = 2,
    time_zone: dt.tzinfo,
) -> list[SimulatedDay]:
    """Live through ``days`` days from ``start``: the runs of each succeed, then its prune applies the plan.

    The deletion cap works as in life, so a backlog takes its days. Legal holds and the quality of the
    ``backups`` there are stay as they are. Raises ``ValueError`` when a backup id appears twice, or without
    a run per day.
    """
    if runs_per_day < 1:
        raise ValueError(f"{runs_per_day} runs per day: at least one is needed")
    present = tuple(backups)
    sequence = max((backup.sequence for backup in backups), default=0)
    simulated = []
    for offset in range(days):
        day = start + dt.timedelta(days=offset)
        runs = tuple(_runs(day, sequence, runs_per_day, time_zone))
        sequence += len(runs)
        plan = plan_retention((*present, *runs), rules, today=day, now=_at(day, 1.0, time_zone))
        present = tuple(decision.backup for decision in (*plan.keep, *plan.deferred))
        simulated.append(_summary(day, plan, present, rules))
    return simulated


def _runs(day: dt.date, sequence: int, count: int, time_zone: dt.tzinfo) -> Iterator[BackupFacts]:
    for number in range(1, count + 1):
        instant = _at(day, (number - 0.5) / count, time_zone)
        yield BackupFacts(
            backup_id=f"simulated-{day:%Y%m%d}-{number}",
            sequence=sequence + number,
            data_timestamp=instant,
            committed_at=instant,
            day=day,
            good=True,
            size=0,
        )


def _at(day: dt.date, fraction: float, time_zone: dt.tzinfo) -> dt.datetime:
    """The instant when so much of the local day has passed on a wall clock; 1.0 is its end."""
    midnight = dt.datetime.combine(day, dt.time(), time_zone)
    return (midnight + fraction * dt.timedelta(days=1)).astimezone(dt.UTC)


def _summary(
    day: dt.date, plan: RetentionPlan, present: Sequence[BackupFacts], rules: RetentionRules
) -> SimulatedDay:
    good = [backup for backup in present if backup.good]
    oldest = day - dt.timedelta(days=rules.daily_days)
    return SimulatedDay(
        day=day,
        kept=len(present),
        deleted=plan.delete,
        deferred=plan.deferred,
        monthlies=tuple(each.backup.day for each in monthlies(good, rules) if each.until >= day),
        oldest_daily=min((backup.day for backup in good if backup.day >= oldest), default=None),
        refusals=plan.refusals,
        findings=plan.findings,
    )

"""What a policy comes to, in a few lines per environment: sources, schedule, worst loss, retention."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lifeboat.model.policy import Policy
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_schedule import worst_interval
from lifeboat.model.policy_values import spoken_duration


@dataclass(frozen=True)
class EnvironmentSummary:
    """One environment. ``worst_loss`` is the longest time between two starts plus the longest run (P14)."""

    name: str
    sources: tuple[str, ...]
    """As ``service/source (kind)``."""
    starts: tuple[str, ...]
    time_zone: str
    worst_interval: dt.timedelta
    longest_run: dt.timedelta
    worst_loss: dt.timedelta
    rpo: dt.timedelta
    rto: dt.timedelta
    arithmetic: str
    retention: str
    recipients: tuple[str, ...]


def summarise(policy: Policy) -> tuple[EnvironmentSummary, ...]:
    """A summary of each environment, in the order of the file."""
    return tuple(_summary(policy, environment) for environment in policy.environments.values())


def _summary(policy: Policy, environment: Environment) -> EnvironmentSummary:
    schedule, objectives = environment.schedule, policy.objectives_of(environment)
    worst = worst_interval(schedule, first_year=policy.date.year)
    loss = worst.length + schedule.longest
    sources = {
        f"{service}/{name}": source
        for service, group in environment.services.items()
        for name, source in group.sources.items()
    }
    return EnvironmentSummary(
        name=environment.name,
        sources=tuple(f"{label} ({source.kind})" for label, source in sources.items()),
        starts=tuple(f"{start:%H:%M}" for start in schedule.at),
        time_zone=schedule.time_zone,
        worst_interval=worst.length,
        longest_run=schedule.longest,
        worst_loss=loss,
        rpo=objectives.rpo,
        rto=objectives.rto,
        arithmetic=(
            f"{spoken_duration(worst.length)} between runs{worst.note} + {spoken_duration(schedule.longest)} until "
            f"the backup is committed = {spoken_duration(loss)} at worst, within the RPO of "
            f"{spoken_duration(objectives.rpo)}"
        ),
        retention=_retention(environment),
        recipients=tuple(rule.name for rule in environment.recipients),
    )


def _retention(environment: Environment) -> str:
    rules = environment.retention
    monthlies = (
        f"the 1st of each month {rules.monthly_months} months" if rules.monthly_months else "no monthlies"
    )
    return f"dailies {rules.daily_days} days, {monthlies}, never fewer than {rules.floor}"

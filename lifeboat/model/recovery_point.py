"""Recovery points: the backups of a service that are of one moment, and how far they are apart (design §3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lifeboat.model.outcome import SourceOutcome
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource, Source


@dataclass(frozen=True)
class RecoveryPoint:
    """``skew`` is the time between the earliest and the latest data timestamp of the sources."""

    service: str
    sources: tuple[str, ...]
    data_timestamp: dt.datetime
    skew: dt.timedelta

    def __str__(self) -> str:
        labels = ", ".join(f"{self.service}/{source}" for source in self.sources)
        return (
            f"{labels}: one recovery point of {self.data_timestamp:%Y-%m-%d %H:%M:%S} UTC, "
            f"{self.skew.total_seconds():.1f} s apart"
        )


def recovery_points(environment: Environment, outcomes: Sequence[SourceOutcome]) -> tuple[RecoveryPoint, ...]:
    """One for each service whose sources the policy wants of one moment, of those that a run backed up."""
    found = []
    for name, service in environment.services.items():
        moments = {
            outcome.source: outcome.data_timestamp
            for outcome in outcomes
            if outcome.service == name
            and outcome.data_timestamp
            and holds_still(service.sources[outcome.source])
        }
        if service.recovery_point == "service" and len(moments) > 1:
            first, last = min(moments.values()), max(moments.values())
            found.append(RecoveryPoint(name, tuple(moments), first, last - first))
    return tuple(found)


def holds_still(source: Source) -> bool:
    """Whether the source is read as of one moment; a live tree is as old as its reading."""
    return isinstance(source, PostgresSource) or source.consistency != "live"

"""Recovery points: the backups of a service that are of one moment, and how far they are apart (design §3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lifeboat.model.manifest import Manifest
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
    services = environment.services
    return _points(
        environment,
        [
            (outcome.service, outcome.source, outcome.data_timestamp)
            for outcome in outcomes
            if outcome.data_timestamp and holds_still(services[outcome.service].sources[outcome.source])
        ],
    )


def recovery_points_on_store(
    environment: Environment, manifests: Sequence[Manifest]
) -> tuple[RecoveryPoint, ...]:
    """The same from the manifests of one run, whatever the policy has come to say of their sources since."""
    return _points(
        environment,
        [
            (manifest.service, manifest.source, manifest.data_timestamp)
            for manifest in manifests
            if manifest.consistency != "live"
        ],
    )


def _points(
    environment: Environment, moments: Sequence[tuple[str, str, dt.datetime]]
) -> tuple[RecoveryPoint, ...]:
    """From service, source and data timestamp of what holds still."""
    found = []
    for name, service in environment.services.items():
        sources = {source: moment for owner, source, moment in moments if owner == name}
        if service.recovery_point == "service" and len(sources) > 1:
            first, last = min(sources.values()), max(sources.values())
            found.append(RecoveryPoint(name, tuple(sources), first, last - first))
    return tuple(found)


def holds_still(source: Source) -> bool:
    """Whether the source is read as of one moment; a live tree is as old as its reading."""
    return isinstance(source, PostgresSource) or source.consistency != "live"

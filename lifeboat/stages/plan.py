"""Plan: which sources of an environment are due, and which slot is already covered by a newer backup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from lifeboat import clock
from lifeboat.adapters.store import StoreTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.catalog import Catalog
from lifeboat.model.manifest import chain_name
from lifeboat.model.policy_environment import Environment
from lifeboat.model.retention import CLOCK_TOLERANCE
from lifeboat.model.signed import TrustedKeys
from lifeboat.stages.catalog import look


@dataclass(frozen=True)
class PlannedSource:
    """A source of the run. ``covered_by`` names the backup that makes another one needless."""

    service: str
    source: str
    kind: str
    covered_by: str | None = None

    @property
    def due(self) -> bool:
        return not self.covered_by

    @property
    def label(self) -> str:
        return f"{self.service}/{self.source}"


def plan_run(
    environment_name: str,
    environment: Environment,
    store: StoreTarget,
    trusted: TrustedKeys,
    *,
    slot: dt.datetime,
    only: Collection[str] = (),
) -> list[PlannedSource]:
    """Every source of the environment, or those named ``service/source`` in ``only``.

    After an outage all late runs start at once: a slot is covered when a good backup holds data as young as the slot
    itself (``slot`` is when the run was scheduled for).
    """
    sources = {
        (service_name, source_name): source
        for service_name, service in environment.services.items()
        for source_name, source in service.sources.items()
    }
    _refuse_unknown(only, [f"{service}/{source}" for service, source in sources])
    with store.connect() as session:
        view = look(session, environment_name, trusted)
    planned = []
    for (service, source_name), source in sources.items():
        if only and f"{service}/{source_name}" not in only:
            continue
        covered = covered_by(view.catalog(chain_name(service, source_name), trusted), slot, clock.utc_now())
        planned.append(
            PlannedSource(
                service=service,
                source=source_name,
                kind=source.kind,
                covered_by=covered,
            )
        )
    return planned


def covered_by(catalog: Catalog, slot: dt.datetime, now: dt.datetime) -> str | None:
    """The good backup whose data is as young as the slot. One dated in the future covers nothing: while the clock that
    dated it was wrong by a year, every run of a year would be skipped for it (F35)."""
    covering = (
        entry.manifest.backup_id
        for entry in reversed(catalog.entries)
        if entry.manifest.quality == "good" and slot <= entry.manifest.data_timestamp <= now + CLOCK_TOLERANCE
    )
    return next(covering, None)


def _refuse_unknown(only: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise ConfigurationError(
            f"The policy has no source {', '.join(map(repr, unknown))}.", hint=f"It has: {', '.join(known)}."
        )

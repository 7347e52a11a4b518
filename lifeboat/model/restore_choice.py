"""Which backup a restore takes: the newest good one, one of a moment, one by its id, or all of a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from lifeboat.errors import ConfigurationError, RestoreRefused
from lifeboat.model.catalog import Catalog, Entry


@dataclass(frozen=True)
class Point:
    """What is restored from when; nothing given means the newest good backup. ``at`` is aware.

    Raises ``ConfigurationError`` when more than one is given.
    """

    backup_id: str | None = None
    at: dt.datetime | None = None
    run_id: str | None = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.backup_id, self.at, self.run_id)) > 1:
            raise ConfigurationError(
                "A backup, a moment and a run were given.", hint="Give one of them, or none for the newest."
            )
        if self.at is not None and self.at.tzinfo is None:
            raise ConfigurationError(f"{self.at} has no time zone.", hint="Write 2026-11-23T13:00Z.")

    def __str__(self) -> str:
        if self.backup_id:
            return self.backup_id
        if self.run_id:
            return f"backup of {self.run_id}"
        return f"good backup of {self.at:%Y-%m-%d %H:%M %Z} or before" if self.at else "good backup"


NEWEST = Point()


def choose(catalog: Catalog, point: Point = NEWEST) -> Entry:
    """The backup asked for. A damaged manifest elsewhere in the chain does not stop a restore; a damaged one cannot be
    chosen at all. Raises ``RestoreRefused`` when there is none."""
    entry = _found(catalog, point)
    if entry is None:
        raise RestoreRefused(
            f"{catalog.environment}/{catalog.chain} has no {point}.",
            hint=f"{len(catalog.entries)} backups are committed; `lifeboat list` shows them."
            + (f" Damaged: {'; '.join(catalog.damaged.values())}" if catalog.damaged else ""),
        )
    return entry


def _found(catalog: Catalog, point: Point) -> Entry | None:
    if point.backup_id:
        return catalog.find(point.backup_id)
    if point.run_id:
        return next((entry for entry in catalog.entries if entry.manifest.run_id == point.run_id), None)
    return catalog.at(point.at) if point.at else catalog.newest_good


def newest_run(catalogs: Iterable[Catalog]) -> str:
    """The newest run that has a good backup of every one of these sources: one recovery point of them all.

    Raises ``RestoreRefused`` naming, for the newest run of each, what it lacks.
    """
    found = list(catalogs)
    runs: dict[str, set[str]] = {}
    begun: dict[str, dt.datetime] = {}
    for catalog in found:
        for entry in catalog.entries:
            manifest = entry.manifest
            if manifest.quality == "good":
                runs.setdefault(manifest.run_id, set()).add(catalog.chain)
                begun[manifest.run_id] = min(
                    manifest.data_timestamp, begun.get(manifest.run_id, manifest.data_timestamp)
                )
    wanted = {catalog.chain for catalog in found}
    whole = [run_id for run_id, chains in runs.items() if chains >= wanted]
    if not whole:
        newest = max(begun, key=lambda run_id: begun[run_id], default=None)
        lacks = (
            f"{newest}, the newest, lacks {', '.join(sorted(wanted - runs[newest]))}"
            if newest
            else "there is none"
        )
        raise RestoreRefused(
            f"No run has a good backup of each of {len(wanted)} sources: {lacks}.",
            hint="Restore the newest of each source with --newest-of-each, or some sources of one run.",
        )
    return max(whole, key=lambda run_id: begun[run_id])

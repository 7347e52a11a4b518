"""A simulated year as a table that fits on a screen: one row per month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from lifeboat.model.retention_simulation import SimulatedDay


@dataclass(frozen=True)
class SimulatedMonth:
    """``kept`` and ``monthlies`` as the month ends; ``deleted`` and ``deferred`` over all its days, the latter being
    the most that waited at once. ``findings`` and ``refusals`` are those that came up, each once."""

    month: str
    days: int
    kept: int
    monthlies: int
    deleted: int
    deferred: int
    findings: tuple[str, ...]
    refusals: tuple[str, ...]


def by_month(days: Sequence[SimulatedDay]) -> Iterator[SimulatedMonth]:
    """The months of simulated days, in their order."""
    for month, group in groupby(days, key=lambda day: f"{day.day:%Y-%m}"):
        members = list(group)
        yield SimulatedMonth(
            month=month,
            days=len(members),
            kept=members[-1].kept,
            monthlies=len(members[-1].monthlies),
            deleted=sum(len(day.deleted) for day in members),
            deferred=max(len(day.deferred) for day in members),
            findings=tuple(dict.fromkeys(finding.code for day in members for finding in day.findings)),
            refusals=tuple(dict.fromkeys(refusal for day in members for refusal in day.refusals)),
        )

"""Is each source within its recovery point objective, and if not, why? (clauses P5, P13)

Judged from the catalog alone, which is what the store says: a run's state, green or red, proves nothing either way
(design §6). What would be lost if everything broke now is the age of the newest good backup's *data*.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lifeboat.model.catalog import Catalog, Entry
from lifeboat.model.drill_choice import undrilled
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.policy_values import spoken_duration
from lifeboat.model.retention import CLOCK_TOLERANCE


class Standing(StrEnum):
    """From the best to the worst."""

    FINE = "fine"
    OVERDUE = "overdue"
    """Over its RPO, without any good backup, or not drilled within a month."""
    DOUBTFUL = "doubtful"
    """Something is not what was signed; whatever the age says, a person must look (P19)."""


@dataclass(frozen=True)
class SourceStatus:
    """One source, judged. ``reasons`` say why it is overdue, ``doubts`` why it is doubtful; ``notes`` change
    nothing. ``age`` is now minus ``data_timestamp``, never negative."""

    service: str
    source: str
    standing: Standing
    rpo: dt.timedelta
    newest_good: str | None
    data_timestamp: dt.datetime | None
    age: dt.timedelta | None
    last_quality: Literal["good", "suspect"] | None
    """Of the newest backup, whichever it is."""
    drilled_at: dt.datetime | None
    """When it was last restored and found equal."""
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


def judge_source(
    catalog: Catalog,
    drills: Sequence[DrillRecord],
    *,
    service: str,
    source: str,
    rpo: dt.timedelta,
    now: dt.datetime,
) -> SourceStatus:
    """Judge one source at ``now`` (aware), with the verified records of past drills of its environment.

    A backup dated in the future counts for nothing: it would look young for as long as the clock was wrong (F35).
    """
    ahead = [entry for entry in catalog.entries if _dated_ahead(entry, now)]
    newest = max(
        (entry for entry in catalog.entries if entry.manifest.quality == "good" and entry not in ahead),
        key=lambda entry: entry.manifest.data_timestamp,
        default=None,
    )
    age = max(now - newest.manifest.data_timestamp, dt.timedelta(0)) if newest else None
    drilled_at, undrilled_reason = undrilled(f"{service}/{source}", catalog, drills, now=now)
    reasons = (*_reasons(age, rpo), *([undrilled_reason] if undrilled_reason else []))
    return SourceStatus(
        service=service,
        source=source,
        standing=Standing.DOUBTFUL if catalog.doubts else Standing.OVERDUE if reasons else Standing.FINE,
        rpo=rpo,
        newest_good=newest.manifest.backup_id if newest else None,
        data_timestamp=newest.manifest.data_timestamp if newest else None,
        age=age,
        last_quality=catalog.newest.manifest.quality if catalog.newest else None,
        drilled_at=drilled_at,
        reasons=reasons,
        doubts=catalog.doubts,
        notes=tuple(_notes(catalog, ahead)),
    )


def worst(statuses: Iterable[SourceStatus]) -> Standing:
    """The worst standing of them all; fine when there is none."""
    found = {status.standing for status in statuses}
    return next((standing for standing in reversed(Standing) if standing in found), Standing.FINE)


def _dated_ahead(entry: Entry, now: dt.datetime) -> bool:
    latest = now + CLOCK_TOLERANCE
    return entry.manifest.data_timestamp > latest or entry.manifest.committed_at > latest


def _reasons(age: dt.timedelta | None, rpo: dt.timedelta) -> Iterable[str]:
    if age is None:
        yield "there is no good backup"
    elif age > rpo:
        yield f"its data is {spoken_age(age)} old, {spoken_age(age - rpo)} more than the RPO of {spoken_duration(rpo)}"


def _notes(catalog: Catalog, ahead: list[Entry]) -> Iterable[str]:
    newest = catalog.newest
    if newest and newest.manifest.quality == "suspect":
        yield f"the newest backup is suspect: {'; '.join(newest.manifest.doubts) or 'no reason is recorded'}"
    for entry in ahead:
        yield f"{entry.manifest.backup_id} is dated in the future and counts for nothing: compare the clocks"
    if catalog.torn:
        yield f"places torn by a crash while publishing, and never committed: {', '.join(map(str, catalog.torn))}"


def spoken_age(age: dt.timedelta) -> str:
    """An age in whole minutes; from three days on, in days and hours."""
    if age >= dt.timedelta(days=3):
        hours = age.seconds // 3600
        return f"{age.days} days {hours} h" if hours else f"{age.days} days"
    return spoken_duration(dt.timedelta(minutes=age // dt.timedelta(minutes=1)))

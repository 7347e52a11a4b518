"""How long will a restore take? By past drills of the same sources; what was never drilled is not foretold."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.drill_choice import proven_backups
from lifeboat.model.drill_record import DrilledBackup, DrillRecord
from lifeboat.model.extrapolation import Measurement, extrapolate
from lifeboat.model.manifest import Value
from lifeboat.model.policy_values import spoken_duration
from lifeboat.model.restore_outcome import PlannedObject

SHORTEST = 1000
"""Milliseconds; finding a backup and connecting takes that long, however small it is."""


class RestoreEstimate(Value):
    """``milliseconds`` of fetching and loading, one source after the other; None when a source was never drilled.
    ``basis`` is one sentence for each source."""

    milliseconds: int | None
    basis: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The whole first, then each source."""
        time = "unknown" if self.milliseconds is None else spoken_time(self.milliseconds)
        return f"Estimated time of fetching and loading: {time}.", *self.basis


def spoken_time(milliseconds: int) -> str:
    """Seconds below a minute, else minutes rounded up."""
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    return spoken_duration(dt.timedelta(minutes=-(-milliseconds // 60_000)))


def estimate_restore(planned: Sequence[PlannedObject], records: Sequence[DrillRecord]) -> RestoreEstimate:
    """``records`` are past drills, oldest first. Of drills of three sizes or more the upper 95 % bound, within their
    reach; else as fast as the newest drill of that source was."""
    wanted: dict[str, int] = {}
    for each in planned:
        wanted[each.source] = wanted.get(each.source, 0) + each.plain_bytes
    told = [_of_source(source, size, _drilled(source, records)) for source, size in wanted.items()]
    times = [time for time, _ in told if time is not None]
    return RestoreEstimate(
        milliseconds=sum(times) if times and len(times) == len(told) else None,
        basis=tuple(basis for _, basis in told),
    )


def _drilled(source: str, records: Sequence[DrillRecord]) -> list[DrilledBackup]:
    """What came back whole and equal, by us; a restore that failed was perhaps short."""
    return [
        backup
        for record in records
        if record.drill_kind != "cold"
        for backup in proven_backups(record)
        if f"{backup.service}/{backup.source}" == source
    ]


def _of_source(source: str, plain_bytes: int, drilled: Sequence[DrilledBackup]) -> tuple[int | None, str]:
    if not drilled:
        return None, f"{source}: unknown, it was never drilled; `lifeboat drill` measures it"
    measured = [Measurement(each.plain_bytes, 0, each.milliseconds) for each in drilled]
    newest = drilled[-1]
    try:
        found = extrapolate(measured, plain_bytes=plain_bytes, rows=0)
    except CouldNotMeasure:
        rate = newest.milliseconds / max(newest.plain_bytes, 1)
        time = max(math.ceil(plain_bytes * rate), min(SHORTEST, newest.milliseconds))
        return time, f"{source}: {spoken_time(time)}, as fast as {newest.backup_id} came back in a drill"
    time = found.bound_milliseconds
    return time, f"{source}: {spoken_time(time)}, the upper 95 % bound of {found.drills} drills"

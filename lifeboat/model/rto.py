"""How long a recovery took: the RTO in working time from detection to release, shown beside the wall time and what the
machines took (clause P12, decision 6, reliability §6.1 and §6.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.objectives import Judgement, Verdict, against
from lifeboat.model.phases import COUNTED, TECHNICAL, Instant, Milliseconds, Phase, PhaseName, milliseconds
from lifeboat.model.policy_values import spoken_duration
from lifeboat.model.working_time import WorkingClock

_NONE: Final = dt.timedelta(0)


class AchievedRto(Judgement):
    """Three times side by side; each is None when something in it was not measured.

    ``technical`` is what the machines took: provision, fetch, restore, verify. ``wall`` is from detection to release,
    ``working`` the part of it in working hours, which the verdict is about. With ``extrapolated`` they are upper
    bounds of what was never done in full. ``days_off`` are the holidays and company days that were left out.
    """

    notes: tuple[str, ...]
    detected_at: Instant
    released_at: Instant | None
    technical_milliseconds: Milliseconds | None
    working_milliseconds: Milliseconds | None
    wall_milliseconds: Milliseconds | None
    extrapolated: bool
    days_off: tuple[dt.date, ...]

    def decisive_milliseconds(self) -> int | None:
        return None if self.technical_milliseconds is None else self.working_milliseconds


def judge_rto(
    phases: Sequence[Phase],
    *,
    detected_at: dt.datetime,
    objective: dt.timedelta,
    clock: WorkingClock,
    failed: bool = False,
) -> AchievedRto:
    """The verdict about a recovery whose phases followed each other from ``detected_at`` (aware) on.

    Detecting comes before the clock starts: it must be told and does not count. A recovery that ``failed`` did not
    achieve its RTO, however short it was. One that is over its RTO missed it, whatever else was not measured. One that
    was detected outside working hours could be late by a night and take no working time, so it measures nothing: for a
    drill take ``clock.next_running``. Raises ``ValueError`` when a phase stands there twice.
    """
    by_name = {phase.name: phase for phase in phases}
    if len(by_name) < len(phases):
        raise ValueError("a phase stands here twice; a repeated attempt counts into the one")
    wall, whole = _total(by_name, COUNTED)
    done = {name: phase for name, phase in by_name.items() if phase.basis != "allowance"}
    technical, timed = _total(done, TECHNICAL)
    gaps = list(_gaps(by_name))
    working: dt.timedelta | None = None
    days_off: tuple[dt.date, ...] = ()
    try:
        if not clock.runs_at(detected_at):
            gaps.append("detected outside working hours, where a recovery takes no working time")
        days_off = clock.days_off(detected_at, detected_at + wall)
        working = clock.elapsed(detected_at, detected_at + wall)
    except CouldNotMeasure as error:
        gaps.append(error.message)
    verdict, reasons = against("working time of", working or _NONE, objective, "RTO")
    if failed:
        verdict, reasons = Verdict.MISSED, ("the recovery failed: nothing was released",)
    elif verdict is Verdict.MET and gaps:
        verdict, reasons = Verdict.UNMEASURED, tuple(gaps)
    return AchievedRto(
        verdict=verdict,
        reasons=reasons,
        notes=tuple(_notes(phases, wall, working if whole else None)),
        objective_milliseconds=milliseconds(objective),
        detected_at=detected_at,
        released_at=detected_at + wall if whole and not failed else None,
        technical_milliseconds=milliseconds(technical) if timed else None,
        working_milliseconds=None if working is None or not whole else milliseconds(working),
        wall_milliseconds=milliseconds(wall) if whole else None,
        extrapolated=any(phase.basis == "extrapolated" for phase in phases),
        days_off=days_off,
    )


def _total(by_name: Mapping[PhaseName, Phase], names: Sequence[PhaseName]) -> tuple[dt.timedelta, bool]:
    """The time of these phases as far as it is known, and whether that is all of it."""
    times = [phase.milliseconds for name in names if (phase := by_name.get(name))]
    known = [time for time in times if time is not None]
    return dt.timedelta(milliseconds=sum(known)), len(known) == len(names)


def _gaps(by_name: Mapping[PhaseName, Phase]) -> Iterator[str]:
    for name in PhaseName:
        phase = by_name.get(name)
        if phase is None:
            yield f"{name} was neither measured nor declared"
        elif phase.milliseconds is None:
            yield f"{name} was not measured to its end"
        elif name in TECHNICAL and phase.basis == "allowance":
            yield f"{name} is an allowance, but what machines do must be measured"


def _notes(phases: Sequence[Phase], wall: dt.timedelta, working: dt.timedelta | None) -> Iterator[str]:
    for basis, text in (
        ("allowance", "declared, not measured"),
        ("extrapolated", "upper bounds, never achieved"),
    ):
        if told := [
            f"{phase.name} {_spoken(phase.milliseconds)}" for phase in phases if phase.basis == basis
        ]:
            yield f"{text}: {', '.join(told)}"
    if working is not None and working < wall:
        yield f"{spoken_duration(wall - working)} of the wall time were outside working hours and do not count"


def _spoken(time: int | None) -> str:
    return spoken_duration(dt.timedelta(milliseconds=time or 0))

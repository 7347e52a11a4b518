"""When backups start, and whether that can keep the recovery point objective (clause P14, decision 5).

A backup shows the data as it was when its run began and counts from the moment it is committed. Just before
that moment, the newest backup that counts is as old as the time between the two starts plus the time the
run takes: this sum is the worst loss, and it must not exceed the RPO (reliability §6.3).
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from lifeboat.model.manifest import Value
from lifeboat.model.policy_values import (
    WEEK,
    Duration,
    TimeOfDay,
    TimeZone,
    Weekday,
    default_as_written,
    spoken_duration,
)

HORIZON_YEARS = 10
"""How far ahead the clock changes of a time zone are looked at."""

_DAY = dt.timedelta(days=1)
_NIGHT = (dt.time(1), dt.time(3))


def _ascending(times: tuple[dt.time, ...]) -> tuple[dt.time, ...]:
    if len(set(times)) < len(times):
        raise ValueError("a time stands here twice")
    return tuple(sorted(times))


class Schedule(Value):
    """The times of day at which an environment's backup run starts, and the longest it may take."""

    at: Annotated[
        tuple[TimeOfDay, ...],
        Field(min_length=1, max_length=24, description="Times of day at which a run starts, every day."),
        AfterValidator(_ascending),
    ]
    time_zone: TimeZone = Field(
        "UTC",
        description="Zone of these times. Local times between 01:00 and 03:00 are refused: clock changes.",
    )
    longest: Duration = default_as_written(
        "6h",
        "The longest a run may take, retries included. Counts against the RPO.",
    )

    @property
    def cron(self) -> tuple[str, ...]:
        """The starts as cron expressions in ``time_zone``; one if all start at the same minute."""
        hours_by_minute: dict[int, list[int]] = defaultdict(list)
        for time in self.at:
            hours_by_minute[time.minute].append(time.hour)
        return tuple(
            f"{minute} {','.join(map(str, hours))} * * *" for minute, hours in sorted(hours_by_minute.items())
        )


class DrillSchedule(Value):
    """When an environment is drilled: once a week, so that one that fails is repeated well within the month (P15)."""

    day: Weekday = Field(description="Day of the week.")
    time_zone: TimeZone = Field(
        "UTC",
        description="Zone of day and time. Local times between 01:00 and 03:00 are refused: clock changes.",
    )
    at: TimeOfDay = Field(
        description="Time of day, apart from the backup's runs: they share store, line and disks."
    )

    @field_validator("at")
    @classmethod
    def _exists_every_week(cls, at: dt.time, info: ValidationInfo) -> dt.time:
        if info.data.get("time_zone") != "UTC" and _NIGHT[0] <= at < _NIGHT[1]:
            raise ValueError(
                f"{at:%H:%M} falls into the hours in which clocks change: take a time outside 01:00 to 03:00, "
                "or time_zone: UTC"
            )
        return at

    @property
    def cron(self) -> str:
        """As a cron expression in ``time_zone``."""
        return self._cron(self.day)

    @property
    def cron_the_day_before(self) -> str:
        """For the alarm self-test: a drill that is green was red the day before, when it had to be."""
        return self._cron(WEEK[WEEK.index(self.day) - 1])

    def _cron(self, day: str) -> str:
        return f"{self.at.minute} {self.at.hour} * * {day[:3].upper()}"


@dataclass(frozen=True)
class Interval:
    """Two consecutive starts, in the schedule's zone, and the real time between them."""

    begin: dt.datetime
    end: dt.datetime

    @property
    def length(self) -> dt.timedelta:
        return self.end.astimezone(dt.UTC) - self.begin.astimezone(dt.UTC)

    @property
    def note(self) -> str:
        """When this is, if it is not every day: ``, the night to 2026-10-25, when the clocks change``."""
        if self.begin.utcoffset() == self.end.utcoffset():
            return ""
        return f" (on {self.end:%Y-%m-%d}, when the clocks of {self.end.tzinfo} change)"


def worst_interval(schedule: Schedule, *, first_year: int) -> Interval:
    """The longest time between two consecutive starts in the ``HORIZON_YEARS`` from ``first_year`` on."""
    return max(_intervals(schedule.at, schedule.time_zone, first_year), key=lambda interval: interval.length)


def shortest_interval(schedule: Schedule, *, first_year: int) -> Interval:
    """The shortest time between two consecutive starts in the same years."""
    return min(_intervals(schedule.at, schedule.time_zone, first_year), key=lambda interval: interval.length)


def loss_reasons(schedule: Schedule, rpo: dt.timedelta, *, first_year: int) -> tuple[str, ...]:
    """Why this schedule cannot keep ``rpo``, with the arithmetic; empty if it can (clauses P13, P14)."""
    worst = worst_interval(schedule, first_year=first_year)
    loss = worst.length + schedule.longest
    if loss <= rpo:
        return ()
    return (
        f"{spoken_duration(worst.length, minutes=True)} between runs{worst.note} + "
        f"{spoken_duration(schedule.longest)} until the backup is committed = {spoken_duration(loss)}, "
        f"more than the RPO of {spoken_duration(rpo)}; {_advice(schedule, rpo)}",
    )


def overlap_reasons(schedule: Schedule, *, first_year: int) -> tuple[str, ...]:
    """Why a run may still be going when the next one starts; that one would be refused, and its data lost."""
    shortest = shortest_interval(schedule, first_year=first_year)
    if schedule.longest <= shortest.length:
        return ()
    return (
        f"a run may take {spoken_duration(schedule.longest)}, but the one of {shortest.begin:%H:%M} is "
        f"followed {spoken_duration(shortest.length)} later by the next{shortest.note}; "
        "start them further apart or lower 'longest'",
    )


def clock_change_reasons(schedule: Schedule, *, first_year: int) -> tuple[str, ...]:
    """A reason against each start that some night lacks or has twice.

    In zones that change their clocks, all of 01:00 to 03:00 is refused: a cron at 02:00 in Berlin fires an
    hour early in spring and leaves 25 hours in autumn (design §6).
    """
    zone = ZoneInfo(schedule.time_zone)
    odd_days = _clock_changes(schedule.time_zone, first_year)
    return tuple(
        f"{time:%H:%M} in {schedule.time_zone} falls into the hours in which clocks change: on some night it "
        "does not exist, or comes twice; take a time outside 01:00 to 03:00, or time_zone: UTC"
        for time in schedule.at
        if odd_days and (_NIGHT[0] <= time < _NIGHT[1] or any(_is_odd(day, time, zone) for day in odd_days))
    )


def _advice(schedule: Schedule, rpo: dt.timedelta) -> str:
    room = rpo - schedule.longest
    if room <= dt.timedelta(0):
        return "no schedule can keep it: 'longest' must be well below the RPO"
    runs = math.ceil(_DAY / room)
    if runs <= len(schedule.at):
        return "spread the runs evenly over the day, or add one"
    return "run at least twice a day" if runs == 2 else f"run at least {runs} times a day"


@lru_cache(maxsize=64)
def _intervals(at: tuple[dt.time, ...], time_zone: str, first_year: int) -> tuple[Interval, ...]:
    """The intervals that differ: those of an ordinary day, and those around every clock change."""
    zone = ZoneInfo(time_zone)
    days = {dt.date(first_year, 1, 1)} | _clock_changes(time_zone, first_year)
    return tuple(
        Interval(begin, end)
        for day in sorted(days)
        for begin, end in pairwise(
            dt.datetime.combine(day + _DAY * shift, time, zone) for shift in (-1, 0, 1) for time in at
        )
    )


@lru_cache(maxsize=64)
def _clock_changes(time_zone: str, first_year: int) -> frozenset[dt.date]:
    """The local days in whose course the zone's offset from UTC changes."""
    zone = ZoneInfo(time_zone)
    first = dt.date(first_year, 1, 1)
    midnights = [
        dt.datetime.combine(first + _DAY * n, dt.time(), zone) for n in range(365 * HORIZON_YEARS + 3)
    ]
    return frozenset(a.date() for a, b in pairwise(midnights) if a.utcoffset() != b.utcoffset())


def _is_odd(day: dt.date, time: dt.time, zone: ZoneInfo) -> bool:
    """Whether this wall time is missing or doubled on this day: its two readings (``fold``) then differ."""
    early, late = (dt.datetime.combine(day, time, zone).replace(fold=fold) for fold in (0, 1))
    return early.utcoffset() != late.utcoffset()

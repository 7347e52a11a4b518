"""The clock that runs in working hours only: what the RTO is measured with (clause P12, reliability §6.5).

A working day is one half-open window ``[from, until)`` in the policy's time zone. Windows are built from local dates
and compared as instants, so that a change of the clocks is real time like any other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.nationwide_holidays import nationwide_holidays
from lifeboat.model.policy import Policy, WorkingHours
from lifeboat.model.policy_values import WEEK

_DAY: Final = dt.timedelta(days=1)
_NONE: Final = dt.timedelta(0)


@dataclass(frozen=True)
class WorkingClock:
    """The working hours of a policy in its time zone.

    Every method takes aware datetimes (``ValueError`` for naive ones) and answers with instants in UTC. Each raises
    ``CouldNotMeasure`` for a local time that no clock ever showed, and when the holidays of a year it needs are not
    known: a guess would be an achieved RTO that nobody achieved.
    """

    hours: WorkingHours
    time_zone: str

    @classmethod
    def of(cls, policy: Policy) -> WorkingClock:
        return cls(policy.working_hours, policy.time_zone)

    def deadline(self, start: dt.datetime, working: dt.timedelta) -> dt.datetime:
        """The first instant at which ``working`` has run on this clock since ``start``.

        Used up exactly at the end of a working day, it is that end and not the next morning. ``ValueError`` for a
        negative duration.
        """
        if working < _NONE:
            raise ValueError(f"{working} of working time is negative")
        begin = _instant(start)
        if not working:
            return begin
        left, windows = working, self._windows(begin)
        opened, closed = next(windows)
        while left > closed - opened:
            left -= closed - opened
            opened, closed = next(windows)
        return opened + left

    def elapsed(self, start: dt.datetime, end: dt.datetime) -> dt.timedelta:
        """The working time between two instants. ``CouldNotMeasure`` when the end is before the start."""
        begin, finish = _instant(start), _instant(end)
        if finish < begin:
            raise CouldNotMeasure(
                f"The end, {finish:%Y-%m-%d %H:%M:%S} UTC, is before the start, {begin:%Y-%m-%d %H:%M:%S} UTC.",
                hint="Compare the clocks of the machines that noted them.",
            )
        windows = self._windows(begin, self._date(finish))
        return sum((max(min(closed, finish) - opened, _NONE) for opened, closed in windows), _NONE)

    def runs_at(self, moment: dt.datetime) -> bool:
        """Whether the moment is within working hours; the end of a working day no longer is."""
        instant = _instant(moment)
        return any(opened <= instant for opened, _ in self._windows(instant, self._date(instant)))

    def next_running(self, moment: dt.datetime) -> dt.datetime:
        """The first instant from ``moment`` on that is within working hours."""
        return next(self._windows(_instant(moment)))[0]

    def days_off(self, start: dt.datetime, end: dt.datetime) -> tuple[dt.date, ...]:
        """The local dates from start to end, both included, that would be working days but for a holiday or a company
        day: what a report freezes, so that it can be checked when the list of holidays has changed."""
        last = self._date(_instant(end))
        days = _days_from(self._date(_instant(start)), last)
        return tuple(day for day in days if self._is_weekday_of_work(day) and not self._works_on(day))

    def _windows(
        self, instant: dt.datetime, last: dt.date | None = None
    ) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """What is left of each working day after ``instant``, in UTC; without ``last``, for ever."""
        zone = ZoneInfo(self.time_zone)
        for day in _days_from(self._date(instant), last):
            if not self._works_on(day):
                continue
            opened = local_instant(dt.datetime.combine(day, self.hours.from_), zone)
            closed = local_instant(dt.datetime.combine(day, self.hours.until), zone)
            if closed > instant:
                yield max(opened, instant), closed

    def _works_on(self, day: dt.date) -> bool:
        if not self._is_weekday_of_work(day) or day in self.hours.company_days:
            return False
        country = self.hours.holidays
        return country is None or day not in nationwide_holidays(country, day.year)

    def _is_weekday_of_work(self, day: dt.date) -> bool:
        return WEEK[day.weekday()] in self.hours.days

    def _date(self, instant: dt.datetime) -> dt.date:
        return instant.astimezone(ZoneInfo(self.time_zone)).date()


def local_instant(local: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The instant, in UTC, at which the clocks of ``zone`` show ``local`` (naive).

    Raises ``CouldNotMeasure`` when they never do or do so twice, because they are changed: which one was meant is for
    whoever wrote it to say.
    """
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset(), second.utcoffset()
    assert before is not None
    assert after is not None
    if before != after:
        what = "does not exist" if before < after else "comes twice"
        raise CouldNotMeasure(
            f"{local:%Y-%m-%d %H:%M:%S} {what} in {zone.key}: the clocks are changed then.",
            hint="Give the time in UTC, or with its offset.",
        )
    return first.astimezone(dt.UTC)


def _instant(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    instant = moment.astimezone(dt.UTC)
    if instant.astimezone(moment.tzinfo).replace(tzinfo=None) != moment.replace(tzinfo=None):
        raise CouldNotMeasure(
            f"{moment:%Y-%m-%d %H:%M:%S} does not exist in {moment.tzinfo}: the clocks are changed then.",
            hint="Give the time in UTC, or with its offset.",
        )
    return instant


def _days_from(first: dt.date, last: dt.date | None) -> Iterator[dt.date]:
    day = first
    while last is None or day <= last:
        yield day
        day += _DAY

"""The clock of working hours: the golden table of reliability §6.5, and what must hold for any two instants."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.nationwide_holidays import nationwide_holidays
from lifeboat.model.policy import Weekday, WorkingHours
from lifeboat.model.working_time import WorkingClock, local_instant

BERLIN = ZoneInfo("Europe/Berlin")
WEEK: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday")
EVERY_DAY: tuple[Weekday, ...] = (*WEEK, "saturday", "sunday")
TARGET = dt.timedelta(hours=4)
SECOND = dt.timedelta(seconds=1)
TICK = dt.timedelta(microseconds=1)
NONE = dt.timedelta(0)


def clock(
    *,
    days: tuple[Weekday, ...] = WEEK,
    begin: str = "08:00",
    until: str = "17:00",
    holidays: str | None = "DE",
    company_days: tuple[dt.date, ...] = (),
    time_zone: str = "Europe/Berlin",
) -> WorkingClock:
    keys = {"days": days, "from": begin, "until": until, "holidays": holidays, "company_days": company_days}
    return WorkingClock(WorkingHours.model_validate(keys), time_zone)


def berlin(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN)


OFFICE = clock()


@pytest.mark.parametrize(
    ("start", "deadline", "wall"),
    [
        ("2026-11-23 13:00:00", "2026-11-23 17:00:00", dt.timedelta(hours=4)),
        ("2026-11-23 13:00:01", "2026-11-24 08:00:01", dt.timedelta(hours=19)),
        ("2026-11-20 16:59:59", "2026-11-23 11:59:59", dt.timedelta(days=2, hours=19)),
        ("2026-11-20 17:00:00", "2026-11-23 12:00:00", dt.timedelta(days=2, hours=19)),
        ("2026-04-02 15:00:00", "2026-04-07 10:00:00", dt.timedelta(days=4, hours=19)),  # Easter
        ("2026-03-27 16:00:00", "2026-03-30 11:00:00", dt.timedelta(days=2, hours=18)),  # an hour is lost
        ("2026-10-23 16:30:00", "2026-10-26 11:30:00", dt.timedelta(days=2, hours=20)),  # an hour is won
        ("2026-05-13 14:00:00", "2026-05-15 09:00:00", dt.timedelta(days=1, hours=19)),  # Ascension
        ("2026-05-01 09:00:00", "2026-05-04 12:00:00", dt.timedelta(days=3, hours=3)),  # a holiday
        ("2026-12-24 16:00:00", "2026-12-28 11:00:00", dt.timedelta(days=3, hours=19)),
        ("2026-12-31 15:00:00", "2027-01-04 10:00:00", dt.timedelta(days=3, hours=19)),
    ],
)
def test_deadline_of_four_hours_is_that_of_the_golden_table(
    start: str, deadline: str, wall: dt.timedelta
) -> None:
    found = OFFICE.deadline(berlin(start), TARGET)

    assert found == berlin(deadline)
    assert found - berlin(start).astimezone(dt.UTC) == wall
    assert OFFICE.elapsed(berlin(start), found) == TARGET


def test_local_time_that_no_clock_showed_is_refused_with_what_to_write() -> None:
    skipped = berlin("2026-03-29 02:30:00")
    for ask in (
        lambda: OFFICE.deadline(skipped, TARGET),
        lambda: OFFICE.elapsed(skipped, berlin("2026-03-30 12:00")),
        lambda: OFFICE.elapsed(berlin("2026-03-20 12:00"), skipped),
        lambda: local_instant(skipped.replace(tzinfo=None), BERLIN),
    ):
        with pytest.raises(CouldNotMeasure, match="02:30:00 does not exist in Europe/Berlin") as refused:
            ask()
        assert "offset" in refused.value.hint


def test_same_night_given_in_utc_is_measured() -> None:
    monday_noon = berlin("2026-03-30 12:00")
    assert OFFICE.deadline(dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC), TARGET) == monday_noon


def test_local_time_that_comes_twice_is_refused_and_both_instants_are_measured() -> None:
    with pytest.raises(CouldNotMeasure, match="02:30:00 comes twice"):
        local_instant(dt.datetime.fromisoformat("2026-10-25 02:30"), BERLIN)

    sunday = clock(days=EVERY_DAY, begin="00:00", until="23:00", holidays=None)
    first, second = (berlin("2026-10-25 02:30").replace(fold=fold) for fold in (0, 1))
    assert sunday.elapsed(first, second) == dt.timedelta(hours=1)


def test_naive_time_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        OFFICE.deadline(dt.datetime.fromisoformat("2026-11-23 13:00"), TARGET)


def test_negative_working_time_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="negative"):
        OFFICE.deadline(berlin("2026-11-23 13:00"), -SECOND)


def test_end_before_the_start_is_refused() -> None:
    with pytest.raises(CouldNotMeasure, match="before the start"):
        OFFICE.elapsed(berlin("2026-11-23 13:00:01"), berlin("2026-11-23 13:00:00"))


@pytest.mark.parametrize(
    ("moment", "runs"),
    [
        ("2026-11-23 07:59:59", False),
        ("2026-11-23 08:00:00", True),
        ("2026-11-23 16:59:59", True),
        ("2026-11-23 17:00:00", False),
        ("2026-11-22 12:00:00", False),  # Sunday
        ("2026-12-25 12:00:00", False),  # Christmas
        ("2026-12-24 12:00:00", True),  # no holiday by law
        ("2026-01-06 12:00:00", True),  # Epiphany: a holiday in three states only
        ("2026-10-31 12:00:00", False),  # Reformation Day is a Saturday anyway
    ],
)
def test_clock_runs_in_half_open_windows_of_nationwide_working_days(moment: str, runs: bool) -> None:
    assert OFFICE.runs_at(berlin(moment)) is runs


def test_reformation_day_was_a_nationwide_holiday_once() -> None:
    assert not OFFICE.runs_at(berlin("2017-10-31 12:00"))
    assert OFFICE.runs_at(berlin("2018-10-31 12:00"))


@pytest.mark.parametrize(
    ("moment", "runs_from"),
    [
        ("2026-11-23 13:00", "2026-11-23 13:00"),
        ("2026-11-23 03:00", "2026-11-23 08:00"),
        ("2026-11-20 17:00", "2026-11-23 08:00"),
        ("2026-12-24 18:00", "2026-12-28 08:00"),
    ],
)
def test_next_running_moment_is_now_or_the_next_working_morning(moment: str, runs_from: str) -> None:
    assert OFFICE.next_running(berlin(moment)) == berlin(runs_from)


def test_company_day_is_no_working_day_and_is_frozen_with_the_holidays() -> None:
    closed = clock(company_days=(dt.date(2026, 12, 24), dt.date(2026, 12, 26)))
    start, end = berlin("2026-12-23 16:00"), berlin("2026-12-28 09:00")

    assert closed.elapsed(start, end) == dt.timedelta(hours=2)
    assert OFFICE.elapsed(start, end) == dt.timedelta(hours=11)
    # The 26th is a Saturday, on which nobody would have worked.
    assert closed.days_off(start, end) == (dt.date(2026, 12, 24), dt.date(2026, 12, 25))


@pytest.mark.parametrize("year", [1990, 2101])
def test_year_without_holiday_data_could_not_be_measured(year: int) -> None:
    start = dt.datetime(year, 3, 1, tzinfo=dt.UTC)
    with pytest.raises(CouldNotMeasure, match=f"holidays of DE in {year} are not known"):
        OFFICE.deadline(start, TARGET)
    with pytest.raises(CouldNotMeasure):
        OFFICE.elapsed(start, start + dt.timedelta(days=7))
    assert clock(holidays=None).elapsed(start, start + dt.timedelta(days=7)) == dt.timedelta(hours=45)


def test_last_year_with_holiday_data_is_measured_to_its_end() -> None:
    assert OFFICE.elapsed(berlin("2100-12-31 16:00"), berlin("2100-12-31 23:59")) == dt.timedelta(hours=1)
    with pytest.raises(CouldNotMeasure):
        OFFICE.deadline(berlin("2100-12-31 16:00"), TARGET)


@pytest.mark.filterwarnings("ignore:Requested Holidays are available only")
def test_estimated_holidays_count_as_unknown() -> None:
    with pytest.raises(CouldNotMeasure):
        nationwide_holidays("IN", 2080)


@pytest.mark.parametrize(("year", "count"), [(2017, 10), (2026, 9), (2027, 9)])
def test_germany_has_its_nationwide_holidays_only(year: int, count: int) -> None:
    assert len(nationwide_holidays("DE", year)) == count


def test_working_day_that_begins_in_the_hour_that_is_skipped_could_not_be_measured() -> None:
    night = clock(days=EVERY_DAY, begin="02:30", until="06:00", holidays=None)
    with pytest.raises(CouldNotMeasure, match="does not exist"):
        night.elapsed(berlin("2026-03-29 00:00"), berlin("2026-03-29 12:00"))
    assert night.elapsed(berlin("2026-03-28 00:00"), berlin("2026-03-28 12:00")) == dt.timedelta(hours=3.5)


# Properties. The instants crowd around the change of clocks, the turn of the year and Easter.

ANCHORS = [
    dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC),
    dt.datetime(2026, 12, 31, 23, tzinfo=dt.UTC),
    dt.datetime(2026, 4, 5, 12, tzinfo=dt.UTC),
    dt.datetime(2028, 2, 29, 12, tzinfo=dt.UTC),
]
instants = st.builds(
    lambda anchor, offset: anchor + offset,
    st.sampled_from(ANCHORS),
    st.timedeltas(dt.timedelta(days=-4), dt.timedelta(days=4))
    | st.integers(-96, 96).map(lambda hours: dt.timedelta(hours=hours)),
)
durations = st.timedeltas(NONE, dt.timedelta(days=4)) | st.integers(0, 50).map(
    lambda hours: dt.timedelta(hours=hours)
)
clocks = st.sampled_from(
    [
        OFFICE,
        clock(days=EVERY_DAY, begin="00:00", until="23:59"),  # open while the clocks are changed
        clock(days=("sunday",), begin="01:00", until="05:00", holidays=None),
        clock(company_days=(dt.date(2026, 12, 30), dt.date(2026, 12, 31), dt.date(2026, 3, 30))),
        clock(time_zone="America/New_York", holidays="US"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(clock=clocks, start=instants, working=durations)
def test_exactly_the_working_time_has_elapsed_at_the_deadline_and_never_earlier(
    clock: WorkingClock, start: dt.datetime, working: dt.timedelta
) -> None:
    deadline = clock.deadline(start, working)
    assert clock.elapsed(start, deadline) == working
    if deadline > start:
        assert clock.elapsed(start, deadline - TICK) == working - TICK


@settings(max_examples=300, deadline=None)
@given(clock=clocks, moments=st.tuples(instants, instants, instants).map(sorted))
def test_working_time_of_two_stretches_adds_up(clock: WorkingClock, moments: list[dt.datetime]) -> None:
    first, middle, last = moments
    whole = clock.elapsed(first, last)
    assert clock.elapsed(first, middle) + clock.elapsed(middle, last) == whole
    assert NONE <= whole <= last - first


@settings(max_examples=200, deadline=None)
@given(clock=clocks, start=instants, one=durations, two=durations)
def test_deadline_of_a_sum_is_the_deadline_after_the_deadline(
    clock: WorkingClock, start: dt.datetime, one: dt.timedelta, two: dt.timedelta
) -> None:
    assert clock.deadline(clock.deadline(start, one), two) == clock.deadline(start, one + two)


@settings(max_examples=200, deadline=None)
@given(clock=clocks, starts=st.tuples(instants, instants).map(sorted), spans=st.tuples(durations, durations))
def test_later_start_or_more_work_never_ends_earlier(
    clock: WorkingClock, starts: list[dt.datetime], spans: tuple[dt.timedelta, dt.timedelta]
) -> None:
    less, more = sorted(spans)
    early, late = starts
    assert clock.deadline(early, less) <= clock.deadline(late, less)
    assert clock.deadline(early, less) <= clock.deadline(early, more)


@settings(max_examples=100, deadline=None)
@given(day=st.dates(dt.date(1991, 1, 1), dt.date(2100, 12, 31)))
def test_each_day_of_every_known_year_has_nine_hours_or_none(day: dt.date) -> None:
    midnight = dt.datetime.combine(day, dt.time(), BERLIN)
    worked = OFFICE.elapsed(midnight, midnight + dt.timedelta(days=1))
    works = day.weekday() < 5 and day not in nationwide_holidays("DE", day.year)
    assert worked == (dt.timedelta(hours=9) if works else NONE)


@settings(max_examples=200, deadline=None)
@given(clock=clocks, moment=instants, zone=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]))
def test_zone_in_which_a_moment_is_written_changes_nothing(
    clock: WorkingClock, moment: dt.datetime, zone: str
) -> None:
    elsewhere = moment.astimezone(ZoneInfo(zone))
    assert clock.deadline(elsewhere, TARGET) == clock.deadline(moment, TARGET)
    assert clock.runs_at(elsewhere) is clock.runs_at(moment) is (clock.next_running(moment) == moment)

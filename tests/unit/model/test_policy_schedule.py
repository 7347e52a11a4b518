from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lifeboat.model.policy_schedule import (
    HORIZON_YEARS,
    Schedule,
    clock_change_reasons,
    loss_reasons,
    overlap_reasons,
    shortest_interval,
    worst_interval,
)

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(hours=24)


def schedule(*at: str, zone: str = "UTC", longest: str = "45m") -> Schedule:
    return Schedule.model_validate({"at": list(at), "time_zone": zone, "longest": longest})


def test_daily_schedule_cannot_keep_24_hours_and_the_arithmetic_is_shown() -> None:
    assert loss_reasons(schedule("03:30"), DAY, first_year=2026) == (
        "24 h 00 min between runs + 45 min until the backup is committed = 24 h 45 min, "
        "more than the RPO of 24 h; run at least twice a day",
    )


def test_daily_local_schedule_counts_the_25_hours_of_the_october_night() -> None:
    assert loss_reasons(schedule("03:30", zone="Europe/Berlin"), DAY, first_year=2026) == (
        "25 h 00 min between runs (on 2026-10-25, when the clocks of Europe/Berlin change) + 45 min until "
        "the backup is committed = 25 h 45 min, more than the RPO of 24 h; run at least twice a day",
    )


def test_twice_daily_schedule_keeps_24_hours_with_six_hours_until_committed() -> None:
    assert loss_reasons(schedule("00:15", "12:15", longest="6h"), DAY, first_year=2026) == ()


def test_twice_daily_local_schedule_is_refused_for_the_october_night_alone() -> None:
    twice = ("00:15", "12:15")
    assert loss_reasons(schedule(*twice, longest="12h"), DAY, first_year=2026) == ()
    (reason,) = loss_reasons(schedule(*twice, zone="Europe/Berlin", longest="12h"), DAY, first_year=2026)
    assert reason.startswith("13 h 00 min between runs (on 2026-10-25,")


def test_schedule_that_exactly_meets_the_objective_is_accepted() -> None:
    assert loss_reasons(schedule("00:00", "12:00", longest="12h"), DAY, first_year=2026) == ()
    assert loss_reasons(schedule("00:00", "12:00", longest="12h 1m"), DAY, first_year=2026) != ()


def test_uneven_schedule_is_advised_to_spread_its_runs() -> None:
    (reason,) = loss_reasons(schedule("04:00", "06:00", longest="3h"), DAY, first_year=2026)
    assert reason.startswith("22 h 00 min between runs + 3 h")
    assert reason.endswith("spread the runs evenly over the day, or add one")


def test_run_as_long_as_the_objective_is_told_that_no_schedule_helps() -> None:
    (reason,) = loss_reasons(schedule("00:00", "12:00", longest="24h"), DAY, first_year=2026)
    assert "no schedule can keep it" in reason


def test_short_objective_is_told_how_many_runs_a_day_it_needs() -> None:
    (reason,) = loss_reasons(schedule("00:00", longest="1h"), dt.timedelta(hours=5), first_year=2026)
    assert reason.endswith("run at least 6 times a day")


def test_runs_that_could_overlap_are_refused() -> None:
    (reason,) = overlap_reasons(schedule("00:00", "05:00", "17:00", longest="6h"), first_year=2026)
    assert reason.startswith("a run may take 6 h, but the one of 00:00 is followed 5 h later by the next;")
    assert overlap_reasons(schedule("00:00", "12:00", longest="12h"), first_year=2026) == ()


def test_runs_that_could_overlap_on_the_march_night_only_are_refused() -> None:
    (reason,) = overlap_reasons(
        schedule("00:00", "12:00", zone="Europe/Berlin", longest="12h"), first_year=2026
    )
    assert "11 h later by the next (on 2026-03-29," in reason


@pytest.mark.parametrize("time", ["01:00", "02:00", "02:30", "02:59"])
def test_local_start_in_the_hours_of_clock_changes_is_refused(time: str) -> None:
    (reason,) = clock_change_reasons(schedule(time, zone="Europe/Berlin"), first_year=2026)
    assert reason.startswith(f"{time} in Europe/Berlin falls into the hours in which clocks change")


@pytest.mark.parametrize(
    ("time", "zone"),
    [("02:30", "UTC"), ("02:30", "Asia/Kolkata"), ("00:59", "Europe/Berlin"), ("03:00", "Europe/Berlin")],
)
def test_start_that_every_night_has_exactly_once_is_accepted(time: str, zone: str) -> None:
    assert clock_change_reasons(schedule(time, zone=zone), first_year=2026) == ()


def test_local_start_at_a_midnight_that_some_day_lacks_is_refused() -> None:
    assert clock_change_reasons(schedule("00:30", zone="Africa/Cairo"), first_year=2026)


def test_schedule_is_sorted_and_refuses_a_repeated_time() -> None:
    assert schedule("12:15", "00:15").at == (dt.time(0, 15), dt.time(12, 15))
    with pytest.raises(ValidationError, match="twice"):
        schedule("12:15", "12:15")


def test_cron_of_starts_at_one_minute_is_one_expression() -> None:
    assert schedule("12:15", "00:15").cron == ("15 0,12 * * *",)
    assert schedule("00:15", "12:45").cron == ("15 0 * * *", "45 12 * * *")


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.integers(min_value=0, max_value=47), min_size=1, max_size=4),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_extreme_intervals_are_those_found_by_listing_every_start_of_all_years(
    slots: set[int], zone: str
) -> None:
    times = [dt.time(slot // 2, slot % 2 * 30) for slot in sorted(slots)]
    rules = schedule(*(f"{time:%H:%M}" for time in times), zone=zone)
    first = dt.date(2026, 1, 1)
    starts = [
        dt.datetime.combine(first + dt.timedelta(days=day), time, ZoneInfo(zone)).astimezone(dt.UTC)
        for day in range(365 * HORIZON_YEARS)
        for time in times
    ]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert worst_interval(rules, first_year=2026).length == max(gaps)
    assert shortest_interval(rules, first_year=2026).length == min(gaps)


@given(
    st.sets(st.integers(min_value=0, max_value=23), min_size=1, max_size=6),
    st.integers(min_value=1, max_value=12),
    st.integers(min_value=1, max_value=48),
)
def test_schedule_is_accepted_exactly_when_interval_plus_lead_fit_the_objective(
    hours: set[int], longest: int, rpo: int
) -> None:
    rules = schedule(*(f"{hour:02d}:00" for hour in hours), longest=f"{longest}h")
    ordered = sorted(hours)
    worst = max(
        (later - earlier) % 24 or 24
        for earlier, later in zip(ordered, ordered[1:] + ordered[:1], strict=True)
    )
    accepted = loss_reasons(rules, rpo * HOUR, first_year=2026) == ()
    assert accepted == (worst + longest <= rpo)

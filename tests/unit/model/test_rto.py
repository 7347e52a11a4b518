"""How long a recovery took: three numbers side by side, and a verdict that is never green on a guess."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.drills import CLOCK, DECLARED, MINUTES

from lifeboat.model.extrapolation import Extrapolation, Measurement, extrapolate
from lifeboat.model.objectives import Verdict
from lifeboat.model.phases import COUNTED, TECHNICAL, Phase, PhaseName, milliseconds
from lifeboat.model.rto import AchievedRto, judge_rto

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = dt.timedelta(minutes=1)
RTO = 240 * MINUTE
MONDAY = dt.datetime(2026, 11, 23, 9, tzinfo=BERLIN)


def phase(name: str, minutes: int | None, /, **changes: Any) -> Phase:
    fields = {
        "name": name,
        "owner": "On call",
        "basis": "allowance" if name in DECLARED else "measured",
        "milliseconds": None if minutes is None else minutes * 60_000,
    }
    return Phase.model_validate(fields | changes)


def phases(**changes: int | None) -> list[Phase]:
    return [phase(name, minutes) for name, minutes in (MINUTES | changes).items()]


def judged(told: list[Phase], *, detected_at: dt.datetime = MONDAY, failed: bool = False) -> AchievedRto:
    return judge_rto(told, detected_at=detected_at, objective=RTO, clock=CLOCK, failed=failed)


def minutes(time: int | None) -> float | None:
    return None if time is None else time / 60_000


def numbers(rto: AchievedRto) -> tuple[float | None, float | None, float | None]:
    return (
        minutes(rto.technical_milliseconds),
        minutes(rto.working_milliseconds),
        minutes(rto.wall_milliseconds),
    )


def test_recovery_in_working_hours_is_met_with_its_three_times() -> None:
    rto = judged(phases())
    assert (rto.verdict, rto.reasons) == (Verdict.MET, ())
    assert numbers(rto) == (95, 130, 130)
    assert rto.released_at == MONDAY + 130 * MINUTE
    assert not rto.extrapolated


def test_allowances_are_told_apart_from_what_was_measured() -> None:
    assert judged(phases()).notes == ("declared, not measured: detect 30 min, decide 15 min, release 20 min",)


def test_time_to_detect_is_told_and_does_not_count() -> None:
    assert numbers(judged(phases(detect=6000))) == numbers(judged(phases()))


def test_night_between_two_working_days_counts_as_wall_time_only() -> None:
    rto = judged(phases(restore=180), detected_at=dt.datetime(2026, 11, 20, 16, tzinfo=BERLIN))
    assert numbers(rto) == (215, 60, 250)
    assert rto.verdict is Verdict.MET
    assert rto.notes[-1] == "3 h 10 min of the wall time were outside working hours and do not count"


def test_holidays_that_were_left_out_are_frozen_into_the_result() -> None:
    rto = judged(phases(restore=4 * 24 * 60), detected_at=dt.datetime(2026, 4, 2, 16, tzinfo=BERLIN))
    assert rto.days_off == (dt.date(2026, 4, 3), dt.date(2026, 4, 6))
    assert numbers(rto)[1] == 60


@pytest.mark.parametrize(("more", "verdict"), [(0, Verdict.MET), (1, Verdict.MISSED)])
def test_time_exactly_at_the_objective_is_met(more: int, verdict: Verdict) -> None:
    rto = judged(phases(restore=170 + more))
    assert minutes(rto.working_milliseconds) == 240 + more
    assert rto.verdict is verdict


def test_missed_recovery_says_by_how_much() -> None:
    assert judged(phases(restore=200)).reasons == (
        "working time of 4 h 30 min, 30 min more than the RTO of 4 h",
    )


@pytest.mark.parametrize("name", PhaseName)
def test_phase_without_a_time_makes_it_unmeasured(name: PhaseName) -> None:
    told = [phase(each, None if each == name else MINUTES[each], basis="measured") for each in PhaseName]
    rto = judged(told)
    assert rto.verdict is Verdict.UNMEASURED
    assert rto.reasons == (f"{name} was not measured to its end",)
    assert (rto.wall_milliseconds is None) is (name in COUNTED)
    assert (rto.technical_milliseconds is None) is (name in TECHNICAL)
    assert (rto.released_at is None) is (name in COUNTED)


@pytest.mark.parametrize("name", PhaseName)
def test_phase_that_is_not_told_makes_it_unmeasured(name: PhaseName) -> None:
    rto = judged([each for each in phases() if each.name != name])
    assert (rto.verdict, rto.reasons) == (Verdict.UNMEASURED, (f"{name} was neither measured nor declared",))


def test_nothing_told_is_unmeasured() -> None:
    rto = judged([])
    assert rto.verdict is Verdict.UNMEASURED
    assert len(rto.reasons) == 7
    assert numbers(rto) == (None, None, None)


@pytest.mark.parametrize("name", TECHNICAL)
def test_what_machines_do_cannot_be_declared(name: PhaseName) -> None:
    told = [each if each.name != name else phase(name, 1, basis="allowance") for each in phases()]
    rto = judged(told)
    assert rto.verdict is Verdict.UNMEASURED
    assert rto.reasons == (f"{name} is an allowance, but what machines do must be measured",)
    assert rto.technical_milliseconds is None


def test_time_over_the_objective_is_missed_although_more_was_not_measured() -> None:
    rto = judged(phases(restore=500, verify=None))
    assert rto.verdict is Verdict.MISSED
    assert rto.wall_milliseconds is None


def test_failed_recovery_is_missed_and_not_unmeasured() -> None:
    for told in (phases(), phases(restore=None, verify=None), []):
        rto = judged(told, failed=True)
        assert (rto.verdict, rto.released_at) == (Verdict.MISSED, None)
        assert rto.reasons == ("the recovery failed: nothing was released",)


@pytest.mark.parametrize(
    "local", ["2026-11-22T12:00", "2026-11-23T03:00", "2026-11-20T17:00", "2026-12-25T12:00"]
)
def test_drill_at_night_measures_nothing_instead_of_taking_no_time(local: str) -> None:
    at_night = dt.datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    rto = judged(phases(), detected_at=at_night)
    assert rto.verdict is Verdict.UNMEASURED
    assert "outside working hours" in rto.reasons[0]
    assert judged(phases(), detected_at=CLOCK.next_running(at_night)).verdict is Verdict.MET


def test_year_without_holiday_data_is_unmeasured() -> None:
    rto = judged(phases(), detected_at=dt.datetime(2101, 3, 1, 9, tzinfo=BERLIN))
    assert (rto.verdict, rto.working_milliseconds) == (Verdict.UNMEASURED, None)
    assert "holidays of DE in 2101" in rto.reasons[0]
    assert minutes(rto.wall_milliseconds) == 130


def test_phase_told_twice_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="twice"):
        judged([*phases(), phase("fetch", 1)])


def bound(minutes: int) -> Extrapolation:
    points = [Measurement(size, 0, size * minutes * 300) for size in (50, 100, 150)]
    return extrapolate(points, plain_bytes=200, rows=0)


@pytest.mark.parametrize(("upper", "verdict"), [(60, Verdict.MET), (300, Verdict.MISSED)])
def test_extrapolated_recovery_is_judged_on_its_upper_bound_and_labelled(
    upper: int, verdict: Verdict
) -> None:
    told = phases()
    told[4] = phase("restore", upper, basis="extrapolated", sample_milliseconds=1, extrapolation=bound(upper))
    rto = judged(told)
    assert (rto.verdict, rto.extrapolated) == (verdict, True)
    assert any(note.startswith("upper bounds, never achieved: restore") for note in rto.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"basis": "allowance", "milliseconds": None},
        {"basis": "allowance", "started_at": MONDAY},
        {"basis": "extrapolated"},
        {
            "basis": "extrapolated",
            "milliseconds": 59 * 60_000,
            "sample_milliseconds": 1,
            "extrapolation": bound(60),
        },
        {"basis": "extrapolated", "milliseconds": 60 * 60_000, "extrapolation": bound(60)},
        {"sample_milliseconds": 1},
        {"basis": "measured", "extrapolation": bound(60)},
        {"milliseconds": -1},
        {"milliseconds": 1.5},
        {"owner": ""},
        {"name": "panic"},
        {"novelty": 1},
    ],
)
def test_phase_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        phase("restore", 60, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"working_milliseconds": None},
        {"technical_milliseconds": None},
        {"working_milliseconds": 240 * 60_000 + 1},
        {"reasons": ("but",)},
        {"verdict": "unmeasured"},
    ],
)
def test_judgement_cannot_contradict_its_numbers(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AchievedRto(**(judged(phases()).model_dump() | change))


@pytest.mark.parametrize(("microseconds", "expected"), [(0, 0), (1, 1), (1000, 1), (1001, 2)])
def test_milliseconds_are_rounded_up(microseconds: int, expected: int) -> None:
    assert milliseconds(dt.timedelta(microseconds=microseconds)) == expected


@settings(max_examples=200, deadline=None)
@given(
    times=st.lists(st.none() | st.integers(0, 20_000_000), min_size=7, max_size=7),
    told=st.sets(st.sampled_from(list(PhaseName))),
    start=st.integers(0, 60 * 24 * 14),
    failed=st.booleans(),
)
def test_verdict_is_met_only_when_everything_was_measured_and_fits(
    times: list[int | None], told: set[PhaseName], start: int, failed: bool
) -> None:
    records = [
        phase(name, None, basis="measured", milliseconds=time)
        for name, time in zip(PhaseName, times, strict=True)
        if name in told
    ]
    detected = dt.datetime(2026, 12, 20, tzinfo=dt.UTC) + start * MINUTE
    rto = judged(records, detected_at=detected, failed=failed)
    whole = len(told) == 7 and None not in times
    assert bool(rto.reasons) is (rto.verdict is not Verdict.MET)
    if rto.verdict is Verdict.MET:
        assert whole and not failed and CLOCK.runs_at(detected)
    if whole:
        assert rto.technical_milliseconds is not None
        assert rto.wall_milliseconds == sum(time or 0 for time in times[1:])
        assert rto.working_milliseconds is not None
        assert rto.working_milliseconds <= rto.wall_milliseconds
        assert rto.technical_milliseconds <= rto.wall_milliseconds
        if not failed and CLOCK.runs_at(detected):
            within = rto.working_milliseconds <= RTO // dt.timedelta(milliseconds=1)
            assert rto.verdict is (Verdict.MET if within else Verdict.MISSED)


def test_worst_verdict_wins_and_nothing_is_unmeasured() -> None:
    assert Verdict.worst([]) is Verdict.UNMEASURED
    assert Verdict.worst([Verdict.MET]) is Verdict.MET
    assert Verdict.worst([Verdict.MET, Verdict.UNMEASURED]) is Verdict.UNMEASURED
    assert Verdict.worst([Verdict.MISSED, Verdict.MET, Verdict.UNMEASURED]) is Verdict.MISSED

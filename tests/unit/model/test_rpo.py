"""What a disaster loses: the arithmetic of reliability §6.3, and the refusals of everything that was not measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.objectives import Verdict
from lifeboat.model.rpo import (
    AchievedRpo,
    GoodBackup,
    WorstLoss,
    achieved_rpo,
    judge_rpo,
    rpo_now,
    worst_loss,
)

HOUR, MINUTE, SECOND = dt.timedelta(hours=1), dt.timedelta(minutes=1), dt.timedelta(seconds=1)
DAY = 24 * HOUR
RPO = DAY
BEGIN = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
NOW = BEGIN + 30 * DAY


def backup(data: dt.timedelta, lead: dt.timedelta = 45 * MINUTE) -> GoodBackup:
    """Frozen ``data`` after ``BEGIN``, committed ``lead`` later."""
    return GoodBackup(BEGIN + data, BEGIN + data + lead)


def loss(backups: Sequence[GoodBackup], since: dt.datetime = BEGIN, now: dt.datetime = NOW) -> dt.timedelta:
    return dt.timedelta(milliseconds=worst_loss(backups, since=since, now=now).milliseconds)


# Achieved


def test_loss_is_the_time_from_the_data_and_not_from_the_commit() -> None:
    made = backup(2 * HOUR)
    incident = BEGIN + 9 * HOUR
    assert (
        achieved_rpo(incident, made.data_timestamp, committed_at=made.committed_at, now=incident) == 7 * HOUR
    )


@pytest.mark.parametrize(
    ("incident", "why"),
    [
        (NOW + SECOND, "is in the future"),
        (BEGIN + HOUR, "its data is of 2026-10-01 02:00:00 UTC"),
        (BEGIN + 2 * HOUR + 44 * MINUTE, "it was committed at 2026-10-01 02:45:00 UTC"),
    ],
)
def test_incident_that_the_backup_could_not_have_helped_is_refused(incident: dt.datetime, why: str) -> None:
    made = backup(2 * HOUR)
    with pytest.raises(CouldNotMeasure, match=why) as refused:
        achieved_rpo(incident, made.data_timestamp, committed_at=made.committed_at, now=NOW)
    assert refused.value.hint
    assert refused.value.exit_code == 2


def judged(
    *restored: GoodBackup,
    incident: dt.datetime = BEGIN + 30 * HOUR,
    objective: dt.timedelta = RPO,
    worst: WorstLoss | None = None,
) -> AchievedRpo:
    return judge_rpo(restored, incident=incident, now=NOW, objective=objective, worst=worst)


def test_restored_data_within_the_objective_is_met() -> None:
    verdict = judged(backup(20 * HOUR))
    assert (verdict.verdict, verdict.reasons) == (Verdict.MET, ())
    assert verdict.achieved_milliseconds == 10 * 3_600_000
    assert verdict.data_timestamp == BEGIN + 20 * HOUR


def test_oldest_data_of_several_sources_decides() -> None:
    for order in permutations([backup(20 * HOUR), backup(5 * HOUR), backup(12 * HOUR)]):
        verdict = judged(*order)
        assert verdict.data_timestamp == BEGIN + 5 * HOUR
        assert verdict.reasons == ("lost data of 25 h, 1 h more than the RPO of 24 h",)
        assert verdict.verdict is Verdict.MISSED


@pytest.mark.parametrize(
    ("older", "verdict"), [(dt.timedelta(0), Verdict.MET), (dt.timedelta(microseconds=1), Verdict.MISSED)]
)
def test_data_exactly_as_old_as_the_objective_is_met(older: dt.timedelta, verdict: Verdict) -> None:
    assert judged(backup(6 * HOUR - older)).verdict is verdict


def test_nothing_restored_is_unmeasured() -> None:
    verdict = judged()
    assert (verdict.verdict, verdict.achieved_milliseconds) == (Verdict.UNMEASURED, None)
    assert verdict.reasons == ("nothing was restored whose age could be read",)


def test_incident_before_one_of_the_backups_is_unmeasured_and_never_met() -> None:
    verdict = judged(backup(20 * HOUR), backup(40 * HOUR))
    assert (verdict.verdict, verdict.achieved_milliseconds) == (Verdict.UNMEASURED, None)
    assert "would not have been there" in verdict.reasons[0]


def test_worst_case_of_the_period_is_shown_and_does_not_decide() -> None:
    worst = worst_loss([backup(0 * HOUR)], since=BEGIN, now=NOW)
    assert worst.milliseconds > RPO // dt.timedelta(milliseconds=1)
    verdict = judged(backup(20 * HOUR), worst=worst)
    assert (verdict.verdict, verdict.worst) == (Verdict.MET, worst)


@pytest.mark.parametrize(
    "change",
    [
        {"achieved_milliseconds": None},
        {"achieved_milliseconds": 86_400_001},
        {"reasons": ("but",)},
        {"verdict": Verdict.MISSED},
    ],
)
def test_judgement_cannot_contradict_its_numbers(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AchievedRpo(**(judged(backup(20 * HOUR)).model_dump() | change))


# Now


def test_loss_now_is_the_age_of_the_newest_data_in_any_order() -> None:
    for order in permutations([backup(0 * HOUR), backup(12 * HOUR), backup(24 * HOUR)]):
        assert rpo_now(order, now=BEGIN + 30 * HOUR) == 6 * HOUR


def test_loss_now_does_not_believe_backups_of_the_future() -> None:
    backups = [backup(0 * HOUR), backup(365 * DAY)]
    assert rpo_now(backups, now=BEGIN + 30 * HOUR) == 30 * HOUR


def test_data_a_little_ahead_of_our_clock_loses_nothing() -> None:
    assert rpo_now([backup(MINUTE, SECOND)], now=BEGIN + 30 * SECOND) == dt.timedelta(0)


@pytest.mark.parametrize("backups", [[], [backup(365 * DAY)]])
def test_loss_without_a_good_backup_could_not_be_measured(backups: list[GoodBackup]) -> None:
    with pytest.raises(CouldNotMeasure, match="no good backup"):
        rpo_now(backups, now=NOW)
    with pytest.raises(CouldNotMeasure, match="no good backup"):
        worst_loss(backups, since=BEGIN, now=NOW)


# Worst case


def test_daily_backups_lose_more_than_a_day() -> None:
    """Interval and lead: 24 h 45 min."""
    assert loss([backup(day * DAY) for day in range(-1, 30)]) == 24 * HOUR + 45 * MINUTE


def test_daily_backups_by_local_time_lose_an_hour_more_in_the_october_night() -> None:
    daily = [
        backup(
            day * DAY
            + (HOUR if BEGIN + day * DAY > dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC) else 0 * HOUR)
        )
        for day in range(-1, 30)
    ]
    worst = worst_loss(daily, since=BEGIN, now=NOW)
    assert worst.milliseconds == (25 * 60 + 45) * 60_000
    assert worst.at == dt.datetime(2026, 10, 25, 1, 45, tzinfo=dt.UTC)


def test_one_missing_run_loses_two_intervals() -> None:
    assert loss([backup(day * DAY) for day in range(-1, 30) if day != 12]) == 48 * HOUR + 45 * MINUTE


def test_twice_a_day_keeps_the_objective() -> None:
    assert loss([backup(run * 12 * HOUR) for run in range(-2, 60)]) == 12 * HOUR + 45 * MINUTE


def test_tail_until_now_counts() -> None:
    backups = [backup(run * 12 * HOUR) for run in range(-2, 40)]
    worst = worst_loss(backups, since=BEGIN, now=NOW)
    assert worst.at == NOW
    assert worst.milliseconds == (NOW - backups[-1].data_timestamp) // dt.timedelta(milliseconds=1)


def test_loss_before_the_period_does_not_count_but_its_last_backup_does() -> None:
    backups = [backup(-10 * DAY), backup(-1 * DAY), *(backup(day * DAY) for day in range(30))]
    assert loss(backups) == 24 * HOUR + 45 * MINUTE
    assert loss(backups, since=BEGIN - 5 * DAY) == 9 * DAY + 45 * MINUTE


def test_period_begins_with_the_first_backup_when_there_was_none_before() -> None:
    worst = worst_loss([backup(10 * DAY), backup(29 * DAY)], since=BEGIN, now=NOW)
    assert worst.since == BEGIN + 10 * DAY + 45 * MINUTE
    assert worst.milliseconds == (19 * 24 * 60 + 45) * 60_000


def test_late_commit_of_older_data_does_not_replace_newer_data() -> None:
    late = GoodBackup(BEGIN + 2 * HOUR, BEGIN + 20 * HOUR)
    backups = [backup(0 * HOUR), backup(10 * HOUR), late]
    assert loss(backups, now=BEGIN + 21 * HOUR) == 11 * HOUR


def test_backup_whose_data_is_dated_after_its_commit_counts_for_nothing() -> None:
    liar = GoodBackup(BEGIN + 20 * HOUR, BEGIN + 2 * HOUR)
    assert loss([backup(0 * HOUR), liar], now=BEGIN + 24 * HOUR) == 24 * HOUR


histories = st.lists(
    st.builds(
        backup,
        st.integers(-40, 40).map(lambda half_days: half_days * 12 * HOUR)
        | st.timedeltas(-10 * DAY, 29 * DAY),
        st.timedeltas(dt.timedelta(0), 6 * HOUR),
    ),
    min_size=1,
    max_size=12,
).filter(lambda backups: any(each.committed_at <= BEGIN for each in backups))


@settings(max_examples=200, deadline=None)
@given(backups=histories, at=st.timedeltas(dt.timedelta(0), 30 * DAY))
def test_no_incident_of_the_period_loses_more_than_the_worst_case(
    backups: list[GoodBackup], at: dt.timedelta
) -> None:
    incident = BEGIN + at
    there = [each for each in backups if each.committed_at <= incident]
    lost = min(
        achieved_rpo(incident, each.data_timestamp, committed_at=each.committed_at, now=NOW) for each in there
    )
    assert lost <= loss(backups)


@settings(max_examples=200, deadline=None)
@given(backups=histories)
def test_worst_case_is_the_loss_just_before_the_instant_it_names(backups: list[GoodBackup]) -> None:
    worst = worst_loss(backups, since=BEGIN, now=NOW)
    there = [each for each in backups if each.committed_at < worst.at]
    newest = max(each.data_timestamp for each in there)
    assert worst.milliseconds == -((newest - worst.at) // dt.timedelta(milliseconds=1))
    assert worst == worst_loss(backups[::-1], since=BEGIN, now=NOW)


@settings(max_examples=100, deadline=None)
@given(backups=histories, more=st.timedeltas(-10 * DAY, 29 * DAY))
def test_one_more_backup_never_makes_the_worst_case_worse(
    backups: list[GoodBackup], more: dt.timedelta
) -> None:
    assert loss([*backups, backup(more)]) <= loss(backups)

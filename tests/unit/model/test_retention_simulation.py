"""What the next days would look like."""

from __future__ import annotations

import datetime as dt

import pytest
from support.retention_life import BERLIN, RULES, Life

from lifeboat.model.retention import RetentionRules
from lifeboat.model.retention_simulation import simulate

START = dt.date(2026, 11, 24)


def test_simulation_of_four_hundred_days_settles_at_the_dailies_and_six_monthlies() -> None:
    life = Life()
    life.live(dt.date(2026, 10, 1), dt.date(2026, 11, 23))
    simulated = simulate(life.present, RULES, start=START, time_zone=BERLIN)
    assert [each.day for each in simulated] == [START + dt.timedelta(days=offset) for offset in range(400)]
    assert all(not each.findings and not each.refusals and not each.deferred for each in simulated)
    last = simulated[-1]
    assert last.day == dt.date(2027, 12, 28)
    # 31 days with a daily, the day's earlier run, and the monthlies that are no daily any more.
    assert last.kept == 31 + 1 + 5
    assert last.oldest_daily == dt.date(2027, 11, 28)
    assert last.monthlies == tuple(dt.date(2027, month, 1) for month in (12, 11, 10, 9, 8, 7))
    assert [each.reasons for each in last.deleted] == [
        ("superseded by a later backup of the same day",),
        ("older than 30 days",),
    ]


def test_simulation_of_a_shorter_policy_works_off_the_backlog_by_the_cap() -> None:
    life = Life()
    life.live(dt.date(2026, 10, 1), dt.date(2026, 11, 23))
    shorter = RULES.model_copy(update={"daily_days": 5, "floor": 5})
    simulated = simulate(life.present, shorter, start=START, days=40, time_zone=BERLIN)
    assert all(len(each.deleted) == 3 for each in simulated[:10])
    assert "deletion-overdue" in {finding.code for finding in simulated[0].findings}
    backlog = [len(each.deferred) for each in simulated]
    assert backlog[0] > 20
    assert backlog[-1] == 0


def test_simulation_of_a_cap_below_the_runs_shows_that_the_backlog_never_ends() -> None:
    tight = RULES.model_copy(update={"deletion_cap": 1})
    simulated = simulate([], tight, start=START, days=120, time_zone=BERLIN)
    assert len(simulated[-1].deferred) > len(simulated[60].deferred) > 0


def test_simulation_from_a_suspect_newest_backup_goes_on_with_the_next_good_run() -> None:
    life = Life()
    life.live(dt.date(2026, 10, 1), dt.date(2026, 11, 22))
    suspect = life.back_up(dt.date(2026, 11, 23), good=False)
    simulated = simulate(life.present, RULES, start=START, days=32, time_zone=BERLIN)
    assert all(not each.refusals for each in simulated)
    (gone,) = (each for each in simulated if suspect in [decision.backup for decision in each.deleted])
    assert gone.day == suspect.day + dt.timedelta(days=31)


def test_simulation_counts_no_backup_as_monthly_that_only_a_hold_keeps() -> None:
    life = Life()
    life.back_up(dt.date(2025, 3, 1), legal_hold=True)
    life.back_up(dt.date(2026, 11, 1))
    (day,) = simulate(life.present, RULES, start=START, days=1, time_zone=BERLIN)
    assert day.monthlies == (dt.date(2026, 11, 1),)
    assert [finding.code for finding in day.findings] == ["legal-hold"]


@pytest.mark.parametrize("runs", [1, 2, 24])
def test_simulation_with_any_number_of_runs_counts_them_on_their_own_day(runs: int) -> None:
    policy = RetentionRules(daily_days=1, monthly_months=0, floor=1, deletion_cap=60)
    spring = dt.date(2026, 3, 29)
    simulated = simulate([], policy, start=spring, days=3, runs_per_day=runs, time_zone=BERLIN)
    assert (simulated[0].kept, simulated[0].deleted) == (runs, ())
    gone = [each.backup for day in simulated for each in day.deleted if each.backup.day == spring]
    assert len(gone) == runs
    assert all(backup.data_timestamp.astimezone(BERLIN).date() == spring for backup in gone)
    assert not any(day.refusals for day in simulated)


def test_simulation_without_a_run_per_day_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        simulate([], RULES, start=START, runs_per_day=0, time_zone=BERLIN)

"""What must hold for every set of backups, and for every life of up to ten years."""

from __future__ import annotations

import datetime as dt
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.retention_life import BERLIN, Life

from lifeboat.model.retention import BackupFacts, Decision, RetentionPlan, RetentionRules, plan_retention
from lifeboat.model.retention_rules import add_months

FIRST_TODAY, LAST_TODAY = dt.date(2026, 1, 1), dt.date(2029, 12, 31)

rules = st.fixed_dictionaries(
    {
        "daily_days": st.sampled_from([1, 5, 30, 180]),
        "monthly_months": st.sampled_from([0, 1, 6]),
        "floor": st.integers(1, 9),
        "deletion_cap": st.integers(1, 60),
    }
).map(RetentionRules.model_validate)
todays = st.dates(FIRST_TODAY, LAST_TODAY)


@st.composite
def sets_of_backups(draw: st.DrawFn, today: dt.date) -> list[BackupFacts]:
    """Up to forty, several a day, up to 400 days old, now and then dated in the future."""
    ages = draw(st.lists(st.integers(0, 9) | st.integers(-1, 400), max_size=40))
    return [draw(backups(today - dt.timedelta(days=age), number + 1)) for number, age in enumerate(ages)]


@st.composite
def backups(draw: st.DrawFn, day: dt.date, number: int, good: bool | None = None) -> BackupFacts:
    minutes = draw(st.integers(0, 24 * 60 - 1))
    instant = dt.datetime.combine(day, dt.time(), BERLIN) + dt.timedelta(minutes=minutes)
    return BackupFacts(
        backup_id=f"b{number}",
        sequence=number,
        data_timestamp=instant.astimezone(dt.UTC),
        committed_at=instant.astimezone(dt.UTC) + dt.timedelta(minutes=draw(st.integers(0, 90))),
        day=day,
        good=draw(st.integers(0, 4)) > 0 if good is None else good,
        size=1000,
        legal_hold=draw(st.integers(0, 9)) == 0,
    )


def plan_of(present: list[BackupFacts], policy: RetentionRules, today: dt.date) -> RetentionPlan:
    now = dt.datetime.combine(today, dt.time(23, 59), BERLIN).astimezone(dt.UTC)
    return plan_retention(present, policy, today=today, now=now)


def ids(decisions: tuple[Decision, ...]) -> set[str]:
    return {decision.backup.backup_id for decision in decisions}


@settings(max_examples=250, deadline=None)
@given(data=st.data(), policy=rules, today=todays)
def test_plan_of_any_backups_decides_each_once_with_reasons_and_keeps_the_promises(
    data: st.DataObject, policy: RetentionRules, today: dt.date
) -> None:
    present = data.draw(sets_of_backups(today))
    plan = plan_of(present, policy, today)
    parts = (*plan.keep, *plan.delete, *plan.deferred)
    assert sorted(each.backup.backup_id for each in parts) == sorted(each.backup_id for each in present)
    assert all(each.reasons and all(each.reasons) for each in plan.decisions)
    assert len(plan.delete) <= policy.deletion_cap
    assert not (plan.refusals and plan.delete)
    assert plan == plan_of(data.draw(st.permutations(present)), policy, today)
    remaining = [each.backup for each in (*plan.keep, *plan.deferred)]
    assert not any(each.backup.legal_hold for each in (*plan.delete, *plan.deferred))
    check_floor(sum(each.good for each in present), remaining, policy)
    check_dailies(present, remaining, policy, today)
    check_maximum(plan, policy, today)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), policy=rules, today=todays)
def test_plan_again_on_the_same_day_deletes_only_what_was_deferred(
    data: st.DataObject, policy: RetentionRules, today: dt.date
) -> None:
    plan = plan_of(data.draw(sets_of_backups(today)), policy, today)
    again = plan_of([each.backup for each in (*plan.keep, *plan.deferred)], policy, today)
    assert ids(again.delete) <= ids(plan.deferred)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), policy=rules, today=todays, age=st.integers(-400, 400))
def test_plan_with_one_more_suspect_never_deletes_another_good_one(
    data: st.DataObject, policy: RetentionRules, today: dt.date, age: int
) -> None:
    present = data.draw(sets_of_backups(today))
    suspect = data.draw(backups(today - dt.timedelta(days=age), len(present) + 1, good=False))
    without, joined = plan_of(present, policy, today), plan_of([*present, suspect], policy, today)
    deleted_good = {each.backup.backup_id for each in joined.delete if each.backup.good}
    assert deleted_good <= ids(without.delete)


@settings(max_examples=12, deadline=None)
@given(
    first=st.dates(dt.date(2024, 1, 1), dt.date(2027, 12, 31)),
    length=st.integers(1, 3650),
    seed=st.integers(0, 2**32),
    fail=st.sampled_from([0.0, 0.05, 0.4, 0.9]),
    suspect=st.sampled_from([0.0, 0.02, 0.2]),
    idle=st.sampled_from([0.0, 0.1, 0.3]),  # more, and a cap of 3 never catches up
    floor=st.sampled_from([1, 7]),
)
def test_life_of_years_with_failures_and_missed_prunes_keeps_the_promises_every_day(
    first: dt.date, length: int, seed: int, fail: float, suspect: float, idle: float, floor: int
) -> None:
    chance = random.Random(seed)
    policy = RetentionRules(daily_days=30, monthly_months=6, floor=floor, deletion_cap=3)
    life, taken = Life(policy), Taken()

    def outcome(_day: dt.date, _time: dt.time) -> bool | None:
        dice = chance.random()
        return None if dice < fail else dice >= fail + suspect

    for offset in range(length):
        today = first + dt.timedelta(days=offset)
        before = len(life.present)
        life.run(today, outcome)
        taken.add(life.present[before:])
        if chance.random() < idle:
            continue
        plan = life.prune(today)
        check_floor(len(taken.good), life.present, policy)
        check_dailies(taken.recent(today), life.present, policy, today)
        check_months(taken.months, life.present, policy, today)
        check_maximum(plan, policy, today)


class Taken:
    """Every good backup that a life ever took."""

    def __init__(self) -> None:
        self.good: list[BackupFacts] = []
        self.months: set[dt.date] = set()

    def add(self, fresh: list[BackupFacts]) -> None:
        good = [backup for backup in fresh if backup.good]
        self.good += good
        self.months |= {backup.day.replace(day=1) for backup in good}

    def recent(self, today: dt.date) -> list[BackupFacts]:
        return [backup for backup in self.good[-80:] if backup.day >= today - dt.timedelta(days=31)]


def check_floor(taken: int, remaining: list[BackupFacts], policy: RetentionRules) -> None:
    assert sum(backup.good for backup in remaining) >= min(policy.floor, taken)


def check_dailies(
    taken: list[BackupFacts], remaining: list[BackupFacts], policy: RetentionRules, today: dt.date
) -> None:
    """Every day within the limit that had a good backup still has the last of them."""
    oldest = today - dt.timedelta(days=policy.daily_days)
    last = {
        backup.day: backup for backup in sorted(taken, key=lambda each: each.data_timestamp) if backup.good
    }
    there = {backup.backup_id for backup in remaining}
    assert {backup.backup_id for day, backup in last.items() if day >= oldest} <= there


def check_months(
    months: set[dt.date], remaining: list[BackupFacts], policy: RetentionRules, today: dt.date
) -> None:
    there = {backup.day.replace(day=1) for backup in remaining if backup.good}
    assert {month for month in months if add_months(month, policy.monthly_months) >= today} <= there


def check_maximum(plan: RetentionPlan, policy: RetentionRules, today: dt.date) -> None:
    """What is older than the limit stays only as a monthly, for a hold or for the floor (decision 8)."""
    oldest = today - dt.timedelta(days=policy.daily_days)
    excuses = ("monthly of", "stands in for", "legal hold", "safety floor", "dated in the future")
    for decision in plan.keep:
        if decision.backup.day < oldest:
            assert any(reason.startswith(excuses) for reason in decision.reasons)

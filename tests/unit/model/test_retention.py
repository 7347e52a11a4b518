"""The rules one by one, each at the day on which it turns."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from support.retention_life import EVENING, MORNING, RULES, Life, days

from lifeboat.model.retention import BackupFacts, RetentionPlan, Verdict, plan_retention

SMALL_FLOOR = RULES.model_copy(update={"floor": 1})
TODAY = dt.date(2026, 11, 23)
NOW = dt.datetime(2026, 11, 23, 22, 0, tzinfo=dt.UTC)


def ago(number: int) -> dt.date:
    return TODAY - dt.timedelta(days=number)


def verdict(plan: RetentionPlan, backup: BackupFacts) -> tuple[Verdict, str]:
    (decision,) = (each for each in plan.decisions if each.backup == backup)
    return decision.verdict, "; ".join(decision.reasons)


def codes(plan: RetentionPlan) -> list[str]:
    return [finding.code for finding in plan.findings]


def test_plan_without_backups_decides_nothing_and_refuses_nothing() -> None:
    plan = plan_retention([], RULES, today=TODAY, now=NOW)
    assert (plan.decisions, plan.refusals, plan.findings) == ((), (), ())


def test_plan_with_a_backup_id_twice_is_a_defect() -> None:
    backup = Life().back_up(TODAY)
    with pytest.raises(ValueError, match="more than once"):
        plan_retention([backup, backup], RULES, today=TODAY, now=NOW)


def test_plan_whose_today_is_not_the_date_of_now_is_a_defect() -> None:
    with pytest.raises(ValueError, match="nowhere the date"):
        plan_retention([], RULES, today=TODAY + dt.timedelta(days=2), now=NOW)


def test_plan_has_one_decision_per_backup_newest_first() -> None:
    life = Life()
    for number in (3, 1, 2, 0):
        life.back_up(ago(number))
    assert [each.backup.day for each in life.plan(TODAY).decisions] == [ago(0), ago(1), ago(2), ago(3)]


def test_daily_stays_on_its_thirtieth_day_and_goes_on_the_next() -> None:
    life = Life(SMALL_FLOOR)
    anchor = life.back_up(ago(31).replace(day=1))
    last, gone = life.back_up(ago(30)), life.back_up(ago(31))
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert verdict(plan, last) == (Verdict.KEEP, f"daily of {ago(30)}")
    assert verdict(plan, gone) == (Verdict.DELETE, "older than 30 days")
    assert verdict(plan, anchor)[0] is Verdict.KEEP


def test_daily_is_the_last_good_backup_by_data_timestamp_not_by_commit() -> None:
    life = Life(SMALL_FLOOR)
    later = life.back_up(ago(1), EVENING)
    earlier = dataclasses.replace(
        life.back_up(ago(1), dt.time(9)), committed_at=later.committed_at + dt.timedelta(hours=1)
    )
    life.present[-1] = earlier
    life.back_up(ago(1), MORNING)
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert verdict(plan, later) == (Verdict.KEEP, f"daily of {ago(1)}")
    assert verdict(plan, earlier) == (Verdict.DELETE, "superseded by a later backup of the same day")


def test_day_of_the_manifest_is_taken_as_it_is() -> None:
    life = Life(SMALL_FLOOR)
    midnight = life.back_up(ago(1), dt.time(23, 59))
    moved = dataclasses.replace(midnight, day=ago(2))
    life.present = [moved, life.back_up(TODAY)]
    assert verdict(life.plan(TODAY), moved)[1].startswith(f"daily of {ago(2)}")


def test_superseded_backup_stays_until_its_day_is_over() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2026, 11, 1))
    morning, _evening = life.back_up(TODAY, MORNING), life.back_up(TODAY, EVENING)
    tomorrow = TODAY + dt.timedelta(days=1)
    assert verdict(life.plan(TODAY), morning) == (Verdict.KEEP, "the day is not over: all of today's stay")
    assert verdict(life.plan(tomorrow), morning)[0] is Verdict.DELETE


def test_monthly_stays_on_the_same_day_six_months_later_and_goes_on_the_next() -> None:
    life = Life(SMALL_FLOOR)
    monthly = life.back_up(dt.date(2026, 11, 1))
    life.back_up(dt.date(2027, 5, 1))
    last, after = life.plan(dt.date(2027, 5, 1)), life.plan(dt.date(2027, 5, 2))
    assert verdict(last, monthly) == (Verdict.KEEP, "monthly of November 2026 (kept until 2027-05-01)")
    assert verdict(after, monthly) == (Verdict.DELETE, "monthly of November 2026 (ended on 2027-05-01)")
    assert not last.findings


def test_monthly_of_a_first_with_two_runs_is_its_last_good_one() -> None:
    life = Life(SMALL_FLOOR)
    first = dt.date(2026, 11, 1)
    life.back_up(first, dt.time(1))
    monthly = life.back_up(first, dt.time(9))
    life.back_up(first, EVENING, good=False)
    life.back_up(TODAY)
    assert "monthly of November 2026" in verdict(life.plan(TODAY), monthly)[1]


def test_months_first_good_backup_stands_in_for_a_missing_first_with_a_finding() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2026, 11, 1), good=False)
    stand_in = life.back_up(dt.date(2026, 11, 3))
    life.back_up(dt.date(2026, 11, 4))
    plan = life.plan(dt.date(2026, 11, 4))
    assert "stands in for 2026-11-01 (kept until 2027-05-03)" in verdict(plan, stand_in)[1]
    (finding,) = plan.findings
    assert (finding.code, finding.clause) == ("monthly-stand-in", "S2")
    assert stand_in.backup_id in finding.message


def test_young_month_without_its_first_backup_yet_is_no_finding() -> None:
    life = Life()
    life.live(dt.date(2026, 10, 1), dt.date(2026, 10, 31))
    assert not life.plan(dt.date(2026, 11, 1)).findings


def test_finding_of_a_stand_in_ends_with_the_months_of_the_first_it_stands_for() -> None:
    life = Life(SMALL_FLOOR)
    stand_in = life.back_up(dt.date(2026, 11, 20))
    life.back_up(dt.date(2027, 5, 1))
    assert codes(life.plan(dt.date(2027, 5, 1))) == ["monthly-stand-in"]
    plan = life.plan(dt.date(2027, 5, 2))
    assert verdict(plan, stand_in)[0] is Verdict.KEEP
    assert not plan.findings


def test_backlog_of_a_whole_month_never_makes_stand_ins_of_it() -> None:
    life = Life(SMALL_FLOOR.model_copy(update={"deletion_cap": 4}))
    for day in days(dt.date(2026, 11, 1), dt.date(2026, 11, 30)):
        life.back_up(day)
    for today in days(dt.date(2027, 6, 1), dt.date(2027, 6, 8)):
        life.back_up(today)
        plan = life.prune(today)
        assert not any("stands in" in reason for each in plan.decisions for reason in each.reasons)
    assert all(backup.day >= dt.date(2027, 6, 1) for backup in life.present)


def test_rules_without_monthlies_keep_none() -> None:
    life = Life(SMALL_FLOOR.model_copy(update={"monthly_months": 0}))
    first = life.back_up(dt.date(2026, 10, 1))
    life.back_up(TODAY)
    assert verdict(life.plan(TODAY), first) == (Verdict.DELETE, "older than 30 days")


def test_suspect_backup_stays_thirty_days_as_evidence_and_displaces_nothing() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2026, 10, 1))
    gone = life.back_up(ago(31), good=False)
    good, suspect = life.back_up(ago(30), MORNING), life.back_up(ago(30), EVENING, good=False)
    life.back_up(dt.date(2026, 11, 1))
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert verdict(plan, good) == (Verdict.KEEP, f"daily of {ago(30)}")
    assert verdict(plan, suspect) == (
        Verdict.KEEP,
        "suspect: never displaces a good one, stays as evidence",
    )
    assert verdict(plan, gone) == (Verdict.DELETE, "suspect: older than 30 days")


def test_floor_keeps_the_newest_days_beyond_their_limit_with_a_finding() -> None:
    life = Life(RULES.model_copy(update={"floor": 3, "monthly_months": 0}))
    old = [life.back_up(ago(number), time) for number in (60, 50, 40) for time in (MORNING, EVENING)]
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert [verdict(plan, backup)[0] for backup in old] == [
        *(Verdict.DELETE, Verdict.DELETE),
        *(Verdict.DELETE, Verdict.KEEP),
        *(Verdict.DEFER, Verdict.KEEP),
    ]
    assert verdict(plan, old[-1])[1] == "safety floor of 3"
    floor, overdue = plan.findings
    assert floor.message == "2 backups older than 30 days, kept only for the safety floor of 3"
    assert overdue.message == "1 backup older than 30 days, not deleted: over the cap of 3 deletions"


def test_floor_in_the_first_days_keeps_superseded_ones_without_a_finding() -> None:
    life = Life(RULES.model_copy(update={"floor": 4, "monthly_months": 0}))
    morning = life.back_up(ago(1), MORNING)
    life.back_up(ago(1), EVENING)
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert verdict(plan, morning) == (Verdict.KEEP, "safety floor of 4")
    assert not plan.findings


def test_floor_counts_no_suspect() -> None:
    life = Life(RULES.model_copy(update={"floor": 2, "monthly_months": 0}))
    old = life.back_up(ago(90))
    life.back_up(ago(1), good=False)
    life.back_up(TODAY)
    assert verdict(life.plan(TODAY), old) == (Verdict.KEEP, "safety floor of 2")


def test_legal_hold_keeps_a_backup_of_any_age_and_quality_with_a_finding() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2025, 3, 1))
    held = life.back_up(dt.date(2025, 3, 9), good=False, legal_hold=True)
    life.back_up(dt.date(2026, 11, 1))
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert verdict(plan, held) == (Verdict.KEEP, "legal hold")
    assert codes(plan) == ["legal-hold"]


def test_cap_lets_the_oldest_go_and_defers_the_rest() -> None:
    life = Life(RULES.model_copy(update={"floor": 1, "monthly_months": 0}))
    old = [life.back_up(ago(number)) for number in (40, 39, 38, 37, 36)]
    life.back_up(TODAY)
    plan = life.plan(TODAY)
    assert {each.backup.backup_id for each in plan.delete} == {backup.backup_id for backup in old[:3]}
    assert [each.backup for each in plan.deferred] == [old[4], old[3]]
    assert plan.deferred[0].reasons == ("older than 30 days", "over the cap of 3 deletions")
    assert codes(plan) == ["deletion-overdue"]


def test_deferral_of_superseded_backups_within_their_thirty_days_is_no_finding() -> None:
    life = Life(RULES.model_copy(update={"floor": 1, "monthly_months": 0}))
    for number in (5, 4, 3, 2, 1):
        life.back_up(ago(number), MORNING)
        life.back_up(ago(number), EVENING)
    plan = life.plan(TODAY)
    assert [each.backup.day for each in plan.deferred] == [ago(1), ago(2)]
    assert not plan.findings


def test_doubt_of_the_caller_refuses_every_deletion_and_still_tells_what_is_due() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2026, 10, 1))
    due = life.back_up(ago(31))
    life.back_up(dt.date(2026, 11, 1))
    life.back_up(TODAY)
    assert life.plan(TODAY).delete
    plan = life.plan(TODAY, doubts=("the listing lacks place 7",))
    assert plan.refusals == ("the listing lacks place 7",)
    assert not plan.delete
    assert verdict(plan, due) == (Verdict.DEFER, "older than 30 days; pruning is refused")
    assert codes(plan) == ["deletion-overdue"]


def test_newest_backup_that_is_not_good_refuses_every_deletion() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(ago(40))
    life.back_up(ago(31))
    newest = life.back_up(TODAY, good=False)
    plan = life.plan(TODAY)
    (refusal,) = plan.refusals
    assert newest.backup_id in refusal
    assert not plan.delete


def test_last_run_that_was_not_good_refuses_even_when_its_clock_was_set_back() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(ago(31))
    life.back_up(TODAY)
    last = life.back_up(ago(9), good=False)
    (refusal,) = life.plan(TODAY).refusals
    assert last.backup_id in refusal


def test_newest_data_that_are_not_good_refuse_even_when_a_slow_good_run_committed_after_them() -> None:
    life = Life(SMALL_FLOOR)
    life.back_up(ago(31))
    newest = life.back_up(TODAY, EVENING, good=False)
    life.back_up(TODAY, MORNING)
    (refusal,) = life.plan(TODAY).refusals
    assert newest.backup_id in refusal


def test_backups_that_are_all_suspect_are_never_deleted() -> None:
    life = Life(SMALL_FLOOR)
    for number in (90, 80, 70):
        life.back_up(ago(number), good=False)
    plan = life.plan(TODAY)
    assert plan.refusals
    assert not plan.delete


@pytest.mark.parametrize("good", [True, False])
def test_backup_dated_in_the_future_expires_nothing_and_refuses_every_deletion(good: bool) -> None:
    life = Life(RULES.model_copy(update={"floor": 1, "monthly_months": 0}))
    real = life.back_up(ago(40))
    ahead = life.back_up(TODAY + dt.timedelta(days=365), good=good)
    plan = life.plan(TODAY)
    (refusal,) = plan.refusals
    assert f"{ahead.backup_id} is dated in the future" in refusal
    assert verdict(plan, ahead) == (Verdict.KEEP, "dated in the future: counts for nothing")
    assert verdict(plan, real) == (Verdict.KEEP, "safety floor of 1")


def test_backup_a_few_minutes_ahead_is_within_the_tolerance_of_clocks() -> None:
    def refusals(data_minutes: int, commit_minutes: int) -> tuple[str, ...]:
        data, commit = (NOW + dt.timedelta(minutes=minutes) for minutes in (data_minutes, commit_minutes))
        backup = BackupFacts("b", 1, data, commit, TODAY, good=True, size=1)
        return plan_retention([backup], RULES, today=TODAY, now=NOW).refusals

    assert not refusals(5, 5)
    assert refusals(6, 0)
    assert refusals(0, 6)

"""Whole plans as tables, for people to read; ``UPDATE_GOLDEN=1`` writes them anew, to be reviewed."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.retention_life import EVENING, MORNING, RULES, Life

from lifeboat.model.retention import RetentionPlan, RetentionRules, plan_as_text

GOLDEN = Path(__file__).parents[2] / "golden"
DOCUMENT = Path(__file__).parents[3] / "docs" / "retention.md"
SMALL_FLOOR = RULES.model_copy(update={"floor": 1})


def steady_state() -> str:
    life = Life()
    first = dt.date(2026, 11, 1)
    last = first + dt.timedelta(days=399)
    life.live(first, last - dt.timedelta(days=1))
    life.run(last)
    return on(last, life.plan(last))


def failed_first() -> str:
    life = Life()
    life.live(
        dt.date(2026, 10, 25),
        dt.date(2026, 11, 1),
        lambda day, _time: None if day == dt.date(2026, 11, 1) else True,
    )
    while_young = on(dt.date(2026, 11, 1), life.plan(dt.date(2026, 11, 1)))
    life.live(dt.date(2026, 11, 2), dt.date(2026, 11, 3))
    return while_young + on(dt.date(2026, 11, 3), life.plan(dt.date(2026, 11, 3)))


def month_with_one_good() -> str:
    life = Life()
    life.live(dt.date(2026, 10, 29), dt.date(2026, 10, 31))
    life.back_up(dt.date(2026, 11, 17), MORNING)
    life.live(dt.date(2026, 12, 1), dt.date(2027, 5, 17))
    last_day = on(dt.date(2027, 5, 17), life.plan(dt.date(2027, 5, 17)))
    return last_day + on(dt.date(2027, 5, 18), life.plan(dt.date(2027, 5, 18)))


def failing_evening() -> str:
    life = Life(SMALL_FLOOR)
    broken = {(dt.date(2026, 11, 3), EVENING): None, (dt.date(2026, 11, 4), EVENING): False}
    for day in range(2, 7):
        life.run(dt.date(2026, 11, day), lambda day, time: broken.get((day, time), True))
    return on(dt.date(2026, 11, 6), life.plan(dt.date(2026, 11, 6)))


def spring_night() -> str:
    """29 March 2026: 02:00 to 03:00 does not exist, the day has 23 hours."""
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2026, 3, 28), dt.time(23, 30))
    for hour in (0, 1, 3, 23):
        life.back_up(dt.date(2026, 3, 29), dt.time(hour, 30))
    life.back_up(dt.date(2026, 3, 30), dt.time(0, 30))
    return on(dt.date(2026, 3, 30), life.plan(dt.date(2026, 3, 30)))


def autumn_night() -> str:
    """25 October 2026: 02:00 to 03:00 comes twice, the day has 25 hours; the later 02:30 is the daily."""
    life = Life(SMALL_FLOOR)
    life.back_up(dt.date(2026, 10, 24), dt.time(23, 30))
    life.back_up(dt.date(2026, 10, 25), dt.time(0, 30))
    life.back_up(dt.date(2026, 10, 25), dt.time(2, 30, fold=1))
    life.back_up(dt.date(2026, 10, 25), dt.time(2, 30, fold=0))
    life.back_up(dt.date(2026, 10, 26), dt.time(0, 30))
    return on(dt.date(2026, 10, 26), life.plan(dt.date(2026, 10, 26)))


def short_months() -> str:
    """Stand-ins of the 31st and of the leap day: their last day as monthlies, and the day after."""
    tables = ""
    for stand_in, last_day in [
        (dt.date(2026, 8, 31), dt.date(2027, 2, 28)),
        (dt.date(2027, 8, 31), dt.date(2028, 2, 29)),
        (dt.date(2028, 2, 29), dt.date(2028, 8, 29)),
    ]:
        life = Life(SMALL_FLOOR)
        life.back_up(stand_in, MORNING)
        for today in (last_day, last_day + dt.timedelta(days=1)):
            life.back_up(today, MORNING)
            tables += on(today, life.plan(today))
    return tables


def outage() -> str:
    life = Life()
    life.live(dt.date(2026, 10, 20), dt.date(2026, 11, 15))
    resumed = dt.date(2026, 12, 30)
    life.run(resumed)
    tables = on(resumed, life.prune(resumed))
    life.live(resumed + dt.timedelta(days=1), resumed + dt.timedelta(days=9))
    last = resumed + dt.timedelta(days=10)
    life.run(last)
    return tables + on(last, life.plan(last))


def suspect_newest() -> str:
    life = Life()
    life.live(dt.date(2026, 10, 20), dt.date(2026, 11, 22))
    today = dt.date(2026, 11, 23)
    life.back_up(today, MORNING)
    life.back_up(today, EVENING, good=False)
    return on(today, life.plan(today))


def shorter_policy() -> str:
    life = Life()
    life.live(dt.date(2026, 10, 1), dt.date(2026, 11, 22))
    life.rules = RULES.model_copy(update={"daily_days": 5, "floor": 5})
    today = dt.date(2026, 11, 23)
    life.run(today)
    tables = on(today, life.prune(today))
    while life.plan(today).deferred:
        today += dt.timedelta(days=1)
        life.run(today)
        plan = life.prune(today)
    return tables + on(today, plan)


def on(today: dt.date, plan: RetentionPlan) -> str:
    return f"On {today}:\n\n{plan_as_text(plan)}\n"


SCENARIOS: list[Callable[[], str]] = [
    steady_state,
    failed_first,
    month_with_one_good,
    failing_evening,
    spring_night,
    autumn_night,
    short_months,
    outage,
    suspect_newest,
    shorter_policy,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_plan_in_a_scenario_reads_as_its_golden_table(scenario: Callable[[], str]) -> None:
    golden = GOLDEN / f"retention_{scenario.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(scenario(), encoding="utf-8")
    assert scenario() == golden.read_text(encoding="utf-8")


def example() -> RetentionPlan:
    """The plan that ``docs/retention.md`` prints."""
    life = Life(RetentionRules(daily_days=5, monthly_months=6, floor=4, deletion_cap=3))
    life.back_up(dt.date(2026, 5, 1), EVENING)
    life.back_up(dt.date(2026, 10, 2), MORNING)
    life.back_up(dt.date(2026, 10, 9), EVENING, legal_hold=True)
    life.back_up(dt.date(2026, 11, 1), EVENING)
    for day in range(5, 13):
        if day != 9:
            life.back_up(dt.date(2026, 11, day), EVENING, good=day != 10)
    life.back_up(dt.date(2026, 11, 11), MORNING)
    life.back_up(dt.date(2026, 11, 12), MORNING)
    return life.plan(dt.date(2026, 11, 12))


def test_document_shows_the_table_that_the_code_prints() -> None:
    before, start, rest = DOCUMENT.read_text(encoding="utf-8").partition("<!-- example -->\n```text\n")
    _, end, after = rest.partition("```\n<!-- /example -->")
    printed = before + start + plan_as_text(example()) + end + after
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(printed, encoding="utf-8")
    assert printed == DOCUMENT.read_text(encoding="utf-8")
    assert start and end

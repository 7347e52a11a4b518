"""The rules as a policy file writes them, and the calendar they use."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from lifeboat.model.retention import RetentionRules
from lifeboat.model.retention_rules import add_months

WRITTEN = {"daily": "30d", "monthly": {"anchor": "1st", "keep": "6 months"}, "floor": 7, "deletion_cap": 3}


def test_rules_in_the_policys_spelling_parse_to_numbers() -> None:
    rules = RetentionRules.model_validate(WRITTEN)
    assert (rules.daily_days, rules.monthly_months, rules.floor, rules.deletion_cap) == (30, 6, 7, 3)


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("5 days", 5), ("1 day", 1), (90, 90)])
def test_days_in_every_accepted_spelling_parse(text: object, days: int) -> None:
    assert RetentionRules.model_validate({**WRITTEN, "daily": text}).daily_days == days


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"daily": "30h"}, "'30h' is not a number of days; write it as '30d'"),
        ({"daily": "-3d"}, "is not a number of days"),
        ({"daily": "0d"}, "greater than or equal to 1"),
        ({"daily": 30.5}, "is not a number of days"),
        ({"daily": True}, "valid integer"),
        ({"daily": None}, "is not a number of days"),
        ({"daily": "99999d"}, "less than or equal to 3650"),
        ({"monthly": "6 months"}, "write it as {anchor: 1st, keep: 6 months}"),
        ({"monthly": {"anchor": "2nd", "keep": "6 months"}}, "the only one is '1st'"),
        ({"monthly": {"anchor": "1st", "keep": "6m"}}, "write it as '6 months'"),
        ({"monthly": {"anchor": "1st", "keep": "6 months", "kepe": 1}}, "write it as"),
        ({"floor": 0}, "greater than or equal to 1"),
        ({"floor": True}, "valid integer"),
        ({"deletion_cap": 0}, "greater than or equal to 1"),
        ({"weekly": "4 weeks"}, "Extra inputs are not permitted"),
    ],
)
def test_rules_with_a_mistake_are_refused_with_the_way_to_write_it(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        RetentionRules.model_validate({**WRITTEN, **change})
    (error,) = caught.value.errors()
    assert error["loc"] == tuple(change)
    assert message in error["msg"]


@pytest.mark.parametrize("missing", sorted(WRITTEN))
def test_rules_with_a_missing_one_are_refused_rather_than_guessed(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        RetentionRules.model_validate({key: value for key, value in WRITTEN.items() if key != missing})


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (dt.date(2026, 11, 1), 6, dt.date(2027, 5, 1)),
        (dt.date(2026, 8, 31), 6, dt.date(2027, 2, 28)),
        (dt.date(2027, 8, 31), 6, dt.date(2028, 2, 29)),
        (dt.date(2027, 8, 30), 6, dt.date(2028, 2, 29)),
        (dt.date(2028, 2, 29), 6, dt.date(2028, 8, 29)),
        (dt.date(2028, 2, 29), 12, dt.date(2029, 2, 28)),
        (dt.date(2026, 12, 31), 0, dt.date(2026, 12, 31)),
        (dt.date(2026, 12, 31), 1, dt.date(2027, 1, 31)),
    ],
)
def test_months_are_added_on_the_calendar_and_end_with_a_short_month(
    day: dt.date, months: int, later: dt.date
) -> None:
    assert add_months(day, months) == later

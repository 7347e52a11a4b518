"""A simulated life, month by month."""

from __future__ import annotations

import datetime as dt

from support.retention_life import BERLIN, RULES

from lifeboat.model.retention_months import by_month
from lifeboat.model.retention_simulation import simulate


def test_months_account_for_every_day_and_every_deletion() -> None:
    days = simulate([], RULES, start=dt.date(2026, 11, 24), days=120, time_zone=BERLIN)
    months = list(by_month(days))
    assert [month.month for month in months] == ["2026-11", "2026-12", "2027-01", "2027-02", "2027-03"]
    assert sum(month.days for month in months) == 120
    assert sum(month.deleted for month in months) == sum(len(day.deleted) for day in days)
    assert months[-1].kept == days[-1].kept
    assert months[-1].monthlies == len(days[-1].monthlies)


def test_month_tells_a_finding_once_however_many_days_it_lasts() -> None:
    days = simulate([], RULES, start=dt.date(2026, 11, 24), days=7, time_zone=BERLIN)
    (month,) = by_month(days)
    assert month.findings == ("monthly-stand-in",)

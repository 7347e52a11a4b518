"""The page of a drill: what it says first, that nothing in it is obeyed, and that it needs nothing else."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from support.drills import BACKUP_ID, HOUR, STARTED, facts, phases, rto

from lifeboat.model.drill_html import SHOWN, DrillPage
from lifeboat.model.drill_record import DrillRecord

DIFFERENT = {"backup_id": BACKUP_ID, "tables": 2, "differences": ({"code": "row-count", "count": 2},)}


def before(number: int) -> DrillRecord:
    at = STARTED - dt.timedelta(days=7 * number)
    drill_id = f"drill-{at:%Y%m%dT%H%M%SZ}-7mfx2c"
    return DrillRecord.of(facts(drill_id=drill_id, started_at=at, ended_at=at + HOUR))


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "The backups of production bring it back, in time."),
        ({"comparisons": (DIFFERENT,)}, "The backups of production did not bring it back as promised."),
        ({"rto": None}, "Whether the backups of production bring it back in time is not known."),
    ],
)
def test_verdict_comes_first_and_in_words(changes: dict[str, object], headline: str) -> None:
    record = DrillRecord.of(facts(**changes))
    page = DrillPage(record, (), ()).html()
    assert f"<h1>{headline}</h1>" in page
    assert page.index(headline) < page.index("allowed")
    for reason in record.reasons:
        assert reason in page


def test_names_are_shown_and_never_obeyed() -> None:
    record = DrillRecord.of(facts(comparisons=(DIFFERENT,)))
    page = DrillPage(record, ["shop.<img src=x onerror=alert(1)>: 3 rows"], ["a & b"]).html()
    assert "shop.&lt;img src=x onerror=alert(1)&gt;: 3 rows" in page
    assert "a &amp; b" in page and "<img" not in page


def test_page_needs_nothing_else() -> None:
    page = DrillPage(DrillRecord.of(facts()), (), (), [before(2), before(1)]).html()
    assert "<script" not in page
    assert re.findall(r"(?:src|href)=|url\((?!#declared)|@import", page) == []


def test_what_was_measured_declared_and_extrapolated_is_told_apart() -> None:
    told = phases(extrapolated=True)
    page = DrillPage(DrillRecord.of(facts(phases=told, rto=rto(extrapolated=True))), (), ()).html()
    assert [page.count(f'class="{basis}"/>') for basis in ("measured", "allowance", "extrapolated")] == [
        3,
        3,
        1,
    ]
    assert "(extrapolated)" in page
    assert "not measured" in DrillPage(DrillRecord.of(facts(phases=phases(missing="verify"))), (), ()).html()


def test_trend_is_of_past_drills_and_this_one_once() -> None:
    this = before(0)
    page = DrillPage(this, (), (), [before(2), before(1), this]).html()
    assert page.count("<circle") == 2 * 3
    assert "<circle" not in DrillPage(this, (), ()).html()


def test_many_differences_are_counted_and_some_shown() -> None:
    record = DrillRecord.of(facts(comparisons=(DIFFERENT,)))
    page = DrillPage(record, [f"table-{number}" for number in range(SHOWN + 5)], ()).html()
    assert "and 5 more differences" in page
    assert f"table-{SHOWN}" not in page

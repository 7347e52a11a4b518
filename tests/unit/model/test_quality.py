"""Is a backup too unlike its predecessors? (F9)"""

from __future__ import annotations

import pytest

from lifeboat.model.manifest import Totals
from lifeboat.model.policy_sources import SuspectRules
from lifeboat.model.quality import HISTORY, doubts_about


def totals(rows: int = 1000, tables: int = 5) -> Totals:
    return Totals(databases=1, tables=tables, rows=rows)


def doubts(
    now: Totals, *history: Totals, minimum_tables: int = 1, row_drop_percent: int = 50
) -> tuple[str, ...]:
    rules = SuspectRules.model_construct(minimum_tables=minimum_tables, row_drop_percent=row_drop_percent)
    return doubts_about(now, history, rules)


def test_usual_backup_is_good() -> None:
    assert doubts(totals(990), *[totals()] * 7) == ()


def test_first_backup_is_judged_by_its_tables_only() -> None:
    assert doubts(totals(0)) == ()
    assert doubts(totals(0, tables=0)) == ("0 tables, expected at least 1",)


@pytest.mark.parametrize(("rows", "good"), [(500, True), (499, False), (0, False)])
def test_drop_counts_from_just_beyond_what_the_policy_allows(rows: int, good: bool) -> None:
    assert (doubts(totals(rows), *[totals()] * 3) == ()) is good


def test_drop_is_told_with_its_numbers() -> None:
    (doubt,) = doubts(totals(100), *[totals(2000)] * 3)

    assert doubt == (
        "100 rows, 95 % fewer than the median of the last 3 good backups (2,000); the policy allows 50 %"
    )


def test_median_of_the_last_seven_counts_and_nothing_older() -> None:
    assert doubts(totals(100), *[totals(10**9)] * 30, *[totals(100)] * HISTORY) == ()


def test_one_outlier_does_not_move_the_median() -> None:
    assert doubts(totals(1000), *[totals()] * 3, totals(10**9), *[totals()] * 3) == ()


def test_growth_is_never_suspect() -> None:
    assert doubts(totals(10**12), *[totals(1)] * 7) == ()


def test_history_without_rows_expects_none() -> None:
    assert doubts(totals(0), *[totals(0)] * 7) == ()


def test_policy_that_allows_any_drop_has_no_doubt_about_rows() -> None:
    assert doubts(totals(0), *[totals()] * 7, row_drop_percent=100) == ()


def test_policy_that_allows_no_drop_doubts_a_single_missing_row() -> None:
    assert len(doubts(totals(999), *[totals()] * 7, row_drop_percent=0)) == 1


def test_both_doubts_are_told_at_once() -> None:
    assert len(doubts(totals(0, tables=0), *[totals()] * 7)) == 2

"""Is a source within its RPO? Judged from chains as they lie on a store."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import pytest
from support.examples import EPOCH, Chain

from lifeboat.model.manifest import manifest_name
from lifeboat.model.status import SourceStatus, Standing, judge_source, spoken_age, worst

RPO = dt.timedelta(hours=24)
HOUR = dt.timedelta(hours=1)


def judged(chain: Chain, now: dt.datetime) -> SourceStatus:
    return judge_source(
        chain.catalog(anchored=True),
        (),
        service="main",
        source="databases",
        rpo=RPO,
        now=now,
    )


@pytest.fixture
def chain() -> Chain:
    """Three good backups, of ``EPOCH`` and the two days after it."""
    made = Chain()
    made.commits(3)
    return made


NEWEST = EPOCH + dt.timedelta(days=2)


def test_source_with_young_data_is_fine(chain: Chain) -> None:
    status = judged(chain, NEWEST + 3 * HOUR)
    assert (status.standing, status.age, status.reasons) == (Standing.FINE, 3 * HOUR, ())
    assert status.newest_good is not None and status.newest_good.startswith("main-databases-20261125")
    assert status.last_quality == "good"


def test_age_is_that_of_the_data_and_not_of_the_commit(chain: Chain) -> None:
    chain.commit(data_timestamp=NEWEST + HOUR, committed_at=NEWEST + 23 * HOUR)
    assert judged(chain, NEWEST + 26 * HOUR).standing is Standing.OVERDUE


@pytest.mark.parametrize(
    ("late", "standing"), [(dt.timedelta(0), Standing.FINE), (dt.timedelta(seconds=1), Standing.OVERDUE)]
)
def test_data_exactly_as_old_as_the_rpo_is_still_fine(
    chain: Chain, late: dt.timedelta, standing: Standing
) -> None:
    assert judged(chain, NEWEST + RPO + late).standing is standing


def test_overdue_source_says_by_how_much(chain: Chain) -> None:
    (reason,) = judged(chain, NEWEST + RPO + 90 * dt.timedelta(minutes=1)).reasons
    assert reason == "its data is 25 h 30 min old, 1 h 30 min more than the RPO of 24 h"


def test_source_without_any_backup_is_overdue() -> None:
    status = judged(Chain(), EPOCH)
    assert (status.standing, status.age, status.newest_good) == (Standing.OVERDUE, None, None)
    assert status.reasons == ("there is no good backup",)


def test_suspect_backup_does_not_count_and_is_noted(chain: Chain) -> None:
    chain.commit(quality="suspect", doubts=("0 tables, expected at least 1",))
    status = judged(chain, NEWEST + 30 * HOUR)
    assert (status.standing, status.last_quality) == (Standing.OVERDUE, "suspect")
    assert status.notes == ("the newest backup is suspect: 0 tables, expected at least 1",)


def test_backup_dated_in_the_future_counts_for_nothing(chain: Chain) -> None:
    ahead = chain.commit(data_timestamp=NEWEST + dt.timedelta(days=365))
    status = judged(chain, NEWEST + 30 * HOUR)
    assert status.standing is Standing.OVERDUE
    assert status.notes == (
        f"{ahead.backup_id} is dated in the future and counts for nothing: compare the clocks",
    )


def test_backup_a_little_ahead_of_our_clock_has_age_zero(chain: Chain) -> None:
    status = judged(chain, NEWEST - dt.timedelta(seconds=30) + dt.timedelta(minutes=1))
    assert status.age == dt.timedelta(seconds=30)
    chain.commit(data_timestamp=NEWEST + HOUR, committed_at=NEWEST + HOUR)
    assert judged(chain, NEWEST + HOUR - dt.timedelta(minutes=1)).age == dt.timedelta(0)


def test_damaged_manifest_makes_a_young_source_doubtful(chain: Chain) -> None:
    chain.files[manifest_name(chain.name, 2)] = b"{}"
    status = judged(chain, NEWEST + HOUR)
    assert status.standing is Standing.DOUBTFUL
    assert status.doubts and status.reasons == ()


def test_newest_manifest_removed_from_the_store_is_doubtful_and_not_just_old(chain: Chain) -> None:
    del chain.files[manifest_name(chain.name, 3)]
    assert judged(chain, NEWEST - HOUR).standing is Standing.DOUBTFUL


def test_torn_place_is_noted_and_harmless(chain: Chain) -> None:
    chain.tear()
    chain.commit(data_timestamp=NEWEST + HOUR, committed_at=NEWEST + HOUR)
    status = judged(chain, NEWEST + 2 * HOUR)
    assert status.standing is Standing.FINE
    assert status.notes == ("places torn by a crash while publishing, and never committed: 4",)


def test_worst_standing_wins_in_any_order(chain: Chain) -> None:
    fine = judged(chain, NEWEST)
    overdue = judged(chain, NEWEST + 3 * RPO)
    chain.files[manifest_name(chain.name, 1)] = b""
    doubtful = judged(chain, NEWEST)
    for order in permutations([fine, overdue, doubtful]):
        assert worst(order) is Standing.DOUBTFUL
    assert worst([fine, overdue]) is Standing.OVERDUE
    assert worst([]) is Standing.FINE


@pytest.mark.parametrize(
    ("age", "spoken"),
    [
        (dt.timedelta(seconds=59), "0 min"),
        (dt.timedelta(minutes=5, seconds=10), "5 min"),
        (dt.timedelta(hours=26, minutes=3), "26 h 03 min"),
        (dt.timedelta(days=3), "3 days"),
        (dt.timedelta(days=40, hours=7, minutes=50), "40 days 7 h"),
    ],
)
def test_age_is_spoken_in_units_that_fit(age: dt.timedelta, spoken: str) -> None:
    assert spoken_age(age) == spoken

"""Orphans: what no manifest names, and when it may go."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import EPOCH, manifest

from lifeboat.model.manifest import index_name, new_backup_id, part_name
from lifeboat.model.orphans import Listed, Orphan, find_orphans

GRACE = dt.timedelta(days=2)
DEAD = new_backup_id("main-databases", EPOCH, "dead22")
MADE = manifest(1)


def judged(*listing: Listed, now: dt.datetime) -> list[Orphan]:
    return find_orphans(listing, [MADE], now=now, grace=GRACE)


def listed(name: str, after: dt.timedelta | None = dt.timedelta(0)) -> Listed:
    return Listed(name, 10, None if after is None else EPOCH + after)


def test_objects_that_a_manifest_names_are_no_orphans() -> None:
    names = [MADE.index.name, *(part.name for part in MADE.parts), MADE.file_name]

    assert judged(*map(listed, names), now=EPOCH + 99 * GRACE) == []


def test_torn_upload_of_a_committed_backup_is_an_orphan() -> None:
    torn = part_name(MADE.backup_id, 100_001)

    assert judged(listed(torn), now=EPOCH + 2 * GRACE) == [Orphan(torn, 10, reapable=True, age=2 * GRACE)]


@pytest.mark.parametrize("name", [part_name(DEAD, 1), index_name(DEAD)])
def test_parts_and_index_of_a_crashed_run_are_orphans(name: str) -> None:
    assert judged(listed(name), now=EPOCH) == [Orphan(name, 10, reapable=False, age=dt.timedelta(0))]


def test_grace_counts_from_the_later_of_name_and_store_clock() -> None:
    name = part_name(DEAD, 1)
    moment = dt.timedelta(microseconds=1)

    assert not judged(listed(name), now=EPOCH + GRACE)[0].reapable
    assert judged(listed(name), now=EPOCH + GRACE + moment)[0].reapable
    assert not judged(listed(name, after=GRACE), now=EPOCH + GRACE + moment)[0].reapable
    assert judged(listed(name, after=-GRACE), now=EPOCH + GRACE + moment)[0].reapable


def test_object_dated_in_the_future_is_never_reaped() -> None:
    future = new_backup_id("main-databases", EPOCH + dt.timedelta(days=400), "dead22")

    assert not judged(listed(part_name(future, 1)), now=EPOCH + 99 * GRACE)[0].reapable


def test_object_without_a_store_time_is_not_reaped_on_its_name_alone() -> None:
    assert not judged(listed(part_name(DEAD, 1), after=None), now=EPOCH + 99 * GRACE)[0].reapable


@given(st.text(max_size=30))
def test_object_of_any_other_name_is_never_touched(name: str) -> None:
    assert judged(listed(name), now=EPOCH + 99 * GRACE) == []


@pytest.mark.parametrize(
    "name",
    [
        "main-databases.00000001.manifest.json",
        "prune.00000001.record.json",
        "README.age",
        f"{DEAD}.0001.age.bak",
    ],
)
def test_manifests_records_and_foreign_files_are_never_orphans(name: str) -> None:
    assert judged(listed(name), now=EPOCH + 99 * GRACE) == []

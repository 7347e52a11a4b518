"""How long a restore will take, by past drills: as measured, never flattering, and nothing where nothing was measured."""

from __future__ import annotations

import datetime as dt
from typing import Any

from support.drills import BACKUP_ID, facts

from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.restore_estimate import estimate_restore, spoken_time
from lifeboat.model.restore_outcome import PlannedObject, plan_markdown

BACKUP = facts().backups[0].model_dump()
MIB = 2**20


def drilled(size: int, seconds: float, **changes: Any) -> DrillRecord:
    backup = BACKUP | {"plain_bytes": size, "milliseconds": round(seconds * 1000)}
    return DrillRecord.of(facts(backups=(backup,), **changes))


def planned(size: int, source: str = "main/databases") -> PlannedObject:
    return PlannedObject(
        source=source,
        backup_id=BACKUP_ID,
        quality="good",
        data_timestamp=dt.datetime(2026, 11, 25, tzinfo=dt.UTC),
        what="shop",
        target="shop-restored-20261125",
        holds="2 tables",
        fetch_bytes=size // 4,
        plain_bytes=size,
    )


def test_as_fast_as_the_newest_drill_of_that_source() -> None:
    records = [drilled(100 * MIB, 90), drilled(100 * MIB, 10)]
    estimate = estimate_restore([planned(150 * MIB), planned(50 * MIB)], records)
    assert estimate.milliseconds == 20_000
    assert BACKUP_ID in estimate.basis[0]
    # A small one has to be found and connected to all the same.
    assert estimate_restore([planned(10)], records).milliseconds == 1000


def test_three_sizes_make_a_line_and_its_bound_counts() -> None:
    records = [drilled(size * MIB, size / 10 + wobble) for size, wobble in ((100, 1), (200, -1), (300, 1))]
    found = estimate_restore([planned(400 * MIB)], records).milliseconds
    assert found and found > 40_000
    # Beyond its reach the newest drill is all there is.
    assert estimate_restore([planned(700 * MIB)], records).milliseconds == 31_000 * 7 // 3 + 1


def test_source_that_was_never_drilled_leaves_the_whole_unknown() -> None:
    both = [planned(MIB), planned(MIB, "main/documents")]
    estimate = estimate_restore(both, [drilled(MIB, 5)])
    assert estimate.milliseconds is None
    assert "main/documents: unknown, it was never drilled" in estimate.basis[1]


def test_restore_that_failed_or_differed_foretells_nothing() -> None:
    bad = {"backup_id": BACKUP_ID, "tables": 2, "differences": ({"code": "row-count"},)}
    assert estimate_restore([planned(MIB)], [drilled(MIB, 5, comparisons=(bad,))]).milliseconds is None
    assert estimate_restore([planned(MIB)], [drilled(MIB, 5, comparisons=())]).milliseconds is None


def test_plan_says_it() -> None:
    objects = [planned(100 * MIB)]
    sentences = estimate_restore(objects, [drilled(100 * MIB, 600)]).sentences
    page = plan_markdown(objects, sentences, environment="demo", target_environment="demo", approval="")
    assert "Estimated time of fetching and loading: 10 min." in page


def test_time_is_rounded_up() -> None:
    assert [spoken_time(time) for time in (900, 59_999, 60_001)] == ["0.9 s", "60.0 s", "2 min"]

"""Which older backups are drilled, and whether each source was drilled within the month."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from support.drills import facts
from support.examples import EPOCH, Chain

from lifeboat.model.catalog import Catalog
from lifeboat.model.drill_choice import AT_LEAST, OlderBackup, choose_older, undrilled
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.retention import RetentionRules

SOURCE = "main/databases"
DAY = dt.timedelta(days=1)
RULES = RetentionRules(daily_days=30, monthly_months=6, floor=3, deletion_cap=4)
BACKUP = facts().backups[0].model_dump()


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Forty days from 2026-11-23 on: the monthly of December is the tenth, November's stand-in the first."""
    chain = Chain()
    chain.commits(40)
    return chain.catalog(anchored=True)


def drilled(backup_id: str, at: dt.datetime, choice: str = "newest", **changes: Any) -> DrillRecord:
    backup = BACKUP | {"backup_id": backup_id, "choice": choice}
    equal = {"backup_id": backup_id, "databases": 1, "tables": 2, "rows": 30}
    fields = {"backups": (backup,), "comparisons": (equal,), "seed": 1}
    return DrillRecord.of(facts(started_at=at, ended_at=at, **(fields | changes)))


def chosen(catalog: Catalog, *records: DrillRecord, seed: int = 1, day: int = 41) -> tuple[OlderBackup, ...]:
    return choose_older(
        {SOURCE: catalog},
        {SOURCE: RULES},
        records,
        seed=seed,
        now=EPOCH + day * DAY,
        time_zone="Europe/Berlin",
    )


def test_oldest_monthly_once_a_quarter_and_one_at_random_each_time(catalog: Catalog) -> None:
    first = catalog.entries[0].manifest.backup_id
    assert [(each.choice, each.backup_id == first) for each in chosen(catalog)] == [
        ("oldest-monthly", True),
        ("random", False),
    ]
    # Proven this quarter: not again. In the quarter before, or found different, or the newest: due.
    assert [each.choice for each in chosen(catalog, drilled(first, EPOCH + 40 * DAY, "oldest-monthly"))] == [
        "random"
    ]
    different = {"backup_id": first, "tables": 2, "differences": ({"code": "row-count"},)}
    for record in (
        drilled(first, EPOCH + 30 * DAY, "oldest-monthly"),
        drilled(first, EPOCH + 40 * DAY, "oldest-monthly", comparisons=(different,)),
        drilled(first, EPOCH + 40 * DAY),
    ):
        assert [each.choice for each in chosen(catalog, record)] == ["oldest-monthly", "random"]


def test_quarter_is_that_of_the_policys_zone(catalog: Catalog) -> None:
    """2026-12-31 23:30 UTC is the new year in Berlin."""
    first = catalog.entries[0].manifest.backup_id
    late = dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.UTC)
    assert [each.choice for each in chosen(catalog, drilled(first, late, "oldest-monthly"))] == ["random"]


def test_seed_draws_the_same_again_and_every_older_backup_can_be_drawn(catalog: Catalog) -> None:
    assert chosen(catalog, seed=7) == chosen(catalog, seed=7)
    drawn = {chosen(catalog, seed=seed)[1].backup_id for seed in range(600)}
    newest, first = catalog.entries[-1].manifest.backup_id, catalog.entries[0].manifest.backup_id
    assert drawn == {entry.manifest.backup_id for entry in catalog.entries} - {newest, first}


def test_only_good_backups_that_are_not_the_newest() -> None:
    chain = Chain()
    chain.commit()
    assert chosen(chain.catalog(anchored=True)) == ()
    chain.commit(quality="suspect", doubts=("no rows",))
    assert chosen(chain.catalog(anchored=True)) == ()


def test_source_has_a_month_for_its_first_drill_and_from_each_to_the_next() -> None:
    chain = Chain()
    chain.commits(80)
    catalog = chain.catalog(anchored=True)
    newest = catalog.entries[-1].manifest.backup_id
    begun = catalog.entries[0].manifest.committed_at

    def judged(now: dt.datetime, *records: DrillRecord) -> str | None:
        return undrilled(SOURCE, catalog, records, now=now)[1]

    assert judged(begun + AT_LEAST) is None
    assert "never drilled" in (judged(begun + AT_LEAST + DAY) or "")
    proof = drilled(newest, begun + 20 * DAY)
    assert judged(begun + 51 * DAY, proof) is None
    assert "last drilled 2026-12-13" in (judged(begun + 52 * DAY, proof) or "")
    # Neither one that found differences nor one of another source proves anything.
    different = {"backup_id": newest, "tables": 2, "differences": ({"code": "row-count"},)}
    elsewhere = BACKUP | {"backup_id": newest, "source": "documents"}
    for changes in ({"comparisons": (different,)}, {"backups": (elsewhere,)}):
        record = drilled(newest, begun + 20 * DAY, **changes)
        assert "never drilled" in (judged(begun + 40 * DAY, record) or "")

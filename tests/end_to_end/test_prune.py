"""Pruning a store with a past: what the plan says and nothing else, through crashes, and never on a doubt (F36–F40)."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.policies import demo_policy
from support.sailing import Ship
from support.servers import FixedPassword

from cli.open_environment import OpenEnvironment, retention_of
from lifeboat import clock
from lifeboat.adapters.store import ObjectStat, Store
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.errors import PruneRefused, StoreUnreachable
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.manifest import (
    ChainLink,
    Manifest,
    StoredObject,
    index_name,
    new_backup_id,
    part_name,
)
from lifeboat.stages import prune as prune_stage
from lifeboat.stages.voyage import Voyage, random_suffix

pytestmark = pytest.mark.postgres


@dataclass
class CrankyTarget:
    """A store that hides names from listings, or dies at its n-th delete."""

    target: LocalTarget
    hidden: tuple[str, ...] = ()
    deletes: int | None = None
    worth_a_child: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return self.target.label

    @contextlib.contextmanager
    def connect(self) -> Iterator[Store]:
        with self.target.connect() as store:
            yield CrankySession(self, store)  # type: ignore[misc]


class CrankySession:
    def __init__(self, target: CrankyTarget, store: Store) -> None:
        self._target = target
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self) -> list[ObjectStat]:
        return [stat for stat in self._store.list() if stat.name not in self._target.hidden]

    def delete_exact(self, name: str) -> None:
        if self._target.deletes is not None:
            if self._target.deletes == 0:
                raise StoreUnreachable("the connection is lost")
            self._target.deletes -= 1
        self._store.delete_exact(name)


@pytest.fixture(scope="module")
def sailed(harbour: Harbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    """A ship with one real backup of today."""
    if not NEWEST:
        pytest.skip("no PostgreSQL server is installed")
    server = FixedPassword.of(harbour.cluster(NEWEST))
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT n FROM generate_series(1, 100) n")
    ship = make_ship(server, tmp_path_factory.mktemp("prune"), "shop")
    ship.backup()
    yield ship
    harbour.clean()


def with_past(sailed: Ship, folder: Path, ages: list[int], chain: str = "main-databases") -> Ship:
    """A ship whose store has a backup of each of these ages in days, oldest first, and a real one of today at the end.

    The old ones are signed and complete; only what is inside their parts is nothing.
    """
    shutil.copytree(sailed.folder / "store", folder / "store", dirs_exist_ok=True)
    ship = sailed.but(store=LocalTarget(folder / "store"), folder=folder)
    real = ship.catalog().entries[0].manifest
    (folder / "store" / real.file_name).unlink()
    previous = None
    for sequence, age in enumerate(ages, start=1):
        moment = clock.utc_now() - dt.timedelta(days=age)
        backup_id = new_backup_id("main-databases", moment, random_suffix())
        objects = [
            store(folder, name)
            for name in (index_name(backup_id), part_name(backup_id, 1), part_name(backup_id, 2))
        ]
        old = real.model_copy(
            update={"backup_id": backup_id, "data_timestamp": moment, "committed_at": moment, "day": moment.date(),
                    "index": objects[0], "parts": tuple(objects[1:])}
        )  # fmt: skip
        previous = commit(ship, old, sequence, previous)
    anchor = commit(ship, real, len(ages) + 1, previous)
    return ship.but(anchor=anchor)


def store(folder: Path, name: str) -> StoredObject:
    data = os.urandom(100)
    (folder / "store" / name).write_bytes(data)
    return StoredObject(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def commit(ship: Ship, manifest: Manifest, sequence: int, previous: ChainLink | None) -> ChainLink:
    placed = manifest.model_copy(update={"sequence": sequence, "previous": previous})
    raw = ship.keys.signer.sign(placed.model_dump(mode="json"))
    path = ship.folder / "store" / placed.file_name
    path.write_bytes(raw)
    stamp = placed.committed_at.timestamp()
    os.utime(path, (stamp, stamp))
    return ChainLink(sequence=sequence, sha256=sha256_hex(raw))


def names(ship: Ship) -> set[str]:
    return {stat.name for stat in ship.listing()}


def past_of_a_hundred_days() -> list[int]:
    """Ages of eight backups that are due - none is its month's first - and three that stay."""
    today = clock.utc_now().date()
    due = [age for age in range(40, 110) if 5 < (today - dt.timedelta(days=age)).day < 28][:8]
    firsts = [age for age in range(40, 110) if (today - dt.timedelta(days=age)).day == 1]
    return sorted([*due, *firsts, 3, 2, 1], reverse=True)


def test_prune_deletes_the_oldest_first_up_to_the_cap_and_all_of_their_objects(
    sailed: Ship, tmp_path: Path
) -> None:
    """F38: eight are due, the policy's cap is four."""
    ship = with_past(sailed, tmp_path, past_of_a_hundred_days())
    before = names(ship)
    manifests = {entry.manifest.backup_id: entry.manifest for entry in ship.catalog().entries}

    report = ship.prune()

    doomed = [decision.backup.backup_id for decision in report.plan.delete]
    assert len(doomed) == 4
    assert len(report.plan.deferred) == 4
    assert max(manifests[name].data_timestamp for name in doomed) < min(
        decision.backup.data_timestamp for decision in report.plan.deferred
    )
    gone = before - names(ship)
    assert gone == set(report.deleted)
    assert gone == {
        stored
        for name in doomed
        for stored in (
            manifests[name].file_name,
            manifests[name].index.name,
            *(p.name for p in manifests[name].parts),
        )
    }
    assert names(ship) - before == {"prune.00000001.record.json"}
    assert ship.catalog().doubts == ()
    assert len(ship.prune().plan.delete) == 4
    assert len(ship.prune().plan.delete) == 0
    (restored,) = ship.restore(databases=["shop"], new_name="after_prune")
    assert restored.rows == 100


def test_source_with_a_shorter_retention_of_its_own_is_pruned_and_told_by_it(
    sailed: Ship, tmp_path: Path
) -> None:
    ship = with_past(sailed, tmp_path, [20, 19, 3, 2, 1])
    old = [entry.manifest.backup_id for entry in ship.catalog().entries][:2]
    assert ship.prune().plan.delete == ()
    short = {"daily": "7d", "monthly": {"anchor": "1st", "keep": "0 months"}, "floor": 2, "deletion_cap": 4}
    policy = demo_policy({"environments.demo.services.main.sources.databases.retention": short})
    environment = policy.environment("demo")

    told = retention_of(OpenEnvironment(policy, environment, ship.store, ship.keys.trusted), ship.catalog())
    assert {decision.backup.backup_id for decision in told.delete} == set(old)
    with ship.common(environment) as common:
        report = prune_stage.prune(ship.pruning(Voyage(**common)))

    assert {decision.backup.backup_id for decision in report.plan.delete} == set(old)
    assert len(ship.catalog().entries) == 4
    assert ship.catalog().doubts == ()


def test_the_stand_in_of_a_month_without_its_first_stays(sailed: Ship, tmp_path: Path) -> None:
    """F36."""
    today = clock.utc_now().date()
    seconds = [age for age in range(35, 75) if (today - dt.timedelta(days=age)).day == 2][:1]
    ship = with_past(sailed, tmp_path, [seconds[0], seconds[0] - 1, 2, 1])

    report = ship.prune()

    assert [decision.backup.sequence for decision in report.plan.delete] == [2]
    assert ship.catalog().entries[0].manifest.sequence == 1


@pytest.mark.parametrize("place", [1, 5, "newest", "all"])
def test_a_listing_that_lacks_a_manifest_stops_the_prune(
    sailed: Ship, tmp_path: Path, place: int | str
) -> None:
    """F39: also when what is missing is the newest, which only the head kept off the store knows of."""
    ship = with_past(sailed, tmp_path, past_of_a_hundred_days())
    manifests = [entry.manifest.file_name for entry in ship.catalog().entries]
    hidden = {"newest": manifests[-1:], "all": manifests}.get(str(place)) or [manifests[int(place) - 1]]
    before = names(ship)
    assert isinstance(ship.store, LocalTarget)

    with pytest.raises(PruneRefused, match="nothing was pruned"):
        ship.but(store=CrankyTarget(ship.store, hidden=tuple(hidden))).prune()

    assert names(ship) == before


@pytest.mark.parametrize("deletes", [0, 1, 3, 4, 5, 9, 15])
def test_a_prune_that_died_is_finished_by_the_next(sailed: Ship, tmp_path: Path, deletes: int) -> None:
    """F40: after the record, among the manifests, after them, half-way in the payload."""
    ages = past_of_a_hundred_days()
    ship = with_past(sailed, tmp_path, ages)
    before = names(ship)
    intact = ship.catalog()
    assert isinstance(ship.store, LocalTarget)
    with pytest.raises(StoreUnreachable):
        ship.but(store=CrankyTarget(ship.store, deletes=deletes)).prune()
    assert len(before - names(ship)) == deletes
    assert ship.catalog().doubts == ()

    report = ship.prune()

    assert report.plan.refusals == ()
    kept = {entry.manifest.backup_id for entry in ship.catalog().entries}
    assert len(kept) == len(ages) + 1 - 8
    for entry in intact.entries:
        manifest = entry.manifest
        objects = {manifest.file_name, manifest.index.name, *(part.name for part in manifest.parts)}
        assert objects & names(ship) == (objects if manifest.backup_id in kept else set())
    assert ship.catalog().doubts == ()


def orphan(
    ship: Ship,
    age: dt.timedelta,
    chain: str = "main-databases",
    modified: dt.timedelta | None = None,
    index: bool = False,
) -> str:
    """A part or an index that no manifest names; ``modified`` ago by the store's clock."""
    now = clock.utc_now()
    backup_id = new_backup_id(chain, now - age, random_suffix())
    name = index_name(backup_id) if index else part_name(backup_id, 1)
    store(ship.folder, name)
    stamp = (now - (age if modified is None else modified)).timestamp()
    os.utime(ship.folder / "store" / name, (stamp, stamp))
    return name


def test_orphans_are_reported_and_reaped_only_past_their_grace_by_both_clocks(
    sailed: Ship, tmp_path: Path
) -> None:
    ship = with_past(sailed, tmp_path, [2, 1])
    old = orphan(ship, dt.timedelta(hours=30))
    young = orphan(ship, dt.timedelta(hours=2))
    young_by_name = orphan(ship, dt.timedelta(hours=2), modified=dt.timedelta(days=9))
    young_by_store = orphan(ship, dt.timedelta(days=9), modified=dt.timedelta(hours=2))
    foreign = "notes-of-the-admin.txt"
    (ship.folder / "store" / foreign).write_text("keep me")
    os.utime(ship.folder / "store" / foreign, (0, 0))
    before = names(ship)

    report = ship.prune()

    assert {found.name for found in report.orphans} == {old, young, young_by_name, young_by_store}
    assert report.reaped == (old,)
    assert before - names(ship) == {old}


def test_nothing_is_reaped_while_a_manifest_is_in_doubt(sailed: Ship, tmp_path: Path) -> None:
    ship = with_past(sailed, tmp_path, [3, 2, 1])
    old = orphan(ship, dt.timedelta(days=9))
    manifest = ship.catalog().entries[1].manifest.file_name
    (ship.folder / "store" / manifest).write_bytes(b"{}")

    with pytest.raises(PruneRefused):
        ship.prune()

    assert old in names(ship)


def test_parts_of_another_source_are_not_reaped_when_the_listing_lacks_its_manifests(
    sailed: Ship, tmp_path: Path
) -> None:
    """F39: of other chains we know no head, so a listing that lost their newest manifest shows no gap."""
    ship = with_past(sailed, tmp_path, [2, 1])
    theirs = orphan(ship, dt.timedelta(days=9), chain="main-databases-of-others")

    report = ship.prune()

    assert theirs in names(ship)
    assert report.reaped == ()


def test_a_prune_with_nothing_due_writes_nothing(sailed: Ship, tmp_path: Path) -> None:
    ship = with_past(sailed, tmp_path, [2, 1])
    before = names(ship)

    report = ship.prune()

    assert (report.deleted, report.freed) == ((), 0)
    assert names(ship) == before


def test_a_store_whose_clock_is_off_stops_the_prune(sailed: Ship, tmp_path: Path) -> None:
    """F35."""
    ship = with_past(sailed, tmp_path, past_of_a_hundred_days())
    newest = ship.folder / "store" / ship.catalog().entries[-1].manifest.file_name
    ahead = newest.stat().st_mtime + 3600
    os.utime(newest, (ahead, ahead))
    before = names(ship)

    with pytest.raises(PruneRefused, match="clock"):
        ship.prune()

    assert names(ship) == before


def test_a_part_of_a_deleted_backup_stays_while_a_kept_one_refers_to_it(sailed: Ship, tmp_path: Path) -> None:
    ship = with_past(sailed, tmp_path, [3, 2, 1])
    first = ship.catalog().entries[0].manifest
    anchor = recommit(ship, {2: {"references": first.parts}})

    report = ship.but(anchor=anchor).prune_oldest()

    assert first.file_name in report.deleted
    assert first.index.name in report.deleted
    assert {part.name for part in first.parts} <= names(ship)


def test_while_a_run_is_about_to_commit_only_manifests_go_and_the_next_prune_finishes(
    sailed: Ship, tmp_path: Path
) -> None:
    """A run that refers to older parts has put its index up and looked at the newest prune record; see ``publish``."""
    ship = with_past(sailed, tmp_path, [3, 2, 1])
    first = ship.catalog().entries[0].manifest
    theirs = orphan(ship, dt.timedelta(minutes=1), index=True)

    report = ship.prune_oldest()

    assert report.deleted == (first.file_name,)
    assert {stored.name for stored in first.needed} <= names(ship)
    (ship.folder / "store" / theirs).unlink()
    assert set(ship.prune().deleted) == {stored.name for stored in first.needed}


def test_what_was_committed_between_the_decision_and_the_deletion_keeps_its_parts(
    sailed: Ship, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship = with_past(sailed, tmp_path, [3, 2, 1])
    first = ship.catalog().entries[0].manifest
    newest = ship.catalog().entries[-1]
    write = prune_stage._write_record

    def and_meanwhile(*arguments: Any) -> Any:
        record = write(*arguments)
        link = ChainLink(sequence=4, sha256=newest.sha256)
        commit(ship, later_backup(newest.manifest, first.parts), 5, link)
        return record

    monkeypatch.setattr(prune_stage, "_write_record", and_meanwhile)
    ship.prune_oldest()
    monkeypatch.undo()

    assert {part.name for part in first.parts} <= names(ship)
    assert first.index.name not in names(ship)


def test_prune_that_resumes_leaves_what_a_later_backup_refers_to(sailed: Ship, tmp_path: Path) -> None:
    ship = with_past(sailed, tmp_path, [3, 2, 1])
    first = ship.catalog().entries[0].manifest
    orphan(ship, dt.timedelta(minutes=1), index=True)
    ship.prune_oldest()
    newest = ship.catalog().entries[-1]
    link = ChainLink(sequence=4, sha256=newest.sha256)
    commit(ship, later_backup(newest.manifest, first.parts), 5, link)
    for path in (ship.folder / "store").glob("*.index.age"):
        if path.name not in {entry.manifest.index.name for entry in ship.catalog().entries}:
            path.unlink()

    ship.prune()

    assert {part.name for part in first.parts} <= names(ship)


def later_backup(manifest: Manifest, references: tuple[StoredObject, ...]) -> Manifest:
    backup_id = new_backup_id(manifest.chain, manifest.data_timestamp, random_suffix())
    return manifest.model_copy(update={"backup_id": backup_id, "references": references})


def recommit(ship: Ship, changes: dict[int, dict[str, Any]]) -> ChainLink:
    """Sign the chain again with changed manifests; returns its new head."""
    link = None
    for entry in ship.catalog().entries:
        place = entry.manifest.sequence
        link = commit(ship, entry.manifest.model_copy(update=changes.get(place, {})), place, link)
    assert link is not None
    return link

"""What the store and the spool do to a backup (F11–F22), and two backups at once (F24)."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.harbour import NEWEST, run
from support.postgres import dump_text
from support.sailing import Ship
from support.sshd import SSHD, account, running_sshd

from lifeboat.adapters.store_local import LocalStore, LocalTarget
from lifeboat.adapters.store_memory import (
    Fault,
    FlipByte,
    FullAfter,
    LoseConnection,
    MemoryTarget,
    StoreNothing,
    StoreTruncated,
)
from lifeboat.errors import (
    ChecksumMismatch,
    LifeboatError,
    SpoolFull,
    StoreFull,
    StoreObjectMissing,
    StoreUnreachable,
)
from lifeboat.stages import direct
from lifeboat.stages.encrypt import SealedBatch
from lifeboat.stages.upload import SentBatch
from lifeboat.stages.voyage import Voyage

pytestmark = pytest.mark.postgres


def prove(ship: Ship) -> None:
    """Every committed backup restores equal to what the database holds now, and there is no doubt."""
    catalog = ship.catalog()
    assert catalog.doubts == ()
    for entry in catalog.entries:
        (restored,) = ship.restore(entry.manifest.backup_id, databases=["shop"], new_name="proof")
        assert dump_text(ship.server, restored.target, NEWEST) == dump_text(ship.server, "shop", NEWEST)
        run(ship.server, "postgres", "DROP DATABASE proof")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(ship: Ship, megabytes: int) -> None:
    """A table that does not compress."""
    run(
        ship.server,
        "shop",
        f"""CREATE TABLE noise AS
            SELECT row, string_agg(md5(random()::text), '') FROM generate_series(1, {megabytes * 1000}) row,
            generate_series(1, 32) GROUP BY row""",
    )


def test_a_full_spool_disk_ends_the_backup_and_leaves_nothing_on_it(ship: Ship, tiny_disk: Path) -> None:
    """F11, F12."""
    noise(ship, 4)

    with pytest.raises(SpoolFull, match="disk of the spool"):
        ship.but(folder=tiny_disk).backup()

    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []
    assert not [stat for stat in ship.listing() if "manifest" in stat.name]
    ship.backup()
    prove(ship)


def test_a_spool_too_small_for_one_part_is_refused_with_the_numbers(ship: Ship) -> None:
    with pytest.raises(SpoolFull, match="limit of 1,000 bytes"):
        ship.but(spool_limit=1000).backup()

    assert ship.catalog().entries == ()


def test_a_full_store_ends_the_backup_deletes_nothing_and_the_next_one_works(
    ship: Ship, tiny_disk: Path
) -> None:
    """F13, F14, on a real file system."""
    store = tiny_disk / "store"
    store.mkdir()
    ship = ship.but(store=LocalTarget(store))
    first = ship.backup().manifest
    noise(ship, 4)
    before = {stat.name for stat in ship.listing()}

    with pytest.raises(StoreFull, match="bytes"):
        ship.backup()

    assert before <= {stat.name for stat in ship.listing()}
    assert [entry.manifest.backup_id for entry in ship.catalog().entries] == [first.backup_id]
    run(ship.server, "shop", "DROP TABLE noise")
    for orphan in {stat.name for stat in ship.listing()} - before:
        (store / orphan).unlink()
    ship.backup()
    prove(ship)


@pytest.fixture
def objects(ship: Ship) -> int:
    """How many objects a backup of the ship creates, its manifest last and its index before it."""
    ship.backup()
    return len(ship.listing())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (StoreNothing(3), StoreObjectMissing),
        (StoreTruncated(3, 40), ChecksumMismatch),
        (StoreTruncated(3, 0), ChecksumMismatch),
        (FlipByte(3, 50), ChecksumMismatch),
        (LoseConnection(3, 10), StoreUnreachable),
        (FullAfter(1500), StoreFull),
        (FullAfter(0), StoreFull),
    ],
    ids=lambda value: repr(value) if not isinstance(value, type) else "",
)
def test_a_part_that_the_store_did_not_keep_commits_nothing(
    ship: Ship, fault: Fault, error: type[LifeboatError]
) -> None:
    """F13, F14, F15, F21, F22."""
    store = MemoryTarget(faults=[fault])

    with pytest.raises(error):
        ship.but(store=store).backup()

    assert not [name for name in store.objects if "manifest" in name]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_spool_that_changes_a_part_commits_nothing_and_is_named(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    upload = direct.upload_batch

    def damaged(voyage: Voyage, backup_id: str, batch: SealedBatch) -> SentBatch:
        """``before`` the upload; the other time it is the store that changed, and the spool is not blamed."""
        sent = upload(voyage, backup_id, batch) if moment == "after" else None
        path = ship.store.folder / sent.objects[0].name if sent else batch.parts[0].sealed.path
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        return sent or upload(voyage, backup_id, batch)

    monkeypatch.setattr(direct, "upload_batch", damaged)
    expected = "The spool holds other bytes" if moment == "before" else "reads back as"
    with pytest.raises(ChecksumMismatch, match=expected):
        ship.backup()
    assert ship.catalog().entries == ()


@pytest.mark.parametrize("fault", ["nothing", "truncated", "flipped"])
def test_an_index_that_the_store_did_not_keep_commits_nothing(ship: Ship, objects: int, fault: str) -> None:
    index = objects - 1
    store = MemoryTarget(
        faults=[
            {
                "nothing": StoreNothing(index),
                "truncated": StoreTruncated(index, 9),
                "flipped": FlipByte(index, 9),
            }[fault]
        ]
    )

    with pytest.raises(LifeboatError, match=r"index\.age"):
        ship.but(store=store, anchor=None).backup()

    assert not [name for name in store.objects if "manifest" in name]


@pytest.mark.parametrize("fault", ["nothing", "truncated", "flipped", "lost", "lost at the end"])
def test_a_manifest_that_the_store_did_not_keep_is_published_again_behind_it(
    ship: Ship, objects: int, fault: str
) -> None:
    """F15, F21, F22 at the commit itself: a torn place is linked past, and explained by the link."""
    faults: dict[str, Fault] = {
        "nothing": StoreNothing(objects),
        "truncated": StoreTruncated(objects, 100),
        "flipped": FlipByte(objects, 100),
        "lost": LoseConnection(objects, 0),
        "lost at the end": LoseConnection(objects, 10**6),
    }
    fresh = ship.but(store=MemoryTarget(faults=[faults[fault]]), anchor=None)

    published = fresh.backup()

    catalog = fresh.catalog()
    assert [entry.manifest for entry in catalog.entries] == [published.manifest]
    assert catalog.doubts == ()
    expected = 1 if fault in ("nothing", "lost at the end") else 2
    assert published.manifest.sequence == expected
    assert catalog.torn == tuple(range(1, expected))


def test_a_place_torn_by_a_crash_is_passed_by_the_next_run_and_goes_with_its_successor(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1 at the commit: half a manifest stays for ever, until its successor is pruned."""
    ship.backup()
    original = LocalStore.create_new

    def torn(self: LocalStore, name: str, chunks: Any) -> int:
        if "manifest" not in name:
            return original(self, name, chunks)
        original(self, name, [b"".join(chunks)[:200]])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalStore, "create_new", torn)
        ship.backup()
    assert len(ship.catalog().entries) == 1

    third = ship.backup().manifest

    assert (third.sequence, third.previous and third.previous.sequence) == (3, 1)
    assert ship.catalog().torn == (2,)
    prove(ship)
    ship.backup()
    ship.prune_oldest(third.backup_id)
    names = [stat.name for stat in ship.listing() if "manifest" in stat.name]
    assert [int(re.findall(r"\d{8}", name)[0]) for name in names] == [1, 4]
    prove(ship)


def test_two_backups_of_one_source_at_once_both_commit(ship: Ship, tmp_path: Path) -> None:
    """F24: no lock; the place in the chain goes to one, and the other links behind it."""
    ships = [ship.but(folder=tmp_path / name) for name in ("one", "two")]
    meeting = threading.Barrier(2)
    original = direct.publish

    def publish(*arguments: Any) -> Any:
        meeting.wait(60)
        return original(*arguments)

    direct.publish = publish
    try:
        with ThreadPoolExecutor(2) as pool:
            published = [future.result() for future in [pool.submit(one.backup) for one in ships]]
    finally:
        direct.publish = original

    assert sorted(found.manifest.sequence for found in published) == [1, 2]
    assert len({found.manifest.backup_id for found in published}) == 2
    prove(ship)


def test_a_writer_that_slept_between_snapshot_and_publish_links_behind_the_others(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F24: stopped for as long as two others take, it neither overwrites nor forks."""
    original = direct.publish

    def publish(*arguments: Any) -> Any:
        monkeypatch.setattr(direct, "publish", original)
        others = [ship.backup().manifest.sequence for _ in range(2)]
        assert others == [1, 2]
        return original(*arguments)

    monkeypatch.setattr(direct, "publish", publish)

    late = ship.backup().manifest

    assert late.sequence == 3
    catalog = ship.catalog()
    assert catalog.doubts == ()
    assert [entry.manifest.sequence for entry in catalog.entries] == [1, 2, 3]
    newest = catalog.newest_good
    assert newest and newest.manifest.sequence == 2  # its data are younger than the sleeper's


@pytest.mark.sshd
@pytest.mark.skipif(not SSHD, reason="no sshd is installed")
def test_an_sshd_that_restarts_between_steps_is_not_noticed(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F18: every step opens its own connection."""
    with account() as user, running_sshd(user) as nas:
        ship = dataclasses.replace(ship, store=nas.target())
        for step in ("upload_batch", "check_batch", "publish"):
            original = getattr(direct, step)

            def restarted(*arguments: Any, original: Any = original, **settings: Any) -> Any:
                nas.restart()
                return original(*arguments, **settings)

            monkeypatch.setattr(direct, step, restarted)

        ship.but(streams=1).backup()

        prove(ship)

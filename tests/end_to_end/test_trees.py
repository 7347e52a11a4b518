"""Trees of files out and back: every kind of entry and name, changes that travel, files that move under us (F43–F47)."""

from __future__ import annotations

import os
import random
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.tree_sailing import TreeShip
from support.trees import make_hostile_tree, make_links_and_specials
from support.troubled_tree import Troubled

from lifeboat import clock
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import (
    ChecksumMismatch,
    ProducerFailed,
    RestoreRefused,
    SourceDenied,
    StoreObjectMissing,
)
from lifeboat.stages import publish as publish_stage
from lifeboat.stages import yesterday
from lifeboat.stages.keygen import new_identity


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TreeShip:
    # Sealing children open the tests' own trees.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    (tmp_path / "store").mkdir()
    (tmp_path / "tree").mkdir()
    return TreeShip(
        store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=LocalTreeTarget(tmp_path / "tree")
    )


@dataclass
class Seen:
    """What a person compares: everything but inode numbers and times of access."""

    entries: dict[bytes, tuple[Any, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, top: Path) -> Seen:
        paths = (Path(folder, name) for folder, folders, files in os.walk(top) for name in folders + files)
        kept = (path for path in paths if path.is_symlink() or path.is_dir() or path.is_file())
        return cls({os.fsencode(path.relative_to(top)): facts_of(path) for path in kept})


def facts_of(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    facts = (stat.filemode(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns)
    if path.is_symlink():
        return (*facts, path.readlink())
    return (*facts, path.read_bytes(), found.st_nlink) if path.is_file() else facts


def tree_of(ship: TreeShip) -> Path:
    return ship.folder / "tree"


def back(ship: TreeShip, name: str = "back", **choice: Any) -> Path:
    folder = ship.folder / name
    ship.restore(folder, **choice)
    return folder


def write(path: Path, data: bytes) -> None:
    """A file of some minutes ago: one of this moment travels twice, to be sure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = clock.utc_now().timestamp() - 300
    os.utime(path, (then, then))


def test_every_kind_of_entry_and_hostile_name_comes_back_equal(ship: TreeShip) -> None:
    top = tree_of(ship)
    make_hostile_tree(top)
    make_links_and_specials(top)
    (top / "owned").write_bytes(b"x")
    os.chown(top / "owned", 12345, 54321)
    (top / "old").write_bytes(b"x")
    os.utime(top / "old", ns=(0, -1))
    os.utime(top / "a", ns=(0, 123_456_789_012_345_678))
    (top / "empty folder").mkdir(mode=0o1770)
    (top / "no access").mkdir()
    (top / "no access" / "inside").write_bytes(b"x")
    (top / "no access").chmod(0o000)

    published = ship.backup()

    assert Seen.of(back(ship)) == Seen.of(top)
    assert (ship.folder / "back" / "first").samefile(ship.folder / "back" / "third")
    counts = {finding.code: finding.count for finding in published.manifest.findings}
    assert counts == {"special-files-skipped": 1}


def test_large_and_sparse_files_come_back_equal_and_sparse(ship: TreeShip) -> None:
    top = tree_of(ship)
    write(top / "large", os.urandom(5 * 2**20) + bytes(3 * 2**20) + b"end")
    with (top / "sparse").open("wb") as file:
        file.truncate(600 * 2**20)
        file.seek(300 * 2**20)
        file.write(b"in the middle")

    ship.backup()

    assert Seen.of(back(ship)) == Seen.of(top)
    assert (ship.folder / "back" / "sparse").stat().st_blocks * 512 < 2**20


def test_only_changes_travel_and_the_backup_is_whole(ship: TreeShip) -> None:
    top = tree_of(ship)
    for number in range(300):
        write(top / f"customer-{number % 10}/{number}.jpg", os.urandom(4000))
    first = ship.backup().manifest
    write(top / "customer-3/new.jpg", os.urandom(4000))
    (top / "customer-4/4.jpg").write_bytes(os.urandom(4000))
    (top / "customer-5/5.jpg").unlink()

    second = ship.backup().manifest

    assert second.totals.files == 300
    assert second.totals.sealed_bytes < 20_000
    assert second.references == first.parts
    assert Seen.of(back(ship)) == Seen.of(top)


def test_nothing_changed_means_nothing_travels(ship: TreeShip) -> None:
    write(tree_of(ship) / "file", b"x" * 1000)
    first = ship.backup().manifest

    second = ship.backup().manifest

    assert second.parts == ()
    assert second.references == first.parts
    assert Seen.of(back(ship)) == Seen.of(tree_of(ship))


def test_empty_tree_is_a_backup_too(ship: TreeShip) -> None:
    ship.backup()

    assert Seen.of(back(ship)) == Seen.of(tree_of(ship)) == Seen()


def test_part_that_lacks_on_the_store_is_not_referred_to(ship: TreeShip) -> None:
    write(tree_of(ship) / "file", b"x" * 1000)
    [part] = ship.backup().manifest.parts
    (ship.folder / "store" / part.name).unlink()

    again = ship.backup().manifest

    assert (len(again.parts), again.references) == (1, ())
    assert Seen.of(back(ship)) == Seen.of(tree_of(ship))


def test_part_pruned_while_a_run_referred_to_it_stops_the_commit(
    ship: TreeShip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other half is in test_prune: what was announced waits while an index is young."""
    write(tree_of(ship) / "file", b"x" * 1000)
    [part] = ship.backup().manifest.parts
    send = publish_stage._send_index

    def and_meanwhile(*arguments: Any) -> Any:
        stored = send(*arguments)
        (ship.folder / "store" / part.name).unlink()
        return stored

    monkeypatch.setattr(publish_stage, "_send_index", and_meanwhile)
    with pytest.raises(StoreObjectMissing, match="were pruned while this run referred to them"):
        ship.backup()
    assert len(ship.catalog().entries) == 1


def test_first_backup_of_a_month_refers_to_nothing_older(
    ship: TreeShip, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree_of(ship) / "file", b"x" * 1000)
    ship.backup()
    monkeypatch.setattr(yesterday, "is_fresh_due", lambda *_: True)

    fresh = ship.backup().manifest

    assert (len(fresh.parts), fresh.references) == (1, ())


def test_change_of_recipients_makes_everything_travel_again(ship: TreeShip) -> None:
    write(tree_of(ship) / "file", b"x" * 1000)
    ship.backup()

    ship.escrow = new_identity()

    again = ship.backup().manifest
    assert (len(again.parts), again.references) == (1, ())


def test_one_directory_comes_back_alone_with_those_above_it(ship: TreeShip) -> None:
    for name in ("a/b/c/1", "a/b/2", "a/3", "d/4"):
        write(tree_of(ship) / name, name.encode())
    ship.backup()

    folder = back(ship, wanted=lambda path: path.startswith(b"a/b/c/"))

    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "a",
        "a/b",
        "a/b/c",
        "a/b/c/1",
    ]


def test_restore_over_something_is_refused_and_of_nothing_too(ship: TreeShip) -> None:
    write(tree_of(ship) / "file", b"x")
    ship.backup()

    with pytest.raises(RestoreRefused, match="exists already"):
        ship.restore(tree_of(ship))
    with pytest.raises(RestoreRefused, match="matches"):
        ship.restore(ship.folder / "back", wanted=lambda path: path == b"elsewhere")
    assert not (ship.folder / "back").exists()


def test_damaged_part_gives_no_folder_under_the_final_name(ship: TreeShip) -> None:
    write(tree_of(ship) / "file", os.urandom(100_000))
    [part] = ship.backup().manifest.parts
    path = ship.folder / "store" / part.name
    data = bytearray(path.read_bytes())
    data[50_000] ^= 1
    path.write_bytes(data)

    with pytest.raises(ChecksumMismatch):
        ship.restore(ship.folder / "back")
    assert not (ship.folder / "back").exists()


def troubled(ship: TreeShip, trouble: str, times: int = 1) -> TreeShip:
    assert isinstance(ship.tree, LocalTreeTarget)
    return ship.but(tree=Troubled(ship.tree, b"b", trouble, times))


@pytest.fixture(params=[100, 6 * 2**20], ids=["small", "large"])
def three(request: pytest.FixtureRequest, ship: TreeShip) -> TreeShip:
    for name in "abc":
        write(tree_of(ship) / name, os.urandom(request.param))
    return ship


@pytest.mark.parametrize("trouble", ["grows", "shrinks"])
def test_file_that_changes_once_while_read_is_read_again(three: TreeShip, trouble: str) -> None:
    published = troubled(three, trouble).backup()

    assert published.manifest.findings == ()
    assert Seen.of(back(three)) == Seen.of(tree_of(three))


@pytest.mark.parametrize("trouble", ["grows", "shrinks"])
def test_file_that_never_holds_still_is_kept_named_and_read_again_next_time(
    three: TreeShip, trouble: str
) -> None:
    """F46."""
    published = troubled(three, trouble, times=9).backup()

    assert [(f.code, f.count) for f in published.manifest.findings] == [("file-changed-while-read", 1)]
    states = {member.entry.path: member.state for member in three.open().members()}
    assert states == {b"a": "", b"b": "changed", b"c": ""}
    three.anchor = published.head
    three.backup()
    assert Seen.of(back(three)) == Seen.of(tree_of(three))


@pytest.mark.parametrize("trouble", ["vanishes", "becomes a pipe", "becomes a link"])
def test_file_that_vanished_is_reported_and_the_others_are_safe(three: TreeShip, trouble: str) -> None:
    published = troubled(three, trouble).backup()

    assert [(f.code, f.count) for f in published.manifest.findings] == [("file-vanished", 1)]
    assert published.manifest.totals.files == 2
    assert {path.name for path in back(three).iterdir()} == {"a", "c"}


def test_file_that_may_not_be_read_turns_the_run_red(three: TreeShip) -> None:
    with pytest.raises(SourceDenied, match="'b' may not be read"):
        troubled(three, "denied").backup()
    assert three.catalog().entries == ()


def test_file_that_may_not_be_read_is_left_out_with_a_finding_where_the_policy_says_so(
    three: TreeShip,
) -> None:
    published = troubled(three.but(unreadable="finding"), "denied").backup()

    assert [(f.code, f.count) for f in published.manifest.findings] == [("file-unreadable", 1)]
    assert {path.name for path in back(three).iterdir()} == {"a", "c"}
    three.anchor = published.head
    three.backup()
    assert Seen.of(back(three, "all")) == Seen.of(tree_of(three))


def test_tree_that_goes_away_turns_the_run_red(three: TreeShip) -> None:
    with pytest.raises(ProducerFailed, match="does not answer"):
        troubled(three, "unreachable").backup()
    assert three.catalog().entries == ()


@pytest.mark.parametrize("seed", range(4))
def test_over_a_long_history_every_kept_backup_is_whole_and_nothing_is_left_over(
    ship: TreeShip, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Add, change, delete, fail, prune: what is kept restores byte-exact, what nobody names goes."""
    monkeypatch.setattr("lifeboat.model.packing.PART", 20_000)
    chance = random.Random(seed)
    past: dict[str, Seen] = {}
    for _ in range(12):
        change(tree_of(ship), chance)
        if chance.random() < 0.2:
            fail(ship)
        manifest = ship.backup().manifest
        past[manifest.backup_id] = Seen.of(tree_of(ship))
        kept = [entry.manifest.backup_id for entry in ship.catalog().entries]
        if len(kept) > 3 and chance.random() < 0.7:
            ship.prune_oldest(chance.choice(kept[:-1]))
    kept_manifests = [entry.manifest for entry in ship.catalog().entries]
    for manifest in kept_manifests:
        assert (
            Seen.of(back(ship, manifest.backup_id, backup_id=manifest.backup_id)) == past[manifest.backup_id]
        )
    needed = {stored.name for manifest in kept_manifests for stored in manifest.needed}
    lying = {stat.name for stat in ship.listing() if stat.name.endswith(".age")}
    assert lying == needed


def fail(ship: TreeShip) -> None:
    """A run that ends in the middle, and leaves what it had sent."""
    first = next(path for path in tree_of(ship).rglob("*") if path.is_file())
    relative = os.fsencode(first.relative_to(tree_of(ship)))
    first.write_bytes(first.read_bytes() + b"changed")
    tree = Troubled(ship.tree, relative, "unreachable")  # type: ignore[arg-type]
    with pytest.raises(ProducerFailed):
        ship.but(tree=tree).backup()


def change(top: Path, chance: random.Random) -> None:
    """A day's work: some files are new, some written again, some gone, and sometimes a whole folder."""
    files = [path for path in top.rglob("*") if path.is_file()]
    for path in chance.sample(files, len(files) // 5):
        path.unlink() if chance.random() < 0.5 else write(path, chance.randbytes(chance.randrange(9000)))
    if chance.random() < 0.2 and (folders := [path for path in top.iterdir() if path.is_dir()]):
        shutil.rmtree(chance.choice(folders))
    for _ in range(8):
        write(
            top / f"{chance.randrange(4)}/{chance.randrange(10**6)}", chance.randbytes(chance.randrange(9000))
        )

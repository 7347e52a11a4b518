"""Trees back into a folder of this machine, of an SSH server, of an Azure file share; on real servers (F43–F45, F53)."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.filerest import Fault
from support.proxy import fault_proxy
from support.restoring import Place, files_below, place, sftp_target
from support.sailing import Noting
from support.sshd import SSHD, account, public_line, running_sshd
from support.tree_sailing import TreeShip
from support.trees import HOSTILE_NAMES, make_hostile_tree, make_links_and_specials

from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import (
    ChecksumMismatch,
    ConfigurationError,
    LifeboatError,
    RestoreRefused,
    TargetDenied,
    TargetFull,
    TargetHostKeyMismatch,
    TargetUnreachable,
)
from lifeboat.model import packing
from lifeboat.stages.restore_tree import RestoredTree, restore_tree
from lifeboat.stages.verify_tree import verify_tree

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(not SSHD, reason="there is no sshd on this machine")]
KINDS = ["local", "sftp", "azure"]
OLD = 1_600_000_000_123_456_700
"""An mtime in nanoseconds, as fine as a share keeps it."""


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TreeShip:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    monkeypatch.setattr("lifeboat.stages.tree.cut_parts", partial(packing.cut_parts, size=40_000))
    (tmp_path / "store").mkdir()
    (tmp_path / "tree").mkdir()
    return TreeShip(
        store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=LocalTreeTarget(tmp_path / "tree")
    )


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as ready:
        yield ready


def furnish(ship: TreeShip, parts: int = 3) -> Path:
    """A tree of ``parts`` parts, besides one that larger files have for themselves."""
    top = ship.folder / "tree"
    for number in range(parts):
        (top / f"folder {number}").mkdir()
        for name in "abc":
            (top / f"folder {number}" / name).write_bytes(os.urandom(13_000))
    (top / "large").write_bytes(os.urandom(9 * 2**20 + 17))
    (top / "zéro").write_bytes(b"")
    (top / "empty").mkdir()
    for path in sorted(top.rglob("*"), reverse=True):
        os.utime(path, ns=(OLD, OLD))
    ship.backup()
    return top


def back(ship: TreeShip, target: Any, fetched: list[str] | None = None, **choice: Any) -> RestoredTree:
    with ship.loader() as loader:
        return restore_tree(
            ship.open(), target, Noting.over(loader, [] if fetched is None else fetched), **choice
        )


def moments(top: Path) -> dict[str, int]:
    return {str(path.relative_to(top)): path.lstat().st_mtime_ns // 10**9 for path in top.rglob("*")}


def test_tree_comes_back_equal_with_its_mtimes_and_reads_back_equal(ship: TreeShip, there: Place) -> None:
    top = furnish(ship)
    target = there.target("back")

    restored = back(ship, target)

    assert files_below(there.top / "back") == files_below(top)
    assert moments(there.top / "back") == moments(top)
    assert (restored.files, restored.directories, restored.resumed) == (11, 4, 0)
    assert restored.size == sum(map(len, files_below(top).values()))
    assert there.beside("back") == []
    found = verify_tree(ship.open(), target.tree())
    assert (found.count, found.files, found.read) == (0, 11, restored.size)


def test_what_differs_is_found_and_named(ship: TreeShip, there: Place) -> None:
    furnish(ship)
    target = there.target("back")
    back(ship, target)
    top = there.top / "back"
    (top / "folder 0" / "a").unlink()
    changed = (top / "large").stat().st_mtime_ns
    with (top / "large").open("r+b") as file:
        file.seek(5 * 2**20)
        file.write(b"x")
    os.utime(top / "large", ns=(changed, changed))
    (top / "zéro").write_bytes(b"more")
    (top / "stranger").write_bytes(b"")

    found = verify_tree(ship.open(), target.tree())

    assert [path for path, _ in found.missing.named] == [b"folder 0/a"]
    assert [path for path, _ in found.additional.named] == [b"stranger"]
    told = dict(found.different.named)
    assert told.pop(b"large") == "has other content"
    assert "has 4 bytes" in told.pop("zéro".encode())
    assert all(why == "has another mtime" for why in told.values())


def test_only_what_is_wanted_comes_with_the_folders_above(ship: TreeShip, there: Place) -> None:
    furnish(ship)

    back(ship, there.target("back"), wanted=lambda path: path == b"folder 1/b")

    assert set(files_below(there.top / "back")) == {b"folder 1/b"}
    assert [path.name for path in (there.top / "back").iterdir()] == ["folder 1"]


def test_target_that_holds_something_is_refused_and_an_empty_one_is_taken(
    ship: TreeShip, there: Place
) -> None:
    top = furnish(ship)
    (there.top / "used").mkdir()
    (there.top / "used" / "file").write_bytes(b"x")
    (there.top / "file").write_bytes(b"x")
    (there.top / "empty").mkdir()
    if there.server is not None and hasattr(there.server, "user"):
        for name in ("used", "empty"):
            (there.top / name).chmod(0o777)

    for name in ("used", "file"):
        with pytest.raises(RestoreRefused, match="exists already"):
            back(ship, there.target(name))
        assert there.beside(name) == []
    back(ship, there.target("empty"))

    assert files_below(there.top / "empty") == files_below(top)
    assert files_below(there.top / "used") == {b"file": b"x"}


def test_target_that_appears_meanwhile_is_left_alone_and_the_next_attempt_has_little_to_do(
    ship: TreeShip, there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = furnish(ship)
    compare = "lifeboat.stages.restore_tree._Work._compare"

    def appear(_: object) -> None:
        (there.top / "back").mkdir()
        (there.top / "back" / "theirs").write_bytes(b"x")

    with monkeypatch.context() as patch, pytest.raises(RestoreRefused, match="exists already"):
        patch.setattr(compare, appear)
        back(ship, there.target("back"))
    assert files_below(there.top / "back") == {b"theirs": b"x"}
    (there.top / "back" / "theirs").unlink()
    (there.top / "back").rmdir()

    fetched: list[str] = []
    restored = back(ship, there.target("back"), fetched)

    assert (fetched, restored.resumed, restored.fetched) == ([], restored.parts, 0)
    assert files_below(there.top / "back") == files_below(top)
    assert there.beside("back") == []


def test_damaged_part_leaves_an_incomplete_folder_and_the_others_are_not_fetched_again(
    ship: TreeShip, there: Place
) -> None:
    top = furnish(ship)
    first, second = (ship.open().header.part(number).name for number in (1, 2))
    damaged = ship.folder / "store" / second
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:900] + bytes([whole[900] ^ 1]) + whole[901:])

    with pytest.raises(ChecksumMismatch):
        back(ship, there.target("back"), jobs=1)
    assert not (there.top / "back").exists()
    assert len(there.beside("back")) == 1
    damaged.write_bytes(whole)

    fetched: list[str] = []
    restored = back(ship, there.target("back"), fetched, jobs=1)

    assert first not in fetched
    assert second in fetched
    assert restored.resumed == restored.parts - len(fetched) >= 1
    assert files_below(there.top / "back") == files_below(top)
    assert verify_tree(ship.open(), there.target("back").tree()).count == 0


def test_leftovers_of_other_attempts_are_told(ship: TreeShip, there: Place) -> None:
    furnish(ship)
    (there.top / "back.incomplete-abc234").mkdir()

    restored = back(ship, there.target("back"))

    [finding] = [found for found in restored.findings if found.code == "leftovers-of-other-restores"]
    assert finding.count == 1
    assert "back.incomplete-abc234" in finding.message


def test_other_selection_is_another_restore(
    ship: TreeShip, there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(ship)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("lifeboat.stages.restore_tree._Work._compare", fail)
        back(ship, there.target("back"))

    restored = back(ship, there.target("back"), wanted=lambda path: path == b"large")

    assert restored.resumed == 0
    assert set(files_below(there.top / "back")) == {b"large"}
    assert [found.count for found in restored.findings if found.code == "leftovers-of-other-restores"] == [1]


def fail(_: object) -> None:
    raise RuntimeError("the process died here")


# Names and links


@pytest.mark.parametrize("kind", ["local", "sftp"])
def test_hostile_names_and_links_come_back_and_lead_nobody_out(
    ship: TreeShip, tmp_path: Path, kind: str
) -> None:
    top = ship.folder / "tree"
    make_hostile_tree(top)
    make_links_and_specials(top)
    (top / "outside").symlink_to(tmp_path / "elsewhere")
    ship.backup()
    with place(kind, tmp_path) as there:
        restored = back(ship, there.target("back"))

        new = there.top / "back"
        assert files_below(new) == files_below(top)
        links = {path.name: path.readlink() for path in top.iterdir() if path.is_symlink()}
        assert {path.name: path.readlink() for path in new.iterdir() if path.is_symlink()} == links
        assert (new / "first").samefile(new / "third")
        assert stat.S_IMODE((new / "setuid").stat().st_mode) == 0o4755
        assert not (tmp_path / "elsewhere").exists()
        assert (restored.symlinks, restored.hard_links) == (4, 2)
        assert verify_tree(ship.open(), there.target("back").tree()).count == 0


def test_share_says_how_much_it_cannot_hold(ship: TreeShip, tmp_path: Path) -> None:
    top = ship.folder / "tree"
    (top / "first").write_bytes(b"linked")
    (top / "second").hardlink_to(top / "first")
    (top / "link").symlink_to("first")
    ship.backup()
    with place("azure", tmp_path) as there:
        restored = back(ship, there.target("back"))
        assert set(files_below(there.top / "back")) == {b"first"}
        found = verify_tree(ship.open(), there.target("back").tree())
        assert [path for path, _ in found.missing.named] == [b"link", b"second"]

    counts = {finding.code: finding.count for finding in restored.findings}
    assert counts == {"symlinks-not-kept": 1, "hard-links-not-kept": 1, "modes-not-kept": 1}


def test_names_that_a_share_cannot_hold_are_all_found_before_anything_is_written(
    ship: TreeShip, tmp_path: Path
) -> None:
    names = [*HOSTILE_NAMES, b"dot.", b"lpt1", b"fine"]
    (ship.folder / "tree" / "folder:").mkdir()
    for name in names:
        (ship.folder / "tree" / os.fsdecode(name)).write_bytes(b"")
    ship.backup()
    with place("azure", tmp_path) as there:
        with pytest.raises(RestoreRefused, match="cannot hold") as caught:
            back(ship, there.target("back"))
        assert list(there.top.iterdir()) == []
        assert there.server.counts["create-directory"] == 0
    for name in (
        "new\\012line",
        "back\\\\slash",
        "*?[a]",
        "dot.",
        "lpt1",
        "folder:",
        "by case only",
        "\\377",
        "...",
    ):
        assert name in caught.value.message
    assert "umlaut" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert "fine" not in caught.value.message


def test_link_in_the_place_of_the_target_is_refused(ship: TreeShip, tmp_path: Path) -> None:
    furnish(ship)
    for kind in ("local", "sftp"):
        (tmp_path / kind).mkdir()
        with place(kind, tmp_path / kind) as there:
            (tmp_path / "outside").mkdir(exist_ok=True)
            (there.top / "back").symlink_to(tmp_path / "outside")
            with pytest.raises(RestoreRefused):
                back(ship, there.target("back"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_links_planted_in_an_incomplete_folder_are_not_followed(
    ship: TreeShip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes on with what lies there, trusts none of its links."""
    furnish(ship)
    outside = tmp_path / "outside"
    outside.mkdir()
    for kind in ("local", "sftp"):
        (tmp_path / kind).mkdir()
        with place(kind, tmp_path / kind) as there:
            with monkeypatch.context() as patch, pytest.raises(RuntimeError):
                patch.setattr("lifeboat.stages.restore_tree._Work._load_parts", lambda *_: fail(None))
                back(ship, there.target("back"))
            [incomplete] = there.beside("back")
            (incomplete / "tree" / "folder 0").rmdir()
            (incomplete / "tree" / "folder 0").symlink_to(outside)
            with pytest.raises(LifeboatError):
                back(ship, there.target("back"))
    assert list(outside.iterdir()) == []


# SFTP's own


def test_other_host_key_is_somebody_else_and_nothing_is_sent(ship: TreeShip, tmp_path: Path) -> None:
    furnish(ship)
    with place("sftp", tmp_path) as there:
        stranger = public_line(type(there.server)("x", tmp_path).host_key)
        with pytest.raises(TargetHostKeyMismatch):
            back(ship, there.target("back", host_key=stranger))
        assert list(there.top.iterdir()) == []


def test_account_that_may_write_below_its_folder_only(ship: TreeShip, tmp_path: Path) -> None:
    top = furnish(ship)
    with place("sftp", tmp_path) as there:
        with pytest.raises(TargetDenied) as caught:
            back(ship, sftp_target(there.server, str(there.server.home / "back")))
        assert "folder above the target" in caught.value.hint
        restored = back(ship, there.target("back"))
        assert files_below(there.top / "back") == files_below(top)
    assert "owners-not-kept" in {finding.code for finding in restored.findings} or os.geteuid() != 0


def test_account_that_may_not_rename_learns_it_before_the_first_file(ship: TreeShip) -> None:
    furnish(ship)
    fetched: list[str] = []
    with account() as user, running_sshd(user, write_once=True) as server, pytest.raises(LifeboatError):
        back(ship, sftp_target(server, f"{server.folder}/back"), fetched)
    assert fetched == []


def test_lost_line_leaves_what_the_next_attempt_goes_on_with(ship: TreeShip, tmp_path: Path) -> None:
    top = furnish(ship, parts=8)
    with place("sftp", tmp_path) as there, fault_proxy(there.server.port) as proxy:
        proxy.up.set(cut_after=4 * 2**20)
        with pytest.raises(TargetUnreachable):
            back(ship, there.target("back", port=proxy.port), jobs=1)
        assert not (there.top / "back").exists()
        proxy.up.set()
        restored = back(ship, there.target("back"))
        assert files_below(there.top / "back") == files_below(top)
    assert restored.resumed >= 1


# Azure's own


@pytest.mark.parametrize("operation", ["create-directory", "create-file", "put-range", "rename-directory"])
def test_share_that_says_no_ends_the_restore_and_the_next_attempt_works(
    ship: TreeShip, tmp_path: Path, operation: str
) -> None:
    top = furnish(ship)
    with place("azure", tmp_path) as there:
        there.server.inject(Fault(operation, "forbidden", skip=2 if operation != "rename-directory" else 1))
        with pytest.raises(TargetDenied):
            back(ship, there.target("back"))
        assert not (there.top / "back").exists()
        back(ship, there.target("back"))
        assert files_below(there.top / "back") == files_below(top)


def test_top_of_a_share_and_a_snapshot_are_no_targets(tmp_path: Path) -> None:
    with place("azure", tmp_path) as there, pytest.raises(ConfigurationError):
        there.target("/")


# Space


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system of 2 MiB, not below pytest's own folder, which other accounts may not enter."""
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-tiny-"))
    folder.chmod(0o755)
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=1777", "tiny", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_full_disk_says_so_and_after_making_room_the_restore_goes_on(ship: TreeShip, tiny_disk: Path) -> None:
    furnish(ship)
    target = LocalRestoreTarget(tiny_disk / "back")

    with pytest.raises(TargetFull):
        back(ship, target)
    assert not (tiny_disk / "back").exists()
    subprocess.run(["mount", "-o", "remount,size=40m", str(tiny_disk)], check=True)

    assert back(ship, target).resumed >= 1
    assert verify_tree(ship.open(), target.tree()).count == 0


def test_full_disk_of_a_server_is_told_apart_from_other_failures(ship: TreeShip, tiny_disk: Path) -> None:
    furnish(ship)
    with account() as user, running_sshd(user) as server, pytest.raises(TargetFull):
        back(ship, sftp_target(server, str(tiny_disk / "back")))


def test_top_of_a_file_system_is_refused(ship: TreeShip, tiny_disk: Path) -> None:
    furnish(ship)
    with pytest.raises(RestoreRefused, match="top of a file system"):
        back(ship, LocalRestoreTarget(tiny_disk))

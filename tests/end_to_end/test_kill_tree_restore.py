"""SIGKILL at every step of a tree's restore: never a half tree under its name, and the next attempt goes on (F53)."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.killing import MARK, insist_that_none_is_left, killed
from support.restoring import Place, files_below, place
from support.sshd import SSHD
from support.tree_sailing import TreeShip

from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import RestoreFailed, RestoreRefused
from lifeboat.model import packing
from lifeboat.stages.verify_tree import verify_tree

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(not SSHD, reason="there is no sshd on this machine")]
TESTS = Path(__file__).parents[1]


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TreeShip:
    """A backup of five parts, of folders that nobody but root may enter, and of links."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent))))
    monkeypatch.setattr("lifeboat.stages.tree.cut_parts", partial(packing.cut_parts, size=40_000))
    (tmp_path / "store").mkdir()
    top = tmp_path / "tree"
    for number in range(5):
        (top / f"folder {number}").mkdir(parents=True)
        for name in "abc":
            (top / f"folder {number}" / name).write_bytes(os.urandom(12_000))
    (top / "folder 0" / "link").symlink_to("../folder 1/a")
    (top / "second").hardlink_to(top / "folder 2" / "a")
    (top / "folder 3").chmod(0o500)
    ship = TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=LocalTreeTarget(top))
    ship.backup()
    return ship


@pytest.fixture
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as ready:
        yield ready


def restore_and_die(ship: TreeShip, step: str, moment: str, **arguments: Any) -> None:
    """In a process that kills itself; its children end by themselves, and are not waited for."""
    killed(ship, "restore", step, moment, **arguments)


STEPS = [
    ("tree begin", "before", 0),
    ("tree mark", "after", 0),
    ("tree parts", "before", 0),
    ("second tree part", "before", 0),
    ("tree part", "after", 0),
    ("tree note", "before", 0),
    ("tree note", "after", 1),
    ("second tree note", "after", 2),
    ("tree compare", "after", 5),
    ("tree name", "before", 5),
]
LOCAL_STEPS = [*STEPS, ("tree link", "after", 5)]
CASES = [
    *(("local", *step) for step in LOCAL_STEPS),
    *(("sftp", *step) for step in STEPS if step[1] == "before" or step[2]),
    *(("azure", *step) for step in STEPS if step[1] == "before" or step[2]),
]


@pytest.mark.parametrize(("there", "step", "moment", "done"), CASES, indirect=["there"])
def test_killed_restore_is_gone_on_with(
    ship: TreeShip, there: Place, step: str, moment: str, done: int
) -> None:
    """``done`` parts were noted before, and are not fetched again."""
    restore_and_die(ship, step, moment, folder=there.target("back"), jobs=2 if "second" in step else 1)
    assert not (there.top / "back").exists()

    fetched: list[str] = []
    restored = ship.restore(there.target("back"), fetched=fetched)

    assert (restored.resumed, len(fetched)) == (done, 5 - done)
    assert verify_tree(ship.open(), there.target("back").tree(), keeps=keeps(there)).count == 0
    insist_that_none_is_left(**{MARK: str(ship.folder)})
    left = {finding.code for finding in restored.findings if "leftovers" in finding.code}
    # Only what died before it said whose it was cannot be gone on with.
    assert there.beside("back") == [] or (step, left) == ("tree begin", {"leftovers-of-other-restores"})


def keeps(there: Place) -> Any:
    with there.target("other").connect() as session:
        return session.keeps


@pytest.mark.parametrize("there", ["local", "sftp", "azure"], indirect=True)
def test_restore_killed_after_the_tree_had_its_name_left_notes_that_nobody_believes(
    ship: TreeShip, there: Place
) -> None:
    restore_and_die(ship, "tree tidy", "before", folder=there.target("back"))
    assert verify_tree(ship.open(), there.target("back").tree(), keeps=keeps(there)).count == 0
    with pytest.raises(RestoreRefused, match="exists already"):
        ship.restore(there.target("back"))
    shutil.rmtree(there.top / "back")

    restored = ship.restore(there.target("back"))

    assert restored.resumed == 0
    assert verify_tree(ship.open(), there.target("back").tree(), keeps=keeps(there)).count == 0
    assert there.beside("back") == []


@pytest.mark.parametrize("there", ["local"], indirect=True)
def test_notes_are_void_once_the_machine_was_started_anew(
    ship: TreeShip, there: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was written may not have been on disk then."""
    restore_and_die(ship, "tree name", "before", folder=there.target("back"))
    (tmp_path / "boot").write_text("another start\n")
    monkeypatch.setattr("lifeboat.adapters.target_local._BOOT", tmp_path / "boot")

    restored = ship.restore(there.target("back"))

    assert restored.resumed == 0
    assert [finding.code for finding in restored.findings] == ["leftovers-of-other-restores"]


@pytest.mark.parametrize("there", ["local"], indirect=True)
def test_restore_that_lives_shares_its_folder_with_nobody(ship: TreeShip, there: Place) -> None:
    restore_and_die(ship, "tree name", "before", folder=there.target("back"))
    [incomplete] = there.beside("back")
    living = os.open(incomplete, os.O_RDONLY)
    fcntl.flock(living, fcntl.LOCK_EX)  # what a restore holds as long as it lives

    restored = ship.restore(there.target("back"))

    os.close(living)
    assert restored.resumed == 0
    assert there.beside("back") == [incomplete]


@pytest.mark.parametrize("there", ["local"], indirect=True)
def test_lock_that_outlives_its_restore_for_a_moment_is_waited_for(ship: TreeShip, there: Place) -> None:
    """As a child has it that was just being started."""
    restore_and_die(ship, "tree name", "before", folder=there.target("back"))
    [incomplete] = there.beside("back")
    dying = os.open(incomplete, os.O_RDONLY)
    fcntl.flock(dying, fcntl.LOCK_EX)
    timer = threading.Timer(0.3, os.close, [dying])
    timer.start()

    restored = ship.restore(there.target("back"))

    timer.join()
    assert restored.resumed == 5
    assert there.beside("back") == []


@pytest.mark.parametrize("there", ["sftp", "azure"], indirect=True)
def test_restore_whose_folder_was_taken_over_finds_it_gone(
    ship: TreeShip, there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no locks, the later attempt goes on, and the earlier one ends without a trace."""
    compare = "lifeboat.stages.restore_tree._Work._compare"

    def meanwhile(_: object) -> None:
        monkeypatch.undo()
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent))))
        assert ship.restore(there.target("back")).resumed == 5
        shutil.move(there.top / "back", there.top / "moved")

    monkeypatch.setattr(compare, meanwhile)
    with pytest.raises(RestoreFailed):
        ship.restore(there.target("back"))

    assert not (there.top / "back").exists()
    assert there.beside("back") == []
    assert len(files_below(there.top / "moved")) >= 15


@pytest.mark.parametrize("there", ["local"], indirect=True)
def test_what_somebody_else_put_into_the_folder_is_found(ship: TreeShip, there: Place) -> None:
    restore_and_die(ship, "tree name", "before", folder=there.target("back"))
    [incomplete] = there.beside("back")
    (incomplete / "tree" / "folder 1" / "stranger").write_bytes(b"")
    with pytest.raises(RestoreFailed, match="holds 4 entries"):
        ship.restore(there.target("back"))
    (incomplete / "tree" / "folder 1" / "stranger").unlink()
    (incomplete / "tree" / "folder 1" / "a").write_bytes(b"cut short")
    with pytest.raises(RestoreFailed, match="of 24009 bytes"):
        ship.restore(there.target("back"))
    assert not (there.top / "back").exists()

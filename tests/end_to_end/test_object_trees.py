"""Trees of objects out and back, through the stages: from a bucket to a sealed backup, and into a folder (F43, F46)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.azurite import AZURITE_MISSING, Azurite, running_azurite
from support.s3 import Overwritten, S3Service, running_s3
from support.tree_sailing import TreeShip

from lifeboat import clock
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.errors import ProducerFailed

SETTLED = 3.1
"""Seconds after which a file of this moment is one of the past; services tell whole seconds."""
CONTENT = {
    "read me.txt": b"hello",
    "empty": b"",
    "folder/empty/": b"",
    "folder/umlaut-ä": "ä".encode(),
    "folder/percent%2Fslash": b"%",
    "-rf/*?": b"pattern",
    "large": os.urandom(9 * 2**20),
}


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TreeShip:
    # Sealing children open the tests' own trees.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    (tmp_path / "store").mkdir()
    return TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=None)  # type: ignore[arg-type]


@pytest.fixture
def s3() -> Iterator[S3Service]:
    with running_s3() as service:
        yield service


@pytest.fixture
def azurite(tmp_path: Path) -> Iterator[Azurite]:
    if AZURITE_MISSING:
        pytest.skip(AZURITE_MISSING)
    with running_azurite(tmp_path) as running:
        yield running


def files_in(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def expected(content: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in content.items() if not name.endswith("/")}


def sail(ship: TreeShip, service: S3Service | Azurite) -> None:
    """Two backups, with a change in between that travels alone; both come back as they were."""
    service.put("docs", {f"data/{key}": content for key, content in CONTENT.items()})
    service.put("docs", {"database/other": b"not of this tree"})
    ship.tree = service.target("docs", "data")
    time.sleep(SETTLED)
    first = ship.backup().manifest
    unchanged = ship.backup().manifest
    assert (unchanged.parts, unchanged.references) == ((), first.parts)

    service.put("docs", {"data/folder/new": b"new", "data/read me.txt": b"HELLO"})
    third = ship.backup().manifest
    assert third.references == first.parts
    assert third.totals.sealed_bytes < 20_000

    ship.restore(ship.folder / "first", backup_id=first.backup_id)
    ship.restore(ship.folder / "third")
    assert files_in(ship.folder / "first") == expected(CONTENT)
    changed = {**CONTENT, "folder/new": b"new", "read me.txt": b"HELLO"}
    assert files_in(ship.folder / "third") == expected(changed)
    assert (ship.folder / "third/folder/empty").is_dir()
    stamp = (ship.folder / "first/large").stat().st_mtime
    assert abs(stamp - clock.utc_now().timestamp()) < 300


def test_bucket_comes_back_equal_and_only_changes_travel(ship: TreeShip, s3: S3Service) -> None:
    sail(ship, s3)


def test_container_comes_back_equal_and_only_changes_travel(ship: TreeShip, azurite: Azurite) -> None:
    sail(ship, azurite)


def states(ship: TreeShip) -> dict[bytes, str]:
    return {member.entry.path: member.state for member in ship.open().members()}


@pytest.mark.parametrize("path", ["read me.txt", "large", "empty"])
def test_object_overwritten_meanwhile_is_read_again_as_it_is_now(
    ship: TreeShip, s3: S3Service, path: str
) -> None:
    """Large ones take another way through the packer than small ones, and empty ones another through the reader."""
    s3.put("docs", CONTENT)
    ship.tree = Overwritten(s3.target("docs"), path.encode(), times=1)
    ship.backup()
    ship.restore(ship.folder / "back")
    assert files_in(ship.folder / "back") == {**expected(CONTENT), path: b"newer 1"}
    assert set(states(ship).values()) == {""}


def test_object_overwritten_again_and_again_is_marked_as_changed(ship: TreeShip, s3: S3Service) -> None:
    s3.put("docs", CONTENT)
    ship.tree = Overwritten(s3.target("docs"), b"large", times=100)
    ship.backup()
    assert {path: state for path, state in states(ship).items() if state} == {b"large": "changed"}
    ship.restore(ship.folder / "back", wanted=lambda path: path != b"large")
    rest = {name: data for name, data in expected(CONTENT).items() if name != "large"}
    assert files_in(ship.folder / "back") == rest


def test_object_overwritten_in_a_tree_that_should_hold_still_stops_the_run(
    ship: TreeShip, s3: S3Service
) -> None:
    s3.put("docs", CONTENT)
    ship.tree, ship.consistency = Overwritten(s3.target("docs"), b"large", times=1), "snapshot"
    with pytest.raises(ProducerFailed, match="'large' in s3://docs/ .* was overwritten"):
        ship.backup()

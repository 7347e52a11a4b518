"""Large backups to a real sshd: their bytes are moved by child processes, and whatever ends the run ends those."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.killing import MARK, insist_that_none_is_left, killed
from support.sshd import SSHD, SshServer, account, running_sshd
from support.tree_sailing import TreeShip

from lifeboat.adapters import transfers
from lifeboat.adapters.children import Crew
from lifeboat.adapters.transfers import TRANSFER_CHILD
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ChecksumMismatch
from lifeboat.stages import direct
from lifeboat.stages.encrypt import SealedBatch
from lifeboat.stages.upload import SentBatch
from lifeboat.stages.voyage import Voyage

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")]


@pytest.fixture
def nas() -> Iterator[SshServer]:
    with account() as user, running_sshd(user) as server:
        yield server


@pytest.fixture
def ship(tmp_path: Path, nas: SshServer) -> TreeShip:
    """A tree whose one part is larger than what a run moves itself."""
    tree = tmp_path / "tree"
    tree.mkdir()
    noise = random.Random(7)
    for number in range(9):
        (tree / f"{number}.jpeg").write_bytes(noise.randbytes(transfers.LARGE // 8))
    return TreeShip(store=nas.target(), folder=tmp_path, tree=LocalTreeTarget(tree))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_large_backup_goes_through_children_and_comes_back_equal(
    ship: TreeShip, monkeypatch: pytest.MonkeyPatch
) -> None:
    hired: list[str] = []
    hire = Crew.hire

    def noted(crew: Crew, module: str, *arguments: object, **settings: object) -> object:
        hired.append(module)
        return hire(crew, module, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Crew, "hire", noted)
    ship.backup()
    assert hired.count(TRANSFER_CHILD) == 2, "one session to send, another to read back"

    ship.restore(ship.folder / "back")
    assert contents(ship.folder / "back") == contents(ship.folder / "tree")


def test_a_byte_that_the_store_changed_commits_nothing(
    ship: TreeShip, nas: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F22"""
    upload = direct.upload_batch

    def changed(voyage: Voyage, backup_id: str, batch: SealedBatch) -> SentBatch:
        sent = upload(voyage, backup_id, batch)
        with (nas.folder / sent.objects[0].name).open("r+b") as file:
            file.seek(sent.objects[0].size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        return sent

    monkeypatch.setattr(direct, "upload_batch", changed)
    with pytest.raises(ChecksumMismatch, match="reads back as"):
        ship.backup()
    assert ship.catalog().entries == ()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_leaves_no_child_and_the_next_one_commits(ship: TreeShip, moment: str) -> None:
    killed(ship, "backup", "large send", moment)

    insist_that_none_is_left(**{MARK: str(ship.folder)})
    assert ship.catalog().entries == ()
    ship.backup()
    ship.restore(ship.folder / "back")
    assert contents(ship.folder / "back") == contents(ship.folder / "tree")

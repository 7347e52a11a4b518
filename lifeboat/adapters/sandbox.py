"""The sandbox of a drill: a folder with throw-away PostgreSQL servers in it, destroyed with proof (clauses P7, P15).

It holds what production holds, so it must not outlive its drill. One whose drill was killed is found by the next: its
lock died with its process, so its servers are ended and its folder is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from lifeboat import clock
from lifeboat.adapters.drill_server import lent
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.errors import ConfigurationError, CouldNotMeasure, SandboxNotDestroyed

_LOCK = "drill.lock"
_HEADROOM = 1.5
"""Restored data, its indexes and the write-ahead log of loading it, against the data alone."""


@dataclass
class Sandbox:
    """One drill's folder. PostgreSQL's settings are its defaults: what makes a drill fast makes it no proof."""

    folder: Path
    stack: ExitStack
    lent_server: PostgresServer | None = None
    """A drill server that is used instead of throw-away ones."""
    _borrowed: bool = False

    def server(self, major: int, name: str) -> PostgresServer:
        """A started server of that major, for one source; or the drill server, which is left as it was found.

        Raises ``PreflightRefused`` naming the package when its programs are not on this host, and what ``lent`` raises.
        """
        if self.lent_server:
            if not self._borrowed:
                self.stack.enter_context(lent(self.lent_server))
                self._borrowed = True
            return self.lent_server
        return self.stack.enter_context(Cluster(self.folder / f"{name}-postgres", major, inside=True)).server

    def tree(self, name: str) -> Path:
        """Where a tree may be restored to; nothing is there yet, and nobody else gets there."""
        return self.private / name

    @property
    def private(self) -> Path:
        """A folder that only we get into."""
        private = self.folder / "trees"
        private.mkdir(mode=0o700, exist_ok=True)
        return private


@contextlib.contextmanager
def sandbox(
    root: Path, drill_id: str, *, needed: int, lent_server: PostgresServer | None = None
) -> Iterator[Sandbox]:
    """A sandbox for about ``needed`` bytes of data; at the end nothing of it is left.

    Raises ``CouldNotMeasure`` with the numbers, ``SandboxNotDestroyed`` when something is left after all.
    """
    folder = root / drill_id
    lock = _owned(root, folder)
    try:
        _refuse_too_small(folder, needed)
        with ExitStack() as stack:
            yield Sandbox(folder, stack, lent_server)
    finally:
        _destroy(folder)
        os.close(lock)


def _owned(root: Path, folder: Path) -> int:
    """Make the folder with its lock held; it gets its name when it has both, so that no sweep finds it half made.

    PostgreSQL's own user must get through, and list nothing on the way: 0711.
    """
    prepare_root(root)
    making = root / f".{folder.name}"
    making.mkdir(mode=0o711)
    lock = os.open(making / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    making.rename(folder)
    return lock


def prepare_root(root: Path) -> None:
    """Make the folder of sandboxes, if it is not there, so that only its owner lists it. Raises ``ConfigurationError``
    when somebody else owns it."""
    if not root.exists():
        root.mkdir(parents=True)
        root.chmod(0o711)
    if root.stat().st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            f"The folder of sandboxes {root} belongs to somebody else.",
            hint="Name another one: drills.folder.",
        )


def sweep_sandboxes(root: Path) -> list[str]:
    """Destroy what drills that are dead left behind. Returns their ids."""
    swept = []
    for folder in sorted(root.glob("drill-*")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _destroy(folder)
                swept.append(folder.name)
            except BlockingIOError:
                continue
            finally:
                os.close(lock)
    return swept


def _refuse_too_small(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed * _HEADROOM:
        raise CouldNotMeasure(
            f"The sandbox {folder} has {free:,} bytes free; {needed:,} bytes of data want "
            f"{round(needed * _HEADROOM):,}.",
            hint="Name a folder on a larger disk (drills.folder of the policy), or drill fewer sources at a time.",
        )


def _destroy(folder: Path) -> None:
    """End every PostgreSQL server that works in the folder, remove it, and look whether it is gone."""
    for process in psutil.process_iter(["cmdline"]):
        program, *arguments = process.info["cmdline"] or [""]
        if program.endswith("/postgres") and any(each.startswith(f"{folder}/") for each in arguments):
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(10)
    for _ in range(20):  # a server that was just killed may still write its last file
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        clock.sleep(0.1)
    raise SandboxNotDestroyed(
        f"The sandbox {folder} could not be removed, and holds restored data.", hint="Remove it by hand, now."
    )

"""The spool: sealed parts on their way to the store. Only ciphertext ever lies here.

A spool has a limit. Sealing children ask before every ``GRANT`` bytes; when the spool is full they wait until
an upload was checked and its part released. When nothing can ever be released, because every part here waits
for room to grow, waiting would be for ever: that is refused with the numbers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from pathlib import Path

from lifeboat import clock
from lifeboat.errors import Cancelled, SpoolFull, TimeLimitExceeded

GRANT = 8 * 2**20
_LOCK = "owner.lock"


class Spool:
    """One run's folder below ``root``, owned while the process lives. Use as a context manager."""

    def __init__(self, root: Path, owner: str, *, limit: int) -> None:
        self.limit = limit
        self.folder = root / owner
        self._room = threading.Condition()
        self._growing: dict[Path, int] = {}
        self._waiting: dict[Path, int] = {}
        self._stuck = 0
        self._closed = False

    def __enter__(self) -> Spool:
        self.folder.mkdir(parents=True, mode=0o700)
        self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self

    def __exit__(self, *_: object) -> None:
        with self._room:
            self._closed = True
            self._room.notify_all()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def path(self, number: int) -> Path:
        return self.folder / f"{number:04d}.age"

    def begin(self, path: Path) -> None:
        with self._room:
            self._growing[path] = 0

    def grant(self, path: Path, deadline: clock.Deadline) -> None:
        """Wait until the part at ``path`` may grow by ``GRANT`` bytes.

        Raises ``SpoolFull`` when waiting cannot help, ``Cancelled`` when the run ends, ``TimeLimitExceeded``.
        """
        with self._room:
            self._stuck += 1
            try:
                while self.used + GRANT > self.limit:
                    self._refuse_to_wait(path, deadline)
                    self._room.wait(min(1.0, deadline.remaining()))
            finally:
                self._stuck -= 1
            self._growing[path] += GRANT

    def _refuse_to_wait(self, path: Path, deadline: clock.Deadline) -> None:
        if self._closed:
            raise Cancelled(f"{path.name}: ended with the run while it waited for room in the spool")
        if not self._waiting and self._stuck == len(self._growing):
            raise SpoolFull(
                f"The spool {self.folder.parent} is at its limit of {self.limit:,} bytes, and all of it "
                f"belongs to {len(self._growing)} parts that are still being written.",
                hint="Raise spool.limit above the sealed size of the largest tables together, "
                "or lower the source's streams.",
            )
        if deadline.passed():
            raise TimeLimitExceeded(
                f"{path.name}: no room in the spool within the limit of {deadline.limit:.0f} s ({deadline.name})",
                hint=f"The store takes parts too slowly for this spool: raise spool.limit or {deadline.name}.",
            )

    def sealed(self, path: Path, size: int) -> None:
        """The part is complete; it stays until ``release``."""
        with self._room:
            self._growing.pop(path, None)
            self._waiting[path] = size
            self._room.notify_all()

    def release(self, path: Path) -> None:
        """Remove a part: checked on the store, or failed."""
        path.unlink(missing_ok=True)
        with self._room:
            self._growing.pop(path, None)
            self._waiting.pop(path, None)
            self._room.notify_all()

    @property
    def used(self) -> int:
        """Bytes granted or lying here."""
        return sum(self._growing.values()) + sum(self._waiting.values())


def sweep(root: Path) -> list[str]:
    """Remove the spools of runs that are dead (F1): their lock can be taken. Returns their names."""
    swept = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        lock = folder / _LOCK
        # Another run may sweep at the same moment: what vanishes under us is swept.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                swept.append(folder.name)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
    return swept

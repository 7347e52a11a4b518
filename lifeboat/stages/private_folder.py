"""Where the little that is ever decrypted to a file lies: roles, and the archive of a schema."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of mode 0700, in memory where the host offers it; gone afterwards."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of mode 0700 is made below it
    with tempfile.TemporaryDirectory(prefix="lifeboat-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)

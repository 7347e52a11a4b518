"""Marks of drills that have begun: a file beside the sandboxes, locked by its drill, and gone once there is a record.

One that nobody holds is of a drill that died, or that ended before it could say anything; the next drill says it then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lifeboat.adapters.sandbox import prepare_root

_PREFIX = "begun-"


@contextlib.contextmanager
def drill_mark(root: Path, drill_id: str, content: bytes) -> Iterator[Callable[[], None]]:
    """A mark with ``content``, held meanwhile. It stays when the block ends, unless what is yielded was called."""
    prepare_root(root)
    path = root / f"{_PREFIX}{drill_id}"
    mark = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(mark, content)
        os.fsync(mark)
        yield path.unlink
    finally:
        os.close(mark)


@contextlib.contextmanager
def marks_left(root: Path) -> Iterator[dict[Path, bytes]]:
    """The marks that nobody holds, held meanwhile; whoever deals with one unlinks it."""
    with contextlib.ExitStack() as stack:
        found = {}
        for path in sorted(root.glob(f"{_PREFIX}*")):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                mark = os.open(path, os.O_RDWR)
                stack.callback(os.close, mark)
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found[path] = path.read_bytes()
        yield found

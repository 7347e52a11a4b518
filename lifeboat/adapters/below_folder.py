"""Names below one folder of this machine, reached directory by directory and through no link (F45)."""

from __future__ import annotations

import os
from typing import Final

from lifeboat.errors import RestoreFailed

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_NAMES: Final = (b"", b".", b"..")


class BelowFolder:
    """Descriptors of the directories on the way to the last path stay open: its neighbour costs nothing more."""

    def __init__(self, top: int) -> None:
        """``top`` is the folder's descriptor; it is closed with this."""
        self.top = top
        self._parent = b""
        self._chain: list[tuple[bytes, int]] = []

    def close(self) -> None:
        self._cut(0)
        os.close(self.top)

    def parent_of(self, path: bytes) -> tuple[int, bytes]:
        """The descriptor of the directory that holds ``path``, and its last name.

        Raises ``RestoreFailed`` for what is no path below the folder, and ``OSError``, also where a link is on the way.
        """
        parent, _, name = path.rpartition(b"/")
        if name in _NO_NAMES or b"\0" in path:
            raise _no_name(path)
        if parent != self._parent:
            self._go(parent, path)
        return (self._chain[-1][1] if self._chain else self.top), name

    def forget(self) -> None:
        """Open everything anew next time: something was renamed."""
        self._cut(0)
        self._parent = b""

    def _go(self, parent: bytes, path: bytes) -> None:
        names = parent.split(b"/") if parent else []
        if any(name in _NO_NAMES for name in names):
            raise _no_name(path)
        kept = 0
        while kept < min(len(names), len(self._chain)) and self._chain[kept][0] == names[kept]:
            kept += 1
        self._cut(kept)
        self._parent = b"/".join(names[:kept])
        for name in names[kept:]:
            at = self._chain[-1][1] if self._chain else self.top
            self._chain.append((name, os.open(name, FOLDER, dir_fd=at)))
            self._parent = b"/".join((*filter(None, (self._parent,)), name))

    def _cut(self, length: int) -> None:
        for _, descriptor in self._chain[length:]:
            os.close(descriptor)
        del self._chain[length:]


def _no_name(path: bytes) -> RestoreFailed:
    return RestoreFailed(f"The index holds a name that is none: {path!r}.")

"""Files of a part into a target, inside the loading child.

The content of each is where the signed index says, with the SHA-256 that it says; nothing is taken from the archive's
own headers, so a crafted archive cannot aim at anything (F43, F45).
"""

from __future__ import annotations

import hashlib
from typing import Any

from lifeboat.adapters.tree_target import Losses, NewFiles
from lifeboat.errors import ChecksumMismatch


class FilesSink:
    """Cuts the wanted files out of a part's plaintext. ``files`` are members of the index as JSON."""

    def __init__(self, new: NewFiles, files: list[dict[str, Any]]) -> None:
        # An empty file has the offset of what follows it, and goes first.
        self._files = sorted(files, key=lambda file: (file["offset"], file["length"]))
        self._new = new
        self._next = 0
        self._position = 0
        self._begun = False
        self.losses = Losses()

    @property
    def complete(self) -> bool:
        """Whether every wanted file is written: what follows in the part is not needed."""
        return self._next == len(self._files)

    def take(self, data: memoryview) -> None:
        files, count = self._files, len(self._files)
        start, position = 0, self._position
        # ``start`` is where in ``data`` the position is; a slice for each step would cost more than the file itself.
        while self._next < count:
            file = files[self._next]
            ahead = file["offset"] - position
            if ahead > 0:
                step = min(ahead, len(data) - start)
                if not step:
                    break
                start, position = start + step, position + step
                continue
            if not self._begun:
                self._new.begin(file)
                self._digest = hashlib.sha256()
                self._begun = True
            left = file["offset"] + file["length"] - position
            piece = data[start : start + left]
            if piece:
                self._digest.update(piece)
                self._new.write(piece)
                start, position = start + len(piece), position + len(piece)
            if len(piece) == left:
                self._end(file)
            elif start == len(data):
                break
        self._position = position

    def finish(self) -> None:
        if not self.complete:
            raise ChecksumMismatch(f"The part ends before file {self._files[self._next]['path']!r}.")
        self.losses = self._new.finish()

    def _end(self, file: dict[str, Any]) -> None:
        if self._digest.hexdigest() != file["sha256"]:
            raise ChecksumMismatch(f"File {file['path']!r} is not what was backed up: another SHA-256.")
        self._new.end()
        self._begun = False
        self._next += 1

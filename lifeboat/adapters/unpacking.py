"""Files of a part into a folder, inside the loading child: only below it, through no link, never over anything.

The content of each is where the signed index says, with the SHA-256 that it says; nothing is taken from the archive's
own headers, so a crafted archive cannot aim at anything (F43, F45).
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Final

from lifeboat.errors import ChecksumMismatch, RestoreFailed
from lifeboat.model.names import name_bytes

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_HOLE: Final = 2**16
"""Zeros of this length are not written: a sparse file stays one, and a disk does not fill with nothing (F44)."""
_ZEROS: Final = bytes(_HOLE)


class FolderSink:
    """Cuts the wanted files out of a part's plaintext. Their folders exist already."""

    def __init__(self, folder: str, files: list[dict[str, Any]]) -> None:
        # An empty file has the offset of what follows it, and goes first.
        self._files = sorted(files, key=lambda file: (file["offset"], file["length"]))
        self._folder = BelowFolder(folder)
        self._next = 0
        self._position = 0
        self._open = -1

    @property
    def complete(self) -> bool:
        """Whether every wanted file is written: what follows in the part is not needed."""
        return self._next == len(self._files)

    def take(self, data: memoryview) -> None:
        while not self.complete:
            file = self._files[self._next]
            if self._position < file["offset"]:
                if not data:
                    return
                data = self._advance(data, file["offset"] - self._position)
                continue
            if self._open < 0:
                self._begin(file)
            piece = data[: file["offset"] + file["length"] - self._position]
            self._write(piece)
            data = self._advance(data, len(piece))
            if self._position == file["offset"] + file["length"]:
                self._end(file)
            elif not data:
                return

    def finish(self) -> None:
        if not self.complete:
            raise ChecksumMismatch(f"The part ends before file {self._files[self._next]['path']!r}.")
        self._folder.close()

    def _advance(self, data: memoryview, count: int) -> memoryview:
        step = min(count, len(data))
        self._position += step
        return data[step:]

    def _begin(self, file: dict[str, Any]) -> None:
        self._digest = hashlib.sha256()
        self._open = self._folder.create(name_bytes(file["path"]))

    def _write(self, piece: memoryview) -> None:
        self._digest.update(piece)
        for begin in range(0, len(piece), _HOLE):
            block = piece[begin : begin + _HOLE]
            if _is_hole(block):
                os.lseek(self._open, len(block), os.SEEK_CUR)
                continue
            while block:
                block = block[os.write(self._open, block) :]

    def _end(self, file: dict[str, Any]) -> None:
        if self._digest.hexdigest() != file["sha256"]:
            raise ChecksumMismatch(f"File {file['path']!r} is not what was backed up: another SHA-256.")
        os.ftruncate(self._open, file["length"])  # it may end in a hole
        settle(self._open, file)
        os.close(self._open)
        self._open = -1
        self._next += 1


def _is_hole(block: memoryview) -> bool:
    # Two looks first, since nearly no block is one.
    return len(block) == _HOLE and not block[0] and not block[-1] and bytes(block) == _ZEROS


def settle(descriptor: int, entry: dict[str, Any]) -> None:
    """Owner, mode and mtime as they were; the owner only where we may give files away."""
    if os.geteuid() == 0 and entry.get("uid") is not None:
        os.fchown(descriptor, entry["uid"], entry["gid"])
    if entry.get("mode") is not None:
        os.fchmod(descriptor, entry["mode"])
    os.utime(descriptor, ns=(entry.get("mtime_ns", 0), entry.get("mtime_ns", 0)))


class BelowFolder:
    """Names below one folder, reached directory by directory and through no link."""

    def __init__(self, folder: str) -> None:
        self._top = os.open(folder, _FOLDER)
        self._parent: bytes | None = None
        self._at = -1

    def close(self) -> None:
        if self._at >= 0:
            os.close(self._at)
        os.close(self._top)

    def parent_of(self, path: bytes) -> tuple[int, bytes]:
        """The descriptor of the directory that holds ``path``, and its last name. The last directory stays open."""
        *names, last = path.split(b"/")
        if any(name in (b"", b".", b"..") for name in (*names, last)) or b"\0" in path:
            raise RestoreFailed(f"The index holds a name that is none: {path!r}.")
        parent = b"/".join(names)
        if parent != self._parent:
            found = os.dup(self._top)
            for name in names:
                below = os.open(name, _FOLDER, dir_fd=found)
                os.close(found)
                found = below
            if self._at >= 0:
                os.close(self._at)
            self._at, self._parent = found, parent
        return self._at, last

    def create(self, path: bytes) -> int:
        """A new, private file, open for writing."""
        parent, name = self.parent_of(path)
        return os.open(name, _NEW, 0o600, dir_fd=parent)

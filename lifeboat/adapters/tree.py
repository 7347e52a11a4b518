"""A file tree to back up, wherever it lies: the narrow interface that packing needs.

Names are bytes, as the system has them, relative to the top and joined by ``/``; nothing here follows a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class EntryKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    """Another name of a file that the walk gave before; ``target`` is that name."""
    SPECIAL = "special"
    """A device, FIFO or socket: counted and skipped (F44)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of a tree. ``size`` in bytes, 0 unless a file; ``mtime_ns`` since 1970, UTC.

    ``mode`` (permission bits with setuid, setgid, sticky), ``uid`` and ``gid`` are None where the tree has none.
    ``etag`` is whatever else changes with the content, empty where there is nothing. ``target`` is what a symlink
    points to, as it is written there, or the first name of a hard link.
    """

    path: bytes
    kind: EntryKind
    size: int = 0
    mtime_ns: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    etag: str = ""
    target: bytes = b""


def walk_order(path: bytes) -> bytes:
    """What a walk is sorted by: name by name from the top, so that a directory comes right before what it holds."""
    return path.replace(b"/", b"\0")


class OpenFile(Protocol):
    """A file that is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end. Raises ``SourceError`` when the source fails."""

    def close(self) -> None: ...


class Tree(Protocol):
    """An open tree. Errors are those of ``lifeboat.errors``: ``SourceUnreachable``, ``SourceDenied`` …"""

    def walk(self) -> Iterator[Entry]:
        """Every entry below the top, in ``walk_order``, the top itself not; memory grows with one directory only."""

    def open(self, entry: Entry) -> OpenFile:
        """Raises ``EntryMissing`` when it is gone, ``SourceDenied`` when it may not be read; follows no link."""

    def look_again(self, path: bytes) -> Entry | None:
        """The entry as it is now; None when it is gone."""


class TreeTarget(Protocol):
    """How to reach a tree. It crosses to child processes by pickle, and shows no secret in its repr."""

    @property
    def label(self) -> str:
        """What people call it: a URL without secrets."""

    def connect(self) -> AbstractContextManager[Tree]: ...

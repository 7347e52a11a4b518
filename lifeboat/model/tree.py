"""What a file tree consists of, before and after it was packed: values only.

Tuples and orjson rather than dataclasses and json, because a tree may have a million files and each is read several
times: 2 µs against 8.

Names are bytes, as the system has them, relative to the top and joined by ``/``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from lifeboat.model.names import name_bytes, name_text


class EntryKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    """Another name of a file that the walk gave before; ``target`` is that name."""
    SPECIAL = "special"
    """A device, FIFO or socket: counted and skipped (F44)."""


class Entry(NamedTuple):
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

    def to_json(self) -> dict[str, Any]:
        """Fields that say something; the path is there always."""
        told: dict[str, Any] = {"path": name_text(self.path), "kind": self.kind.value}
        if self.size or self.kind is EntryKind.FILE:
            told["size"] = self.size
        told["mtime_ns"] = self.mtime_ns
        for name, number in (("mode", self.mode), ("uid", self.uid), ("gid", self.gid)):
            if number is not None:
                told[name] = number
        if self.etag:
            told["etag"] = self.etag
        if self.target:
            told["target"] = name_text(self.target)
        return told

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Entry:
        get = told.get
        return cls(
            name_bytes(told["path"]),
            _KINDS[told["kind"]],
            get("size", 0),
            get("mtime_ns", 0),
            get("mode"),
            get("uid"),
            get("gid"),
            get("etag", ""),
            name_bytes(told["target"]) if "target" in told else b"",
        )


_KINDS: Final = {kind.value: kind for kind in EntryKind}


class Member(NamedTuple):
    """An entry in a backup. A file's content is ``length`` bytes at ``offset`` of part number ``part``.

    ``state`` is ``changed`` for a file that changed while it was read, twice (F46); such a one is read again next time.
    """

    entry: Entry
    part: int = 0
    offset: int = 0
    length: int = 0
    sha256: str = ""
    state: str = ""

    def to_line(self) -> str:
        """One line of the index, without the line feed."""
        told = self.entry.to_json()
        if self.part:
            told |= {"part": self.part, "offset": self.offset, "length": self.length, "sha256": self.sha256}
        if self.state:
            told["state"] = self.state
        return orjson.dumps(told).decode()

    @classmethod
    def from_line(cls, line: str | bytes) -> Member:
        told = orjson.loads(line)
        return cls(
            entry=Entry.from_json(told),
            part=told.get("part", 0),
            offset=told.get("offset", 0),
            length=told.get("length", 0),
            sha256=told.get("sha256", ""),
            state=told.get("state", ""),
        )


def walk_order(path: bytes) -> bytes:
    """What a walk is sorted by: name by name from the top, so that a directory comes right before what it holds."""
    return path.replace(b"/", b"\0")

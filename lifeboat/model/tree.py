"""What a file tree consists of, before and after it was packed: values only.

Tuples and orjson rather than dataclasses and json, because a tree may have a million files and each is read several
times: 2 µs against 8.

Names are bytes, as the system has them, relative to the top and joined by ``/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, NotRequired, TypedDict

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

    def to_line(self) -> str:
        """As one line, without the line feed."""
        return orjson.dumps(self.to_json()).decode()

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Entry:
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

    @classmethod
    def from_line(cls, line: str) -> Entry:
        return cls.from_json(orjson.loads(line))


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
        line = self.entry.to_line()
        if not self.part:
            return line
        return member_line(line, self.part, self.offset, self.length, self.sha256, self.state)

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


class Told(TypedDict):
    """What a line says; see ``Entry`` and ``Member``. ``path`` as ``name_text`` spells it."""

    path: str
    kind: str
    mtime_ns: int
    size: NotRequired[int]
    part: NotRequired[int]
    offset: NotRequired[int]
    length: NotRequired[int]
    sha256: NotRequired[str]
    state: NotRequired[str]


def member_line(entry: str, part: int, offset: int, length: int, sha256: str, state: str = "") -> str:
    """The line of the index for a file whose entry has the line ``entry``: that line, and where its content is."""
    place = f'{entry[:-1]},"part":{part},"offset":{offset},"length":{length},"sha256":"{sha256}"'
    return f'{place},"state":"{state}"}}' if state else place + "}"


def is_same_file(entry: str, member: str) -> bool:
    """Whether the file of the line ``entry`` looks to the last detail as when it became the line ``member``.

    Lines are compared as they are written: two million of them are read twice a day.
    """
    place = len(entry) - 1
    return member.startswith(',"part":', place) and member.startswith(entry[:-1])


def path_in(line: str) -> str:
    """The beginning of a line, path included. Inside the path, each quotation mark has a backslash before it."""
    return line[: line.index(',"kind":"')]


def walk_order(path: bytes) -> bytes:
    """What a walk is sorted by: name by name from the top, so that a directory comes right before what it holds."""
    return path.replace(b"/", b"\0")

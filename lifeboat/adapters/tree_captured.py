"""A tree of a few files that were captured in memory: what a service exported over HTTP becomes one."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from lifeboat.adapters.tree import Entry, EntryKind, shown_path, walk_order
from lifeboat.errors import EntryMissing

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, repr=False)
class CapturedTreeTarget:
    """``files`` by path, all as of ``data_timestamp`` (aware). Both tree and target; what it holds never shows.

    Raises ``ValueError`` for paths that are none: empty, with empty names, or below another file.
    """

    files: Mapping[bytes, bytes]
    data_timestamp: dt.datetime
    label: str = "captured files"

    def __post_init__(self) -> None:
        for path in self.files:
            if any(name in (b"", b".", b"..") for name in path.split(b"/")) or b"\0" in path:
                raise ValueError(f"{shown_path(path)} is no path of a file")
        if both := self._folders() & self.files.keys():
            raise ValueError(f"{shown_path(min(both))} is a file and a folder")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{shown_path(path)}: {len(data)} bytes" for path, data in self.files.items())
        return f"CapturedTreeTarget({sizes})"

    @contextmanager
    def connect(self) -> Iterator[CapturedTreeTarget]:
        yield self

    def walk(self) -> Iterator[Entry]:
        for path in sorted({*self.files, *self._folders()}, key=walk_order):
            entry = self.look_again(path)
            assert entry is not None
            yield entry

    def open(self, entry: Entry) -> io.BytesIO:
        if entry.path not in self.files:
            raise EntryMissing(f"{shown_path(entry.path)} is not among the {self.label}.")
        return io.BytesIO(self.files[entry.path])

    def look_again(self, path: bytes) -> Entry | None:
        moment = (self.data_timestamp - _EPOCH) // dt.timedelta(microseconds=1) * 1000
        if path in self.files:
            return Entry(path, EntryKind.FILE, size=len(self.files[path]), mtime_ns=moment)
        return Entry(path, EntryKind.DIRECTORY, mtime_ns=moment) if path in self._folders() else None

    def _folders(self) -> set[bytes]:
        parts = [path.split(b"/") for path in self.files]
        return {b"/".join(names[:end]) for names in parts for end in range(1, len(names))}

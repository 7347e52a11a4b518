"""Walking a tree that is listed folder by folder: what is the same for servers and for buckets.

The names of one folder are in memory, and of those above it what is still to come. They are packed into bytes: as
objects, a folder with a million files would take half a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from lifeboat.adapters.tree import Entry, EntryKind, shown_path
from lifeboat.errors import EntryMissing, SourceError
from lifeboat.model.patterns import Scope, Selection

Lister = Callable[[bytes, Scope], Iterable[bytes]]
"""The rows of one folder that the scope takes, in any order. Raises ``EntryMissing`` when it is gone."""

_UNKNOWN: Final = "-"


def walked(lister: Lister, selection: Selection, label: str) -> Iterator[Entry]:
    """Every entry in walk order. A folder that vanishes after it was listed is left out with what it held."""
    top = selection.top()
    way = [(b"", top, _last_first(lister(b"", top), b"", label))]
    while way:
        folder, scope, rows = way[-1]
        if not rows:
            way.pop()
            continue
        entry = unpacked(folder, rows.pop())
        yield entry
        below = scope.below(_name(entry.path)) if entry.kind is EntryKind.DIRECTORY else None
        if below is not None:
            with suppress(EntryMissing):
                way.append((entry.path, below, _last_first(lister(entry.path, below), entry.path, label)))


def joined(folder: bytes, name: bytes, label: str) -> bytes:
    """The path of ``name`` in ``folder``. Raises ``SourceError`` for what no file can be called (F43)."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise SourceError(
            f"{shown_path(folder)} in {label} holds something called {shown_path(name)}, which is no name of a file.",
            hint="It could not be restored as a file. Rename it at its source, or leave its folder out with an "
            "exclude pattern.",
        )
    return folder + b"/" + name if folder else name


def taken(scope: Scope, name: bytes, *, is_folder: bool) -> bool:
    """Whether the entry of that name belongs to the source."""
    return scope.keeps(name) if is_folder else scope.takes(name)


def packed(entry: Entry) -> bytes:
    """A row; rows of one folder sort as their names do. A link's target is not in it."""
    owner = (_UNKNOWN if value is None else str(value) for value in (entry.mode, entry.uid, entry.gid))
    told = (str(entry.kind), str(entry.size), str(entry.mtime_ns), *owner, entry.etag)
    return _name(entry.path) + b"\0" + "\0".join(told).encode()


def unpacked(folder: bytes, row: bytes) -> Entry:
    name, told = row.split(b"\0", 1)
    kind, size, mtime_ns, mode, uid, gid, etag = told.decode().split("\0")
    return Entry(
        path=folder + b"/" + name if folder else name,
        kind=EntryKind(kind),
        size=int(size),
        mtime_ns=int(mtime_ns),
        mode=_number(mode),
        uid=_number(uid),
        gid=_number(gid),
        etag=etag,
    )


def _number(text: str) -> int | None:
    return None if text == _UNKNOWN else int(text)


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _last_first(listed: Iterable[bytes], folder: bytes, label: str) -> list[bytes]:
    rows = sorted(listed, reverse=True)
    names = (row.partition(b"\0")[0] for row in rows)
    before = None
    for name in names:
        if name == before:
            raise SourceError(
                f"{shown_path(joined(folder, name, label))} in {label} is there twice, as a file and a folder.",
                hint="No file system can hold both. Rename one of them, or leave it out with an exclude pattern.",
            )
        before = name
    return rows

"""An Azure file share as a tree to back up (``lifeboat/adapters/tree.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from lifeboat.adapters.azure_files import AzureShareFileSystem
from lifeboat.adapters.azure_files_share import AzureShare
from lifeboat.errors import EntryChanged, EntryMissing
from lifeboat.model.patterns import Scope, Selection
from lifeboat.model.tree import Entry, EntryKind


@dataclass(frozen=True)
class AzureShareTarget:
    """A share, live or as of a snapshot, or one ``folder`` of it, with all in it that ``scope`` takes: the state of
    matching at its top."""

    share: AzureShare
    scope: Scope = field(default_factory=lambda: Selection().top())
    folder: str = ""

    @property
    def label(self) -> str:
        return self.share.label

    @contextmanager
    def connect(self) -> Iterator[AzureShareTree]:
        """One connection pool; whether the share is there shows with the first call."""
        files = AzureShareFileSystem.of(self.share)
        try:
            yield AzureShareTree(files, self.scope, self.folder)
        finally:
            files.close()


class AzureShareTree:
    """``Tree`` over a share. A share knows files and folders only: no links, no modes."""

    def __init__(self, files: AzureShareFileSystem, scope: Scope, folder: str = "") -> None:
        self._files = files
        self._scope = scope
        self._above = f"{folder}/" if folder else ""

    def walk(self) -> Iterator[Entry]:
        """Depth first; one request per 5000 entries of a folder, none per entry.

        A folder that vanishes from a live share after it was listed is left out with what it held; from a snapshot,
        and at the top, that is an error.
        """
        yield from self._below(b"", self._scope)

    def open(self, entry: Entry) -> AzureTreeFile:
        """Raises ``EntryMissing`` or ``SourceDenied`` at once, since the first range is read here."""
        frozen = self._files.at.snapshot is not None
        etag = entry.etag if frozen else ""
        return AzureTreeFile(self._files.ranges(self._name(entry.path), etag=etag), frozen=frozen)

    def look_again(self, path: bytes) -> Entry | None:
        """One request, and one more for a folder."""
        try:
            return _entry(path, _row(self._files.info(self._name(path))))
        except EntryMissing:
            return None

    def _name(self, path: bytes) -> str:
        # The service's names are Unicode.
        return (self._above + path.decode()).rstrip("/")

    def _below(self, folder: bytes, scope: Scope) -> Iterator[Entry]:
        # Rows are packed: as dictionaries, a folder with a million files would take a gigabyte.
        for row in self._rows(folder):
            name = row.partition(b"\0")[0]
            entry = _entry(folder + b"/" + name if folder else name, row)
            if entry.kind is not EntryKind.DIRECTORY:
                if scope.takes(name):
                    yield entry
            elif scope.keeps(name):
                yield entry
                below = scope.below(name)
                if below is not None:
                    yield from self._below(entry.path, below)

    def _rows(self, folder: bytes) -> list[bytes]:
        try:
            # A name holds no NUL, so this is the order of names, and with the depth first that of walk_order.
            return sorted(_row(info) for info in self._files.entries(self._name(folder)))
        except EntryMissing:
            if self._files.at.snapshot or not folder:
                raise
            return []


class AzureTreeFile:
    """A file that is read once. A live one that changes meanwhile just ends: ``look_again`` tells (F46)."""

    def __init__(self, ranges: Iterator[bytes], *, frozen: bool) -> None:
        self._ranges = ranges
        self._frozen = frozen
        self._rest = memoryview(next(ranges, b""))

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = memoryview(self._next())
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def close(self) -> None:
        self._rest = memoryview(b"")
        self._ranges = iter(())

    def _next(self) -> bytes:
        if self._frozen:
            return next(self._ranges, b"")
        with suppress(EntryChanged, EntryMissing):
            return next(self._ranges, b"")
        return b""


def _row(info: dict[str, object]) -> bytes:
    name = str(info["name"]).rpartition("/")[2]
    return "\0".join([name, *(str(info[key]) for key in ("type", "size", "mtime_ns", "etag"))]).encode()


def _entry(path: bytes, row: bytes) -> Entry:
    _, kind, size, mtime_ns, etag = row.decode().split("\0")
    return Entry(
        path,
        EntryKind(kind),
        size=int(size),
        mtime_ns=int(mtime_ns),
        # A folder's changes with every file in it, and says nothing of its content.
        etag=etag if kind == EntryKind.FILE else "",
    )

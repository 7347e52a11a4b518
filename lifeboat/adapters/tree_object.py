"""A tree of objects in a bucket or container: what S3 and Azure have in common, and what one is not told twice.

A service knows keys only. What stands in a key before a ``/`` is a folder, and an empty object whose key ends with
one is a marker of a folder. Folders are listed one by one, a thousand keys or more for a request: sizes, times and
etags come with them, and nothing is asked about a single object.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from lifeboat import clock
from lifeboat.adapters.tree import Entry, EntryKind, shown_path
from lifeboat.adapters.tree_object_errors import Answer, Overwritten, changed, empty, explained, shortened
from lifeboat.adapters.tree_walk import joined, packed, taken, walked
from lifeboat.errors import EntryChanged, SourceError, SourceUnreachable
from lifeboat.model.patterns import Scope, Selection

Result = TypeVar("Result")

RANGE: Final = 8 * 2**20
"""Bytes of one read. An open file holds two of them: one being read, one on its way."""
LONGEST_NAME: Final = 255
"""Bytes of a name that file systems can hold (NAME_MAX); a key may have a thousand."""
CONNECT_TIMEOUT: Final = 20
_GOODBYE: Final = 5.0
_LONGEST_WAIT: Final = 60.0


@dataclass(frozen=True)
class Patience:
    """How long an answer is waited for, and how often asked for again where none came, a broken one, or only "busy"."""

    retries: int = 5
    first_wait: float = 1.0
    """Seconds; each further wait is twice as long, up to a minute."""
    silence: float = 60
    """Seconds without a byte until an answer counts as broken off."""

    def waits(self) -> Iterator[float]:
        for attempt in range(self.retries):
            yield min(self.first_wait * 2.0**attempt, _LONGEST_WAIT)


class Found(NamedTuple):
    """What a service says of an object. ``mtime`` in whole seconds since 1970: headers tell no more, listings may."""

    key: str
    size: int
    mtime: int
    etag: str
    is_folder: bool = False
    """Whether it only marks a folder of that name, without a ``/`` at the end."""


class Page(NamedTuple):
    """A piece of a folder's listing. ``folders`` are prefixes and end with ``/``; no ``token`` comes with the last."""

    folders: list[str]
    objects: list[Found]
    token: str


class Bucket(Protocol):
    """A bucket or container, in the hands of a library. Whatever ``refusal`` explains may be raised by all of it."""

    loop: asyncio.AbstractEventLoop
    """Where its coroutines must run."""

    async def page(self, prefix: str, token: str) -> Page: ...

    async def find(self, key: str) -> Found | None:
        """The object as it is now; None if there is none."""

    async def read(self, key: str, begin: int, length: int, etag: str) -> bytes:
        """The bytes as they are stored, one more at most. ``Overwritten``, or 412, when its etag is another one."""

    async def close(self) -> None: ...

    def refusal(self, error: BaseException) -> Answer | None:
        """What ``error`` says of the service; None if it is no business of the service's."""


@dataclass(frozen=True)
class Place:
    """Which part of a bucket is the tree. ``prefix`` is empty or ends with ``/``."""

    label: str
    prefix: str
    selection: Selection
    patience: Patience


class ObjectTree:
    """``Tree`` over a bucket. For one thread at a time."""

    def __init__(self, bucket: Bucket, place: Place) -> None:
        self._bucket = bucket
        self.label = place.label
        self._prefix = place.prefix
        self._selection = place.selection
        self._patience = place.patience

    def walk(self) -> Iterator[Entry]:
        """One request for each folder, or for each thousand keys of a larger one; none for an object.

        Raises ``SourceMissing`` where nothing at all is found: a prefix that nobody uses looks the same as a wrong one.
        """
        return walked(self._rows, self._selection, self.label)

    def open(self, entry: Entry) -> ObjectFile:
        """The first bytes are fetched here. That an object was overwritten since it was listed shows at once, but is
        raised by the first ``read``: here it would say that there is no file of the name any more."""
        return ObjectFile(self, entry)

    def look_again(self, path: bytes) -> Entry | None:
        """One request, and one more where no object has the name: then it may be a folder's."""
        key = self._key(path)
        found = self._patiently(path, partial(self._bucket.find, key))
        if found is not None and not found.is_folder:
            return _file(path, found)
        page = self._patiently(path, partial(self._bucket.page, f"{key}/", ""))
        there = found or page.objects or page.folders
        return Entry(path, EntryKind.DIRECTORY) if there else None

    def unchanged(self, entry: Entry) -> bool:
        """Whether the object has the etag that it was listed with. Raises ``EntryMissing`` when it is gone."""
        key = self._key(entry.path)
        found = self._patiently(entry.path, partial(self._bucket.find, key))
        if found is None:
            raise explained(Answer(404, "NotFound"), self.label, entry.path)
        return found.etag == entry.etag

    def begin(self, entry: Entry, offset: int) -> concurrent.futures.Future[bytes]:
        """Asks for the next bytes of a file; ``range`` waits for them."""
        length = min(RANGE, entry.size - offset)
        reading = self._bucket.read(self._key(entry.path), offset, length, entry.etag)
        return asyncio.run_coroutine_threadsafe(reading, self._bucket.loop)

    def range(self, entry: Entry, offset: int, begun: concurrent.futures.Future[bytes] | None) -> bytes:
        """The bytes at ``offset``, as many as there must be; ``begun`` is an earlier request for them."""
        wanted = min(RANGE, entry.size - offset)
        first = [begun] if begun else []

        def whole() -> bytes:
            data = self._result(entry.path, first.pop() if first else self.begin(entry, offset))
            if len(data) != wanted:
                # A short body is never the end of the file, nor is a long one its beginning.
                raise shortened(self.label, entry.path, len(data), wanted)
            return data

        try:
            return self._repeated(whole)
        except EntryChanged:
            # Azure says that the condition does not hold before it says that nothing is there.
            self.unchanged(entry)
            raise

    def _patiently(self, path: bytes, ask: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The answer to a request about ``path``; repeated as ``Patience`` says."""
        return self._repeated(
            lambda: self._result(path, asyncio.run_coroutine_threadsafe(ask(), self._bucket.loop))
        )

    def close(self) -> None:
        # What a connection says when it ends is no evidence of anything.
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._bucket.close(), self._bucket.loop).result(_GOODBYE)

    def _repeated(self, attempt: Callable[[], Result]) -> Result:
        for wait in self._patience.waits():
            try:
                return attempt()
            except SourceUnreachable:
                clock.sleep(wait)
        return attempt()

    def _result(self, path: bytes, future: concurrent.futures.Future[Result]) -> Result:
        # Not fsspec's sync(): that returns None for a call which was cancelled (reliability §0.4).
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise explained(Answer(0, "Cancelled"), self.label, path) from None
        except Overwritten:
            raise changed(self.label, path) from None
        except Exception as error:
            answer = self._bucket.refusal(error)
            if answer is None:
                raise
            raise explained(answer, self.label, path) from None
        finally:
            future.cancel()  # ends the work where the wait for it was interrupted

    def _key(self, path: bytes) -> str:
        return self._prefix + path.decode()

    def _rows(self, folder: bytes, scope: Scope) -> Iterator[bytes]:
        prefix = self._key(folder) + "/" if folder else self._prefix
        marked: set[str] = set()
        seen = False
        for page in self._pages(folder, prefix):
            seen = seen or bool(page.folders or page.objects)
            for found in page.objects:
                if found.key == prefix and not found.size:
                    continue  # the marker of this folder
                name = found.key.removeprefix(prefix)
                if found.is_folder:
                    marked.add(name)
                yield from self._row(folder, name, scope, found)
            # Sorted by key, a marker comes before its folder.
            for name in (key.removeprefix(prefix)[:-1] for key in page.folders):
                if name not in marked:
                    yield from self._row(folder, name, scope)
        if not seen and not folder and prefix:
            raise empty(self.label)

    def _row(self, folder: bytes, name: str, scope: Scope, found: Found | None = None) -> Iterator[bytes]:
        """Nothing if the source does not take it: what no file can be called may be left out by a pattern."""
        is_folder = found is None or found.is_folder
        encoded = name.encode()
        if not taken(scope, encoded, is_folder=is_folder):
            return
        path = joined(folder, encoded, self.label)
        if len(encoded) > LONGEST_NAME:
            raise SourceError(
                f"{shown_path(path)} in {self.label} has a name of {len(encoded)} bytes; files have at most "
                f"{LONGEST_NAME}.",
                hint="It could not be restored as a file. Rename it at its source, or leave it out with an exclude "
                "pattern.",
            )
        yield packed(_file(path, found) if found and not is_folder else Entry(path, EntryKind.DIRECTORY))

    def _pages(self, folder: bytes, prefix: str) -> Iterator[Page]:
        token = ""
        while True:
            page = self._patiently(folder, partial(self._bucket.page, prefix, token))
            yield page
            if not page.token:
                return
            token = page.token


class ObjectFile:
    """An object that is read once, from its beginning, as it was when it was listed."""

    def __init__(self, tree: ObjectTree, entry: Entry) -> None:
        self._tree = tree
        self._entry = entry
        self._offset = 0
        self._begun: concurrent.futures.Future[bytes] | None = None
        self._rest = memoryview(b"")
        self._changed = False
        try:
            if entry.size:
                self._fetch()
            else:
                self._changed = not tree.unchanged(entry)
        except EntryChanged:
            self._changed = True

    def read(self, size: int, /) -> bytes:
        """Raises ``EntryChanged`` when the object was overwritten, ``EntryMissing`` when it is gone."""
        if self._changed:
            raise changed(self._tree.label, self._entry.path)
        if not self._rest and self._offset < self._entry.size:
            self._fetch()
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def close(self) -> None:
        self._rest = memoryview(b"")
        self._offset = self._entry.size
        if self._begun:
            self._begun.cancel()

    def _fetch(self) -> None:
        begun, self._begun = self._begun, None
        data = self._tree.range(self._entry, self._offset, begun)
        self._rest = memoryview(data)
        self._offset += len(data)
        if self._offset < self._entry.size:
            self._begun = self._tree.begin(self._entry, self._offset)


def _file(path: bytes, found: Found) -> Entry:
    return Entry(path, EntryKind.FILE, size=found.size, mtime_ns=found.mtime * 10**9, etag=found.etag)

"""Bytes of single files, from and to an Azure file share, in ranges of bounded size."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.fileshare import ShareFileClient

from lifeboat import clock
from lifeboat.adapters.azure_files_client import RANGE, broke_off, translated
from lifeboat.errors import EntryChanged, LifeboatError, SourceError, SourceUnreachable

PARTIAL: Final = ".lifeboat-partial-"
"""How files begin that are not whole yet; left-over ones may be deleted."""
_LARGEST: Final = 2**62


@dataclass(frozen=True)
class _Range:
    data: bytes
    etag: str
    file_size: int


@dataclass(frozen=True)
class Reader:
    """Reads one file; ``retries`` and ``first_wait`` as in ``AzureShare``."""

    client: ShareFileClient
    label: str
    path: str
    retries: int
    first_wait: float

    def ranges(
        self, start: int = 0, end: int | None = None, *, etag: str = "", size: int = 0
    ) -> Iterator[bytes]:
        """The file's bytes from ``start`` to before ``end``, as they are stored, at most 4 MiB at a time.

        Raises ``EntryChanged`` if the file is written meanwhile, or is not of the ``etag`` and ``size`` that a
        listing said (F46); ``EntryMissing`` if it is gone; ``SourceUnreachable`` if answers break off again and again.
        """
        position, limit = start, _LARGEST if end is None else end
        while position < limit:
            part = self._patiently(position, min(RANGE, limit - position))
            if part is None:
                if position > start or size > start:
                    raise self._changed()
                return
            if etag and part.etag != etag:
                raise self._changed()
            etag, limit = part.etag, min(limit, part.file_size)
            self._count(part.data, min(RANGE, limit - position))
            yield part.data
            position += len(part.data)

    def _patiently(self, offset: int, length: int) -> _Range | None:
        """One range; None beyond the end of the file. The SDK does not repeat an answer that broke off."""
        wait = self.first_wait
        for attempt in range(self.retries + 1):
            try:
                return self._range(offset, length)
            except AzureError as error:
                if _beyond_the_end(error):
                    return None
                if not broke_off(error) or attempt == self.retries:
                    with translated(self.label, self.path):
                        raise
            clock.sleep(wait)
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _range(self, offset: int, length: int) -> _Range:
        # decompress: a file stored with Content-Encoding gzip is those bytes, not what is inside.
        answer = self.client.download_file(offset, length, decompress=False, max_concurrency=1)
        content_range = str(answer.properties.content_range)
        # One by one: chunks() gives its length in bytes, for which join would set 8 bytes aside each.
        data = b"".join(piece for piece in answer.chunks())
        return _Range(data, _bare(answer.properties.etag), int(content_range.rpartition("/")[2]))

    def _count(self, data: bytes, wanted: int) -> None:
        if len(data) != wanted:
            raise SourceUnreachable(
                f"{self.path!r} on {self.label}: {len(data)} bytes came where {wanted} were asked for.",
                hint="Something between here and Azure shortens answers; look for a proxy.",
            )

    def _changed(self) -> EntryChanged:
        return EntryChanged(
            f"{self.path!r} on {self.label} was written while it was read.",
            hint="Read from a snapshot (`snapshot: own`), or declare the source `consistency: live`.",
        )


@dataclass(frozen=True)
class Writer:
    """Writes one file under another name first, and gives it its own when it is whole."""

    final: str
    partial: ShareFileClient
    label: str

    def write(
        self, size: int, chunks: Iterable[bytes], *, create_only: bool, mtime: dt.datetime | None
    ) -> None:
        """``size`` bytes; raises ``EntryExists`` if the name is taken and ``create_only``.

        Creating a file in Azure Files replaces what is there; only a rename can be told not to. So the name is
        taken in one step, and a file that is cut off never stands under its real name.
        """
        with translated(self.label, self.final), self.removed_on_failure():
            self.partial.create_file(size, file_last_write_time=mtime)
            offset = 0
            for piece in _pieces(chunks):
                self.put(offset, piece, mtime)
                offset += len(piece)
            if offset != size:
                raise SourceError(
                    f"{self.final!r} for {self.label}: {offset} bytes came where {size} were announced.",
                    hint="The file changed while it was sent; send it again.",
                )
            self.commit(create_only=create_only, mtime=mtime)

    def start(self) -> None:
        """An empty file, to grow with ``append``."""
        with translated(self.label, self.final):
            self.partial.create_file(0)

    def append(self, offset: int, data: bytes) -> None:
        """Any number of bytes, where the file ends; a file must be as long as what is put into it."""
        with translated(self.label, self.final):
            self.partial.resize_file(offset + len(data))
        for piece in _pieces([data]):
            self.put(offset, piece)
            offset += len(piece)

    def put(self, offset: int, piece: bytes, mtime: dt.datetime | None = None) -> None:
        """At most 4 MiB, within the file's size."""
        with translated(self.label, self.final):
            mode: Literal["preserve", "now"] = "preserve" if mtime else "now"
            self.partial.upload_range(piece, offset, len(piece), file_last_write_mode=mode)

    def commit(self, *, create_only: bool, mtime: dt.datetime | None = None) -> None:
        """Give the file its name."""
        with translated(self.label, self.final):
            self.partial.rename_file(
                self.final, overwrite=not create_only, file_last_write_time=mtime or "preserve"
            )

    def discard(self) -> None:
        """Remove what is not whole, if it is there; this is the only deletion of a file there is."""
        with translated(self.label, self.final), suppress(ResourceNotFoundError):
            self.partial.delete_file()

    @contextmanager
    def removed_on_failure(self) -> Iterator[None]:
        """Around all that may fail: what is left then is removed, or named in a note of the error."""
        try:
            yield
        except BaseException as error:
            try:
                self.discard()
            except LifeboatError as second:
                error.add_note(
                    f"The partial file {self.partial.file_name!r} may be left behind: {second.message}"
                )
            raise


def partial_name(path: str) -> str:
    """A name beside ``path`` that nobody else has."""
    folder, _, _ = path.rpartition("/")
    return f"{folder}/{PARTIAL}{uuid.uuid4().hex}".lstrip("/")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for begin in range(0, len(chunk), RANGE):
            yield chunk[begin : begin + RANGE]


def _bare(etag: str) -> str:
    return etag.strip('"')


def _beyond_the_end(error: AzureError) -> bool:
    return isinstance(error, HttpResponseError) and error.status_code == 416

"""Child process: one sealed part from the store → age → zstd → COPY into tables, or a program's standard input.

Runs as ``python -m lifeboat.adapters.loading_child`` with a job from ``loading.load``. age hands out plaintext before
the end of the file is authenticated (reliability §3.3): so tables are loaded inside one transaction, committed only
after length, SHA-256, age's and zstd's own ends, and every table's digest and rows were found right.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import pyrage
import zstandard

from lifeboat.adapters.child_side import Lifeline, carry_out, tell
from lifeboat.adapters.piece_reader import PieceReader
from lifeboat.adapters.plain_sinks import FileSink, ProgramSink
from lifeboat.adapters.store import StoreTarget
from lifeboat.adapters.told_content import ContentFiles, RowSumFiles
from lifeboat.adapters.tree_target import NewFiles, RestoreTarget
from lifeboat.adapters.unpacking import FilesSink
from lifeboat.errors import ChecksumMismatch, RestoreFailed
from lifeboat.model.listing import unpacked_lines

if TYPE_CHECKING:
    from lifeboat.adapters.table_sink import Tables

REPORT_EVERY = 8 * 2**20
TOGETHER = 2**17
"""Compressed bytes that are unpacked at once."""


class SealedReader(PieceReader):
    """The object on the store; hashes and counts what it hands out.

    Not ``hashing``, it only hands out: for files that have a SHA-256 each, of which the rest of a part is not read.
    """

    def __init__(self, chunks: Iterator[bytes], *, hashing: bool = True) -> None:
        self._digest = hashlib.sha256()
        self.size = 0
        super().__init__(self._counted(chunks) if hashing else chunks)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    def verify(self, job: dict[str, Any]) -> None:
        while self.read(2**20):
            pass
        if (self.size, self._digest.hexdigest()) != (job["size"], job["sha256"]):
            raise ChecksumMismatch(
                f"{job['name']} is not what was signed: {self.size} bytes, expected {job['size']}, or another SHA-256.",
                hint="Nothing of it was kept. Restore an older backup, or this one from the second copy.",
            )


class Sink(Protocol):
    def take(self, data: memoryview) -> None: ...

    def finish(self) -> None: ...


class _Enough(Exception):
    """Every wanted file is written, each with the SHA-256 of the signed index: the rest of the part is not read."""


class Unpacked:
    """Where age writes: zstd's other end, in front of a sink.

    age writes 8 KiB at a time, for each of which hashing and writing would cost a call: they go on together.
    """

    def __init__(self, sink: Sink) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._zstd = zstandard.ZstdDecompressor().decompressobj()
        self._sink = sink
        self._told = 0
        self.total = 0
        self.error: Exception | None = None

    def write(self, data: bytes) -> int:
        if self.error:
            raise self.error  # age offers what it holds once more while it gives up
        self._held.append(data)
        self._size += len(data)
        if self._size >= TOGETHER:
            self.drain()
        return len(data)

    def drain(self) -> None:
        """Hand on what is held, at the end at the latest."""
        if not self._held:
            return
        data, self._held, self._size = b"".join(self._held), [], 0
        try:
            plain = self._zstd.decompress(data)
            self._sink.take(memoryview(plain))
            if isinstance(self._sink, FilesSink) and self._sink.complete:
                raise _Enough
        except Exception as error:
            self.error = error
            raise
        self.total += len(plain)
        if self.total - self._told >= REPORT_EVERY:
            self._told = self.total
            tell("progress", plain_bytes=self.total)

    def flush(self) -> None:
        """Nothing is buffered here; age calls it."""

    def verify(self, name: str) -> None:
        # zstandard takes a truncated frame without a word (reliability §3.6).
        if not self._zstd.eof:
            raise ChecksumMismatch(f"{name} ends in the middle of its compressed stream.")


def load(job: dict[str, Any]) -> dict[str, Any]:
    target: StoreTarget = pickle.loads(base64.b64decode(job["store"]))  # noqa: S301 - written by our own parent process
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(target.connect())
        tables = stack.enter_context(_tables(job)) if job["tables"] else None
        reader = SealedReader(store.read(job["name"]), hashing=not job["files"])
        sink = stack.enter_context(_sink(job, tables))
        unpacked = Unpacked(sink)
        try:
            pyrage.decrypt_io(
                reader, unpacked, [pyrage.x25519.Identity.from_str(text) for text in job["identities"]]
            )
            unpacked.drain()
        except Exception as error:  # noqa: BLE001 - translated, never swallowed
            if isinstance(unpacked.error, _Enough) and isinstance(sink, FilesSink):
                sink.finish()
                return _result(unpacked, sink)
            failure = reader.error or unpacked.error
            if tables and failure and tables.refused(failure):
                reader.verify(
                    job
                )  # another part in its place: that is the cause, the server's words its effect
            if failure:
                raise failure from None
            if job["files"]:
                reader = SealedReader(store.read(job["name"]))
            reader.verify(job)  # a damaged header looks like another's: what was stored comes first
            raise _explained(error, job["name"]) from None
        if not job["files"]:
            reader.verify(job)
        unpacked.verify(job["name"])
        sink.finish()
        if tables is not None:
            tables.commit(*job["note"])
    return _result(unpacked, sink)


def _tables(job: dict[str, Any]) -> contextlib.AbstractContextManager[Tables]:
    # psycopg takes longer to import than most parts take to load, and files need none.
    from lifeboat.adapters.table_sink import tables_of

    return tables_of(job)


def _result(unpacked: Unpacked, sink: Sink) -> dict[str, Any]:
    losses = sink.losses if isinstance(sink, FilesSink) else {}
    return {"plain_bytes": unpacked.total, "losses": losses}


@contextlib.contextmanager
def _sink(job: dict[str, Any], tables: Tables | None) -> Iterator[Sink]:
    if tables is not None:
        yield tables
    elif job["files"]:
        with _new_files(job) as new:
            yield FilesSink(
                new, [orjson.loads(line) for line in unpacked_lines(base64.b64decode(job["files"]))]
            )
    else:
        yield FileSink(job["file"]) if job["file"] else ProgramSink(job["argv"], job["environment"])


@contextlib.contextmanager
def _new_files(job: dict[str, Any]) -> Iterator[NewFiles]:
    if not job["target"]:
        yield RowSumFiles() if job["row_sum"] else ContentFiles()
        return
    target: RestoreTarget = pickle.loads(base64.b64decode(job["target"]))  # noqa: S301 - from our own parent process
    with (
        target.connect() as session,
        contextlib.closing(session.files(os.fsencode(job["folder"]), again=job["again"])) as new,
    ):
        yield new


def _explained(error: Exception, name: str) -> Exception:
    text = str(error)
    if "No matching keys" in text or "no matching" in text.lower():
        return RestoreFailed(
            f"The identity at hand does not open {name}.",
            hint="`lifeboat show` lists the recipients of the backup; use the identity of one of them.",
        )
    if isinstance(error, pyrage.DecryptError | OSError | zstandard.ZstdError):
        return ChecksumMismatch(f"{name} does not decrypt: {text}")
    return error


def main() -> None:
    """Job after job, until the run ends: starting costs more than most parts do."""
    lifeline = Lifeline()
    while True:
        carry_out(lifeline.job(), load)


if __name__ == "__main__":
    main()

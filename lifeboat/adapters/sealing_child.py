"""Child process: producers' bytes → SHA-256 per segment → zstd → age → one sealed part in the spool.

Runs as ``python -m lifeboat.adapters.sealing_child`` with a job from ``sealing.seal``. Plaintext lives only
in this process's memory. The part is finished only if every producer ended with status 0 and every byte is
accounted for: pyrage can lose its last flush and call it success (reliability §0.1, F12).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pyrage
import zstandard

from lifeboat.adapters.child_side import Lifeline, tell
from lifeboat.adapters.memory import keep_freed_memory
from lifeboat.adapters.packing import pack_files
from lifeboat.adapters.piece_reader import PieceReader
from lifeboat.adapters.producers import (
    Discard,
    EndOfFile,
    EndOfStream,
    Framing,
    NoFile,
    Piece,
    Pieces,
    ProducerEndedBadly,
    WholeFile,
    run_program,
)
from lifeboat.adapters.segments import Segments
from lifeboat.model.sealed import age_length, parse_age_header

GRANT = 8 * 2**20
"""Sealed bytes written between two permissions of the spool; must equal ``spool.GRANT``."""


class Producers(PieceReader):
    """The producers' output, one after the other, compressed."""

    def __init__(self, jobs: list[dict[str, Any]], *, level: int, window_log: int) -> None:
        self._jobs = jobs
        settings = zstandard.ZstdCompressionParameters.from_level(
            level, window_log=window_log, write_checksum=True
        )
        self._zstd = zstandard.ZstdCompressor(compression_params=settings).compressobj()
        self.segments = Segments(next((job["part"] for job in jobs if job["kind"] == "pack"), None))
        self.complaints: list[str] = []
        self.compressed = 0
        self._output = self._compressed()
        super().__init__(self._output)

    def close(self) -> None:
        """End the producer that still runs, when the part was given up."""
        self._output.close()

    def _compressed(self) -> Generator[bytes, None, None]:
        for job in self._jobs:
            with contextlib.closing(self._pieces_of(job)) as pieces:
                for piece in pieces:
                    if data := self._zstd.compress(self._accounted(piece)):
                        self.compressed += len(data)
                        yield data
        data = self._zstd.flush()
        self.compressed += len(data)
        yield data

    def _accounted(self, piece: Piece) -> bytes | bytearray | memoryview:
        """The bytes of a piece, after its stream's books were kept."""
        match piece:
            case EndOfStream():
                self.segments.end(piece.rows)
            case WholeFile():
                return self.segments.whole_file(piece)
            case EndOfFile():
                self.segments.end_file(piece)
            case NoFile():
                self.segments.no_file(piece)
            case Discard():
                self.segments.discard()
            case Framing():
                self.segments.skip(piece.data)
                return piece.data
            case _:
                self.segments.add(piece)
                return piece
        return b""

    def _pieces_of(self, job: dict[str, Any]) -> Pieces:
        match job["kind"]:
            case "program":
                return run_program(job, self.complaints)
            case "pack":
                return pack_files(job, self.complaints)
            case _:
                # asyncpg takes longer to import than most parts take to seal, and files need none.
                from lifeboat.adapters.copy_streams import copy_tables

                return copy_tables(job, self.complaints)


class SealedFile:
    """Where age writes: counts and hashes, keeps the first error, asks the spool for room."""

    def __init__(self, path: str, lifeline: Lifeline, producers: Producers) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._lifeline = lifeline
        self._producers = producers
        self._granted = 0
        self._digest = hashlib.sha256()
        self.head = b""
        self.size = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        if self.size + len(data) > self._granted:
            segments = self._producers.segments
            tell("want", sealed=self.size, plain=segments.total)
            self._lifeline.wait_for_grant()
            self._granted += GRANT
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.error = error
            raise
        if len(self.head) < 65_536:
            self.head += data[:65_536]
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here; age calls it."""

    def close(self) -> str:
        """Make it read-only; returns the SHA-256 of what was written.

        Not forced to the disk: a spool is of no use to anybody after a crash, the read-back compares every byte with
        this digest, and what is sent before the system writes it out is never written at all (1.2 GB: 28 s, not 31).
        """
        os.fchmod(self._descriptor, 0o400)
        if os.fstat(self._descriptor).st_size != self.size:
            raise OSError(
                f"the file holds {os.fstat(self._descriptor).st_size} bytes, {self.size} were written"
            )
        os.close(self._descriptor)
        return self._digest.hexdigest()


def seal(job: dict[str, Any], lifeline: Lifeline) -> dict[str, Any]:
    """Seal one part; raises with the part still on disk (``main`` removes it)."""
    recipients = [pyrage.x25519.Recipient.from_str(recipient) for recipient in job["recipients"]]
    producers = Producers(job["producers"], level=job["level"], window_log=job["window_log"])
    output = SealedFile(job["output"], lifeline, producers)
    try:
        pyrage.encrypt_io(producers, output, recipients)
    except pyrage.EncryptError as error:
        raise producers.error or output.error or error from None
    finally:
        producers.close()
    if output.error is not None:
        raise output.error
    digest = output.close()
    header = parse_age_header(output.head)
    expected = age_length(header.length, producers.compressed)
    if (
        not producers.finished
        or producers.segments.pending
        or output.size != expected
        or header.x25519_stanzas != len(recipients)
    ):
        raise ValueError(
            f"the sealed part has {output.size} bytes and {header.x25519_stanzas} recipients, "
            f"expected {expected} and {len(recipients)}"
        )
    return {
        "size": output.size,
        "sha256": digest,
        "plain_bytes": producers.segments.total,
        "segments": producers.segments.streams,
        "files": producers.segments.files(),
        "complaints": [text for text in producers.complaints if text],
    }


def main() -> None:
    """Job after job, until the run ends: starting costs more than most parts do."""
    keep_freed_memory()
    lifeline = Lifeline()
    while True:
        carry_out(lifeline.job(), lifeline)


def carry_out(job: dict[str, Any], lifeline: Lifeline) -> None:
    try:
        result = seal(job, lifeline)
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
        with contextlib.suppress(FileNotFoundError):
            Path(job["output"]).unlink()
        kind = "producer" if isinstance(error, ProducerEndedBadly) else "sealing"
        number = error.errno if isinstance(error, OSError) else None
        tell("failed", kind=kind, message=str(error), errno=number)
        return
    tell("done", **result)


if __name__ == "__main__":
    main()

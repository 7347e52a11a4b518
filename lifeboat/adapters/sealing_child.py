"""Child process: producers' bytes → SHA-256 per segment → zstd → age → one sealed part in the spool.

Runs as ``python -m lifeboat.adapters.sealing_child`` with a job from ``sealing.seal``. Plaintext lives only
in this process's memory. The part is finished only if every producer ended with status 0 and every byte is
accounted for: pyrage can lose its last flush and call it success (reliability §0.1, F12).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import subprocess
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import zstandard

from lifeboat.adapters.child_side import Lifeline, tell
from lifeboat.model.sealed import age_length, parse_age_header

READ = 2**20
GRANT = 8 * 2**20
"""Sealed bytes written between two permissions of the spool; must equal ``spool.GRANT``."""
END_OF_TABLE = b"\\.\n"
"""A line that no COPY text stream can hold: the boundary between two tables of one producer."""
BOUNDARY = b"\n" + END_OF_TABLE
STDERR_KEPT = 16_384


class ProducerEndedBadly(Exception):
    pass


class Segments:
    """A plaintext stream's tables: offset, length, rows, SHA-256 of each; ``pending`` bytes are of none yet."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.total = 0
        self._begin()

    def _begin(self) -> None:
        self._digest, self.pending, self._rows, self._offset = hashlib.sha256(), 0, 0, self.total

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        self._rows += data.count(b"\n")
        self.pending += len(data)
        self.total += len(data)

    def end(self) -> None:
        self.done.append(
            {
                "offset": self._offset,
                "length": self.pending,
                "rows": self._rows,
                "sha256": self._digest.hexdigest(),
            }
        )
        self._begin()


class Producers:
    """The producers' output, one after the other, as the file that age reads from (8 KiB at a time)."""

    def __init__(self, jobs: list[dict[str, Any]], level: int) -> None:
        self._jobs = jobs
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        self.segments = Segments()
        self.complaints: list[str] = []
        self.error: Exception | None = None
        self.finished = False
        self.compressed = 0
        self._pieces = self._compressed()
        self._ready = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            try:
                piece = next(self._pieces, None)
            except Exception as error:
                self.error = error  # age reports any reader's error as EncryptError: keep the real one
                raise
            if piece is None:
                self.finished = True
                return b""
            self._ready = memoryview(piece)
        out = self._ready[:size] if size >= 0 else self._ready
        self._ready = self._ready[len(out) :]
        return bytes(out)

    def close(self) -> None:
        """End the producer that still runs, when the part was given up."""
        self._pieces.close()

    def _compressed(self) -> Generator[bytes, None, None]:
        for job in self._jobs:
            for chunk in self._run(job):
                data = self._zstd.compress(chunk)
                if data:
                    self.compressed += len(data)
                    yield data
        data = self._zstd.flush()
        self.compressed += len(data)
        yield data

    def _run(self, job: dict[str, Any]) -> Iterator[bytes]:
        process = _start(job)
        complaints: list[bytes] = []
        helpers = [
            threading.Thread(target=_feed, args=(process, job["script"].encode()), daemon=True),
            threading.Thread(target=_collect, args=(process, complaints), daemon=True),
        ]
        for helper in helpers:
            helper.start()
        assert process.stdout is not None
        before = len(self.segments.done)
        output = iter(functools.partial(os.read, process.stdout.fileno(), READ), b"")
        try:
            yield from self._cut(output) if job["tables"] else self._whole(output)
            status = process.wait()
        finally:
            process.kill()
        helpers[1].join()
        text = b"".join(complaints).decode("utf-8", "replace").strip()
        self.complaints.append(text)
        if status != 0:
            cause = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise ProducerEndedBadly(f"{job['label']} ended by {cause}: {text}")
        found, expected = len(self.segments.done) - before, job["tables"] or 1
        if found != expected or self.segments.pending:
            raise ProducerEndedBadly(
                f"{job['label']} sent {found} of {expected} tables, and {self.segments.pending} bytes that belong "
                "to none, yet ended with status 0"
            )

    def _whole(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.segments.add(chunk)
            yield chunk
        self.segments.end()

    def _cut(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Split at lines that hold only a backslash and a dot; these lines do not enter the part."""
        carry = b""
        at_line_start = True
        for chunk in chunks:
            data = carry + chunk
            while True:
                if at_line_start and data.startswith(END_OF_TABLE):
                    self.segments.end()
                    data = data[len(END_OF_TABLE) :]
                    continue
                found = data.find(BOUNDARY)
                if found < 0:
                    break
                table = data[: found + 1]
                self.segments.add(table)
                yield table
                self.segments.end()
                data, at_line_start = data[found + len(BOUNDARY) :], True
            # A boundary may be split between two reads: keep the few bytes that could begin one.
            keep = next((n for n in (3, 2, 1) if data and BOUNDARY.startswith(data[-n:])), 0)
            if at_line_start and len(data) < len(END_OF_TABLE) and END_OF_TABLE.startswith(data):
                keep = len(data)
            body, carry = (data[:-keep], data[-keep:]) if keep else (data, b"")
            if body:
                self.segments.add(body)
                yield body
                at_line_start = body.endswith(b"\n")
        if carry:
            self.segments.add(carry)
            yield carry


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
        """Make it durable and read-only; returns the SHA-256 of what was written."""
        os.fchmod(self._descriptor, 0o400)
        os.fsync(self._descriptor)
        if os.fstat(self._descriptor).st_size != self.size:
            raise OSError(
                f"the file holds {os.fstat(self._descriptor).st_size} bytes, {self.size} were written"
            )
        os.close(self._descriptor)
        return self._digest.hexdigest()


def _start(job: dict[str, Any]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            job["argv"], env=job["env"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise ProducerEndedBadly(f"{job['label']} could not be started: {error}") from None


def _feed(process: subprocess.Popen[bytes], script: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stream:
        stream.write(script)


def _collect(process: subprocess.Popen[bytes], complaints: list[bytes]) -> None:
    assert process.stderr is not None
    kept = 0
    for line in process.stderr:
        if kept < STDERR_KEPT:
            complaints.append(line)
            kept += len(line)


def seal(job: dict[str, Any], lifeline: Lifeline) -> dict[str, Any]:
    """Seal one part; raises with the part still on disk (``main`` removes it)."""
    recipients = [pyrage.x25519.Recipient.from_str(recipient) for recipient in job["recipients"]]
    producers = Producers(job["producers"], job["level"])
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
    if not producers.finished or output.size != expected or header.x25519_stanzas != len(recipients):
        raise ValueError(
            f"the sealed part has {output.size} bytes and {header.x25519_stanzas} recipients, "
            f"expected {expected} and {len(recipients)}"
        )
    return {
        "size": output.size,
        "sha256": digest,
        "plain_bytes": producers.segments.total,
        "segments": producers.segments.done,
        "complaints": [text for text in producers.complaints if text],
    }


def main() -> None:
    lifeline = Lifeline()
    job = lifeline.job()
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

"""What fills a part, inside the sealing child: a program's output, or the COPY streams of one connection.

A producer gives pieces of bytes, each valid until the next is asked for, and ``EndOfStream`` after each stream.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from lifeboat import clock

READ = 2**20
NAP = 0.002
"""Seconds in which a producer may fill its pipe or socket, once it gave little: a reader that waits is woken for
every few KiB, and that cost a quarter of a backup's processor time (measured; decision D8)."""
STDERR_KEPT = 16_384


class ProducerEndedBadly(Exception):
    pass


@dataclass(frozen=True)
class Framing:
    """Bytes of the part that belong to no stream: a tar header, or padding."""

    data: bytes


@dataclass(frozen=True)
class EndOfStream:
    """``rows`` is how many the server says it sent; 0 for an opaque stream."""

    rows: int = 0


@dataclass(frozen=True)
class EndOfFile:
    """What came since the last end is the content of the file whose entry has this ``line``.

    ``changed``: while it was read, twice (F46).
    """

    line: str
    changed: bool


class WholeFile(NamedTuple):
    """A small file in one piece, with the framing before and after it. The rest as in ``EndOfFile``."""

    before: bytes
    content: bytes
    after: bytes
    line: str
    changed: bool


@dataclass(frozen=True)
class NoFile:
    """A file that was listed and is in no part; ``state`` is ``vanished``, or ``denied`` with the reason.

    ``path`` as ``name_text`` spells it.
    """

    path: str
    state: str
    why: str = ""


@dataclass(frozen=True)
class Discard:
    """What came since the last end is no stream after all: its bytes stay, and nothing will point to them."""


Piece = bytes | bytearray | memoryview | Framing | EndOfStream | EndOfFile | WholeFile | NoFile | Discard
Pieces = Generator[Piece, None, None]


def run_program(job: dict[str, Any], complaints: list[str]) -> Pieces:
    """A program's standard output, one opaque stream. What it says on standard error goes to ``complaints``.

    Raises ``ProducerEndedBadly`` when it does not end with status 0.
    """
    process = _start(job)
    said: list[bytes] = []
    helpers = [
        threading.Thread(target=_feed, args=(process, job["script"].encode()), daemon=True),
        threading.Thread(target=_collect, args=(process, said), daemon=True),
    ]
    for helper in helpers:
        helper.start()
    assert process.stdout is not None
    try:
        yield from _read(process.stdout.fileno())
        status = process.wait()
    finally:
        process.kill()
    helpers[1].join()
    text = b"".join(said).decode("utf-8", "replace").strip()
    complaints.append(text)
    if status != 0:
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise ProducerEndedBadly(f"{job['label']} ended by {cause}: {text}")
    yield EndOfStream()


def _read(descriptor: int) -> Iterator[memoryview]:
    """Into one buffer, again and again: a fresh one for each read costs page faults."""
    with contextlib.suppress(OSError):  # more than this user may have: then as it comes
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, READ)
    buffer = memoryview(bytearray(READ))
    while count := os.readv(descriptor, [buffer]):
        yield buffer[:count]
        if count < READ // 8:
            clock.sleep(NAP)


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


def _collect(process: subprocess.Popen[bytes], said: list[bytes]) -> None:
    assert process.stderr is not None
    kept = 0
    for line in process.stderr:
        if kept < STDERR_KEPT:
            said.append(line)
            kept += len(line)

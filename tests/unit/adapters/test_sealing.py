"""Sealing with real children: real producers, real age recipients, opened again with pyrage and zstandard."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyrage
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifeboat import clock
from lifeboat.adapters import sealing_child
from lifeboat.adapters.children import Crew
from lifeboat.adapters.sealing import Producer, SealedPart, Segment, seal
from lifeboat.adapters.spool import GRANT, Spool
from lifeboat.errors import (
    Cancelled,
    LifeboatError,
    ProducerFailed,
    SealingFailed,
    SpoolFull,
    TimeLimitExceeded,
)
from lifeboat.model.sealed import age_length, parse_age_header

END = b"\\.\n"
IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(2)]
RECIPIENTS = [str(identity.to_public()) for identity in IDENTITIES]
PATH_ONLY = {"PATH": os.environ["PATH"]}


def python(code: str, *, tables: int = 0, script: str = "", environment: dict[str, str] | None = None) -> Producer:
    """A producer that runs this Python."""
    return Producer(
        label="a producer",
        argv=(sys.executable, "-S", "-c", code),
        environment=PATH_ONLY if environment is None else environment,
        script=script,
        tables=tables,
    )


def cat(file: Path, *, tables: int = 0) -> Producer:
    return Producer(label=f"cat {file.name}", argv=("cat", str(file)), environment=PATH_ONLY, tables=tables)


def opened(path: Path, identity: pyrage.x25519.Identity = IDENTITIES[0]) -> bytes:
    packed = pyrage.decrypt(path.read_bytes(), [identity])
    opener = zstandard.ZstdDecompressor().decompressobj()
    plain: bytes = opener.decompress(packed)
    assert opener.eof and opener.unused_data == b""
    return plain


def segments_of(tables: Sequence[bytes]) -> tuple[Segment, ...]:
    """What the index must say about these tables."""
    offset, found = 0, []
    for table in tables:
        digest = hashlib.sha256(table).hexdigest()
        found.append(Segment(offset=offset, length=len(table), rows=table.count(b"\n"), sha256=digest))
        offset += len(table)
    return tuple(found)


@dataclass
class Bench:
    """One run's spool and crew."""

    spool: Spool
    crew: Crew

    def seal(
        self,
        *producers: Producer,
        number: int = 1,
        limit: float = 30,
        progress: Callable[[int, int], None] = lambda sealed, plain: None,
    ) -> SealedPart:
        return seal(
            producers,
            self.spool.path(number),
            recipients=RECIPIENTS,
            spool=self.spool,
            crew=self.crew,
            deadline=clock.Deadline.after(limit),
            label="shop",
            progress=progress,
        )

    def nothing_left(self, number: int = 1) -> bool:
        return not self.spool.path(number).exists() and self.spool.used == 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Spool(tmp_path / "spool", "run-1", limit=10 * GRANT) as spool, Crew() as crew:
        yield Bench(spool, crew)


def waits_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    return condition()


def marked(mark: str) -> list[psutil.Process]:
    """Live processes with ``mark`` in their arguments."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(mark in word for word in process.cmdline()):
                found.append(process)
    return found


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """A word that a test's producers carry in their arguments; whatever still carries it afterwards is ended."""
    word = f"producer-of-{tmp_path.name}-{os.getpid()}"
    yield word
    for process in marked(word):
        process.kill()


# --- what is sealed can be opened, and is described exactly


def test_opaque_stream_opens_to_the_same_bytes_with_every_identity(bench: Bench, tmp_path: Path) -> None:
    payload = random.Random(1).randbytes(3_000_001)
    (tmp_path / "dump").write_bytes(payload)

    part = bench.seal(cat(tmp_path / "dump"))

    assert opened(part.path, IDENTITIES[0]) == payload
    assert opened(part.path, IDENTITIES[1]) == payload
    assert part.segments == (Segment(0, len(payload), payload.count(b"\n"), hashlib.sha256(payload).hexdigest()),)
    assert part.plain_bytes == len(payload)


def test_sealed_part_is_described_as_it_lies_in_the_spool_and_is_read_only(bench: Bench) -> None:
    part = bench.seal(python("print('hello')"))

    raw = part.path.read_bytes()
    assert (part.size, part.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert stat.S_IMODE(part.path.stat().st_mode) == 0o400
    assert bench.spool.used == part.size
    assert b"hello" not in raw


def test_stranger_cannot_open_a_part(bench: Bench) -> None:
    part = bench.seal(python("print('hello')"))

    with pytest.raises(pyrage.DecryptError):
        opened(part.path, pyrage.x25519.Identity.generate())


def test_producer_without_output_gives_a_whole_part_of_no_bytes(bench: Bench) -> None:
    part = bench.seal(python("pass"))

    assert opened(part.path) == b""
    assert part.segments == segments_of([b""])


def test_producers_of_one_part_follow_each_other(bench: Bench, tmp_path: Path) -> None:
    tables = [b"1\ta\n", b"", b"2\tb\n3\tc\n"]
    (tmp_path / "copies").write_bytes(b"".join(table + END for table in tables))

    part = bench.seal(python("print('schema')"), cat(tmp_path / "copies", tables=3), python("print('rest')"))

    assert opened(part.path) == b"schema\n" + b"".join(tables) + b"rest\n"
    assert part.segments == segments_of([b"schema\n", *tables, b"rest\n"])


def test_script_reaches_the_producer_whole(bench: Bench) -> None:
    script = "".join(f"COPY table_{number} TO STDOUT; -- é\n" for number in range(40_000))

    part = bench.seal(python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", script=script))

    assert opened(part.path) == script.encode()


def test_producer_that_never_reads_its_script_is_no_failure(bench: Bench) -> None:
    part = bench.seal(python("print('done')", script="x" * 2_000_000))

    assert opened(part.path) == b"done\n"


def test_complaints_of_a_producer_that_ends_well_are_kept(bench: Bench) -> None:
    part = bench.seal(python("import sys; print('pg_dump: warning: é', file=sys.stderr)"))

    assert part.complaints == ("pg_dump: warning: é",)


def test_flood_of_complaints_neither_blocks_the_producer_nor_is_kept_whole(bench: Bench) -> None:
    part = bench.seal(python("import sys\nfor n in range(60_000): print('warning', n, file=sys.stderr)\nprint('x')"))

    assert opened(part.path) == b"x\n"
    assert part.complaints[0].startswith("warning 0\n")
    assert len(part.complaints[0]) < 20_000


def test_progress_counts_up_to_what_was_sealed(bench: Bench) -> None:
    seen: list[tuple[int, int]] = []

    part = bench.seal(
        python(f"import os\nfor _ in range(20): os.write(1, os.urandom({2**20}))"),
        progress=lambda sealed, plain: seen.append((sealed, plain)),
    )

    assert seen[0][0] == 0
    assert seen == sorted(seen)
    assert seen[-1] == (part.size, part.plain_bytes)
    assert len(seen) == 4, "one for every GRANT bytes, and the last"


# --- boundaries between the tables of one producer


def cut(chunks: Sequence[bytes], tables: int) -> tuple[bytes, list[dict[str, object]]]:
    """Split in this process, reading exactly these chunks one after the other."""
    source, sink = os.pipe()
    os.close(sink)
    producers = sealing_child.Producers([], 1)
    pending = list(chunks)
    whole = sealing_child.os.read
    try:
        sealing_child.os.read = lambda descriptor, size: pending.pop(0) if pending else b""
        out = b"".join(producers._cut(source))
    finally:
        sealing_child.os.read = whole
        os.close(source)
    return out, producers.segments.done

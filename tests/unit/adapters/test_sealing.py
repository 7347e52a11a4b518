"""Sealing with real children: real producers, real age recipients, opened again with pyrage and zstandard."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import random
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

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.sealing import Producer, Program, Progress, SealedPart, Segment, seal
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

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(2)]
RECIPIENTS = [str(identity.to_public()) for identity in IDENTITIES]
PATH_ONLY = {"PATH": os.environ["PATH"]}


def python(code: str, *, script: str = "", environment: dict[str, str] | None = None) -> Program:
    """A producer that runs this Python."""
    return Program(
        label="a producer",
        argv=(sys.executable, "-S", "-c", code),
        environment=PATH_ONLY if environment is None else environment,
        script=script,
    )


def cat(file: Path) -> Program:
    return Program(label=f"cat {file.name}", argv=("cat", str(file)), environment=PATH_ONLY)


def opened(path: Path, identity: pyrage.x25519.Identity = IDENTITIES[0]) -> bytes:
    packed = pyrage.decrypt(path.read_bytes(), [identity])
    opener = zstandard.ZstdDecompressor().decompressobj()
    plain: bytes = opener.decompress(packed)
    assert opener.eof and opener.unused_data == b""
    return plain


def segments_of(*streams: bytes) -> tuple[Segment, ...]:
    """What must be said about these opaque streams."""
    offset, found = 0, []
    for stream in streams:
        digest = hashlib.sha256(stream).hexdigest()
        found.append(Segment(offset=offset, length=len(stream), rows=0, sha256=digest))
        offset += len(stream)
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
        progress: Progress = lambda *_: None,
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
    while time.monotonic() < ends:
        with contextlib.suppress(
            psutil.NoSuchProcess
        ):  # a process that was listed may be gone when it is looked at
            if condition():
                return True
        time.sleep(0.02)
    return False


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
    assert part.segments == segments_of(payload)
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
    assert part.segments == segments_of(b"")


def test_producers_of_one_part_follow_each_other(bench: Bench) -> None:
    part = bench.seal(python("print('schema')"), python("pass"), python("print('rest')"))

    assert opened(part.path) == b"schema\nrest\n"
    assert part.segments == segments_of(b"schema\n", b"", b"rest\n")


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
    part = bench.seal(
        python("import sys\nfor n in range(60_000): print('warning', n, file=sys.stderr)\nprint('x')")
    )

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


# --- producers that fail


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import os; os.write(1, bytes(2_000_000)); raise SystemExit(1)", "ended by exit status 1"),
        ("import os; os.write(1, bytes(2_000_000)); os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("raise SystemExit(3)", "ended by exit status 3"),
    ],
)
def test_producer_that_ends_badly_after_its_output_leaves_no_part(
    bench: Bench, code: str, cause: str
) -> None:
    with pytest.raises(ProducerFailed, match=cause) as caught:
        bench.seal(python(code))

    assert caught.value.message.startswith("shop: a producer ended")
    assert caught.value.hint
    assert bench.nothing_left()


def test_last_words_of_a_failed_producer_are_in_the_error(bench: Bench) -> None:
    with pytest.raises(ProducerFailed, match="pg_dump: error: lock timeout") as caught:
        bench.seal(python("import sys; sys.exit('pg_dump: error: lock timeout')"))

    assert "lock" in caught.value.hint


def test_second_producer_that_fails_takes_the_whole_part_with_it(bench: Bench) -> None:
    with pytest.raises(ProducerFailed):
        bench.seal(python("print('schema')"), python("raise SystemExit(1)"))

    assert bench.nothing_left()


def test_missing_producer_is_named(bench: Bench) -> None:
    missing = Program(label="pg_dump schema of shop", argv=("/nowhere/pg_dump",), environment=PATH_ONLY)

    with pytest.raises(ProducerFailed, match=r"could not be started: .*'/nowhere/pg_dump'"):
        bench.seal(missing)

    assert bench.nothing_left()


def test_producer_with_too_many_arguments_is_reported(bench: Bench) -> None:
    endless = Program(label="pg_dump", argv=("true", *(["x" * 100_000] * 40)), environment=PATH_ONLY)

    with pytest.raises(ProducerFailed, match="Argument list too long"):
        bench.seal(endless)


def test_unusable_recipient_leaves_no_part(bench: Bench) -> None:
    with pytest.raises(SealingFailed):
        seal(
            [python("print('x')")],
            bench.spool.path(1),
            recipients=["age1nonsense", RECIPIENTS[0]],
            spool=bench.spool,
            crew=bench.crew,
            deadline=clock.Deadline.after(10),
            label="shop",
        )

    assert bench.nothing_left()


def test_failed_part_can_be_sealed_again_in_the_same_run(bench: Bench) -> None:
    with pytest.raises(ProducerFailed):
        bench.seal(python("raise SystemExit(1)"))

    assert opened(bench.seal(python("print('again')")).path) == b"again\n"


# --- the disk and the spool's limit


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Path]]:
    """A real filesystem whose size is set in pages; needs root to mount it."""
    folder = tmp_path_factory.mktemp("disk")
    if ctypes.CDLL(None, use_errno=True).mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=4096") != 0:
        pytest.skip(f"mounting a tmpfs needs root: {os.strerror(ctypes.get_errno())}")

    def resize(size: int) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
        return folder

    try:
        yield resize
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


PAGE = 4096
BARE_HEADER = 266
"""Bytes of an age header with two X25519 stanzas and no grease, which age adds at random."""


SHORT_DISKS = [
    (size, short)
    for size in (5_000, 3 * PAGE - 221, 150_000, 150_000 + 17, 150_000 + 3_000)
    for short in (1, 4_097, 8_193)
    if size > short + PAGE  # a tmpfs of no pages has no limit
]


@pytest.mark.parametrize(("size", "short"), SHORT_DISKS)
def test_full_disk_refuses_the_part_whichever_of_its_last_bytes_did_not_fit(
    small_disk: Callable[[int], Path], tmp_path: Path, size: int, short: int
) -> None:
    """F12: age alone calls a file whose last 8 KiB are missing a success."""
    payload = random.Random(size).randbytes(size)
    (tmp_path / "dump").write_bytes(payload)
    packed = len(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(payload))
    room = (age_length(BARE_HEADER, packed) - short) // PAGE * PAGE

    with Spool(small_disk(room), "run-1", limit=2 * GRANT) as spool, Crew() as crew:
        bench = Bench(spool, crew)
        with pytest.raises(SpoolFull, match=r"the disk of the spool .* is full") as caught:
            bench.seal(cat(tmp_path / "dump"))
        assert bench.nothing_left()
    assert "spool.folder" in caught.value.hint

    with Spool(small_disk(room + 4 * PAGE), "run-2", limit=2 * GRANT) as spool, Crew() as crew:
        assert opened(Bench(spool, crew).seal(cat(tmp_path / "dump")).path) == payload


def test_full_disk_ends_a_producer_that_would_go_on_for_ever(
    small_disk: Callable[[int], Path], tmp_path: Path, mark: str
) -> None:
    code = f"import os, signal, time\nsignal.signal(signal.SIGPIPE, signal.SIG_IGN)\n'{mark}'\n" + (
        "try:\n  while True: os.write(1, os.urandom(65536))\nexcept OSError: time.sleep(1000)"
    )
    with Spool(small_disk(64 * PAGE), "run-1", limit=2 * GRANT) as spool, Crew() as crew:
        with pytest.raises(SpoolFull):
            Bench(spool, crew).seal(python(code))

        assert waits_until(lambda: not marked(mark))


def test_part_larger_than_the_spool_limit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", "run-1", limit=2 * GRANT) as spool, Crew() as crew:
        bench = Bench(spool, crew)
        with pytest.raises(SpoolFull, match=r"limit of 16,777,216 bytes, .* 1 parts") as caught:
            bench.seal(python(f"import os\nfor _ in range(40): os.write(1, os.urandom({2**20}))"))

        assert bench.nothing_left()
        assert "spool.limit" in caught.value.hint


def test_part_waits_for_room_and_goes_on_when_another_is_released(tmp_path: Path) -> None:
    payload = random.Random(3).randbytes(GRANT + 1000)
    (tmp_path / "dump").write_bytes(payload)
    with Spool(tmp_path / "spool", "run-1", limit=2 * GRANT + 100) as spool, Crew() as crew:
        bench = Bench(spool, crew)
        first = bench.seal(python("print('first')"))
        done: list[SealedPart] = []
        waiting = threading.Thread(target=lambda: done.append(bench.seal(cat(tmp_path / "dump"), number=2)))
        waiting.start()
        assert waits_until(lambda: spool.path(2).exists() and spool.path(2).stat().st_size > GRANT - 70_000)
        time.sleep(0.3)
        assert not done and waiting.is_alive()

        spool.release(first.path)
        waiting.join(20)

        assert opened(done[0].path) == payload


# --- ends: time limits, cancelled runs, dead runs


def hung(mark: str) -> Program:
    """A shell that has written something, ignores polite signals, and waits with a child of its own."""
    return Program(
        label="hung",
        argv=("sh", "-c", f"trap '' TERM INT PIPE; echo begun; sleep 1000 & : {mark}; wait", mark),
        environment=PATH_ONLY,
    )


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Ended, whether or not somebody has waited for them (a container's first process may never do)."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def group_of(mark: str) -> list[psutil.Process]:
    """The sealing child of the marked producer with all below it."""
    return [
        relative
        for shell in marked(mark)
        for relative in (shell.parent(), shell, *shell.children())
        if relative
    ]


def sleepers() -> list[psutil.Process]:
    """The ``sleep`` that a sealing child of this process has started; the suite's servers have children, too."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [below for below in child.children() if below.name() == "sleep"]
    return found


@contextlib.contextmanager
def sealing_aside(bench: Bench, producer: Producer) -> Iterator[list[LifeboatError]]:
    """Seal in a thread while the block runs; holds how it failed once the block is left."""
    caught: list[LifeboatError] = []

    def run() -> None:
        try:
            bench.seal(producer)
        except LifeboatError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield caught
    thread.join(5)


def test_time_limit_ends_a_hung_producer_and_its_whole_group(bench: Bench, mark: str) -> None:
    started = time.monotonic()
    seen: list[psutil.Process] = []
    watcher = threading.Timer(0.6, lambda: seen.extend(group_of(mark)))
    watcher.start()

    with pytest.raises(TimeLimitExceeded, match="ended after the limit of 1 s") as caught:
        bench.seal(hung(mark), limit=1.2)

    assert time.monotonic() - started < 3
    watcher.join()
    assert len(seen) == 3, "the sealing child, the shell and its sleep"
    assert waits_until(lambda: gone(seen))
    assert bench.nothing_left()
    assert "limits.source" in caught.value.hint


def test_dismissed_crew_ends_a_running_seal_at_once(bench: Bench, mark: str) -> None:
    with sealing_aside(bench, hung(mark)) as caught:
        assert waits_until(lambda: len(group_of(mark)) == 3)
        group = group_of(mark)
        started = time.monotonic()
        bench.crew.dismiss()

    assert time.monotonic() - started < 1
    assert [type(error) for error in caught] == [Cancelled]
    assert waits_until(lambda: gone(group), 0.5)
    assert bench.nothing_left()


def test_killed_sealing_child_takes_its_producer_with_it(bench: Bench, mark: str) -> None:
    """The kernel's OOM killer takes one process and asks nobody; the producer may not notice for hours."""
    with sealing_aside(bench, hung(mark)) as caught:
        assert waits_until(lambda: len(group_of(mark)) == 3)
        group = group_of(mark)
        group[0].kill()

    assert [str(error) for error in caught] == ["shop: the child process ended by signal 9: "]
    assert waits_until(lambda: gone(group))
    assert bench.nothing_left()


def test_killed_producer_fails_its_part_at_once(bench: Bench, mark: str) -> None:
    waiting = Program(label="copy", argv=("sh", "-c", "exec sleep 1000", mark), environment=PATH_ONLY)

    with sealing_aside(bench, waiting) as caught:
        assert waits_until(lambda: len(sleepers()) == 1)
        sleepers()[0].kill()

    assert [type(error) for error in caught] == [ProducerFailed]
    assert "signal 9" in str(caught[0])
    assert bench.nothing_left()


PARENT = """
import sys, threading
from pathlib import Path
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.sealing import Program, seal
from lifeboat.adapters.spool import GRANT, Spool
mark, root, *recipients = sys.argv[1:]
script = "trap '' TERM INT PIPE; echo begun; sleep 1000 & : " + mark + "; wait"
with Spool(Path(root), "doomed", limit=2 * GRANT) as spool, Crew() as crew:
    producer = Program(label="hung", argv=("sh", "-c", script, mark), environment={"PATH": "/usr/bin:/bin"})
    seal([producer], spool.path(1), recipients=recipients, spool=spool, crew=crew,
         deadline=clock.Deadline.after(60), label="x")
"""


def test_killed_run_leaves_no_child_and_no_producer(tmp_path: Path, mark: str) -> None:
    """F1: kill -9 of the run itself; the lifeline closes."""
    run = subprocess.Popen([sys.executable, "-c", PARENT, mark + "-run", str(tmp_path), *RECIPIENTS])
    try:
        shells = f"{mark}-run"
        assert waits_until(lambda: any(p.name() == "sh" for p in marked(shells)), 10)
        shell = next(p for p in marked(shells) if p.name() == "sh")
        assert waits_until(lambda: bool(shell.children()))
        parent = shell.parent()
        assert parent is not None
        group = [parent, shell, *shell.children()]

        run.kill()
        run.wait()

        assert waits_until(lambda: gone(group), 2)
    finally:
        run.kill()
        run.wait()


def test_secrets_of_a_producer_show_in_no_argument_repr_or_error(bench: Bench, mark: str) -> None:
    secret = "S3CRET-canary-" + "x7" * 8
    producer = Program(
        label="copy",
        argv=("sh", "-c", "sleep 1; exit 1", mark),
        environment=PATH_ONLY | {"PGPASSWORD": secret},
        script=f"-- {secret}",
    )
    seen: list[str] = []

    def look() -> None:
        waits_until(lambda: bool(marked(mark)))
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                seen.append((folder / "cmdline").read_text(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    with pytest.raises(ProducerFailed) as caught:
        bench.seal(producer)
    watcher.join()

    assert any(mark in arguments for arguments in seen)
    assert not any(secret in arguments for arguments in seen)
    for shown in (repr(producer), str(caught.value), repr(caught.value), json.dumps(caught.value.args)):
        assert secret not in shown


def test_producer_gets_its_own_environment_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of-the-worker")
    monkeypatch.setenv("PREFECT_API_KEY", "of-the-worker")

    part = bench.seal(python("import os; print(sorted(os.environ))", environment={"PGHOST": "x"}))

    names = set(json.loads(opened(part.path).decode().replace("'", '"')))
    assert names - {"LC_CTYPE"} == {"PGHOST"}


def test_killed_child_is_not_mistaken_for_success(bench: Bench) -> None:
    """A child that dies between its work and its result has sealed nothing."""
    with pytest.raises(LifeboatError, match="signal 9"):
        bench.seal(python("import os, signal; os.kill(os.getppid(), signal.SIGKILL)"))

    assert bench.nothing_left()


@pytest.mark.parametrize("length", [0, 1, 60_000, 65_535, 65_536, 65_537, 131_072])
def test_sealed_size_is_what_the_age_format_prescribes(bench: Bench, tmp_path: Path, length: int) -> None:
    (tmp_path / "dump").write_bytes(random.Random(length).randbytes(length))

    part = bench.seal(cat(tmp_path / "dump"))

    raw = part.path.read_bytes()
    packed = pyrage.decrypt(raw, [IDENTITIES[0]])
    assert part.size == age_length(parse_age_header(raw).length, len(packed))
    assert parse_age_header(raw).x25519_stanzas == 2

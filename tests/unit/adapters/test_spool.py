"""The spool: room is granted, waited for or refused with the numbers; dead runs are swept away, live ones never."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from lifeboat import clock
from lifeboat.adapters import sealing_child
from lifeboat.adapters.spool import GRANT, Spool, sweep
from lifeboat.errors import Cancelled, SpoolFull, TimeLimitExceeded

SOON = 0.3


def deadline(seconds: float = 20) -> clock.Deadline:
    return clock.Deadline.after(seconds)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool", "run-1", limit=3 * GRANT) as spool:
        yield spool


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def begun(spool: Spool, *numbers: int) -> list[Path]:
    for number in numbers:
        spool.begin(spool.path(number))
    return [spool.path(number) for number in numbers]


def test_child_and_spool_agree_on_the_size_of_a_grant() -> None:
    assert sealing_child.GRANT == GRANT


def test_spool_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", "run-1", limit=GRANT) as spool:
        assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
        spool.path(1).write_bytes(b"sealed")
        spool.path(1).chmod(0o400)

    assert list((tmp_path / "spool").iterdir()) == []


def test_spool_of_a_run_that_exists_already_is_refused(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), Spool(tmp_path / "spool", "run-1", limit=GRANT):
        pass

    assert spool.folder.is_dir()


def test_used_counts_grants_while_a_part_grows_and_its_size_once_sealed(spool: Spool) -> None:
    (path,) = begun(spool, 1)
    spool.grant(path, deadline())
    spool.grant(path, deadline())
    assert spool.used == 2 * GRANT

    spool.sealed(path, GRANT + 5)
    assert spool.used == GRANT + 5

    spool.release(path)
    assert spool.used == 0


def test_limit_can_be_used_to_its_last_byte(spool: Spool) -> None:
    (path,) = begun(spool, 1)
    for _ in range(3):
        spool.grant(path, deadline())

    assert spool.used == spool.limit


def test_only_part_that_outgrows_the_limit_is_refused_with_the_numbers(spool: Spool) -> None:
    (path,) = begun(spool, 1)
    for _ in range(3):
        spool.grant(path, deadline())

    with pytest.raises(SpoolFull, match=r"limit of 25,165,824 bytes, .* 1 parts that are still"):
        spool.grant(path, deadline())
    assert spool.used == 3 * GRANT, "the refused grant is not counted"


def test_part_that_may_still_end_is_waited_for(spool: Spool, aside: ThreadPoolExecutor) -> None:
    """Two parts grow: the one that asks in vain is not refused while the other may end and be uploaded."""
    large, small = begun(spool, 1, 2)
    spool.grant(small, deadline())
    spool.grant(large, deadline())
    spool.grant(large, deadline())
    waiting = aside.submit(spool.grant, large, deadline())
    time.sleep(SOON)
    assert not waiting.done()

    spool.sealed(small, 100)
    spool.release(small)

    waiting.result(5)
    assert spool.used == 3 * GRANT


def test_last_of_all_parts_to_ask_in_vain_is_refused_and_its_room_helps_the_others(
    spool: Spool, aside: ThreadPoolExecutor
) -> None:
    paths = begun(spool, 1, 2, 3)
    for path in paths:
        spool.grant(path, deadline())

    def grow(path: Path) -> str:
        try:
            spool.grant(path, deadline())
        except SpoolFull:
            spool.release(path)
            return "refused"
        spool.sealed(path, 10)
        spool.release(path)
        return "grew"

    outcomes = [future.result(10) for future in [aside.submit(grow, path) for path in paths]]

    assert sorted(outcomes) == ["grew", "grew", "refused"]
    assert spool.used == 0


def test_sealed_part_is_waited_for_until_its_release(spool: Spool, aside: ThreadPoolExecutor) -> None:
    done, growing = begun(spool, 1, 2)
    spool.sealed(done, 2 * GRANT + 1)
    waiting = aside.submit(spool.grant, growing, deadline())
    time.sleep(SOON)
    assert not waiting.done()

    spool.release(done)

    waiting.result(5)


def test_waiting_ends_with_the_time_limit(spool: Spool) -> None:
    done, growing = begun(spool, 1, 2)
    spool.sealed(done, 3 * GRANT)
    started = time.monotonic()

    with pytest.raises(TimeLimitExceeded, match="no room in the spool within the limit of 0 s"):
        spool.grant(growing, deadline(0.2))

    assert time.monotonic() - started < 1


def test_waiting_ends_with_the_run(tmp_path: Path, aside: ThreadPoolExecutor) -> None:
    waiting: Future[None]
    with Spool(tmp_path / "spool", "run-1", limit=GRANT) as spool:
        done, growing = begun(spool, 1, 2)
        spool.sealed(done, GRANT)
        waiting = aside.submit(spool.grant, growing, deadline())
        time.sleep(SOON)

    with pytest.raises(Cancelled):
        waiting.result(2)


def test_released_part_is_removed_and_releasing_twice_is_harmless(spool: Spool) -> None:
    (path,) = begun(spool, 1)
    path.write_bytes(b"x")
    spool.sealed(path, 1)

    spool.release(path)
    spool.release(path)

    assert not path.exists()


def test_room_is_never_granted_beyond_the_limit_whoever_asks(spool: Spool, aside: ThreadPoolExecutor) -> None:
    most = 0
    watching = threading.Lock()

    def voyage(number: int) -> None:
        nonlocal most
        (path,) = begun(spool, number)
        for _ in range(1 + number % 2):
            try:
                spool.grant(path, deadline())
            except SpoolFull:
                break
            with watching:
                most = max(most, spool.used)
        spool.sealed(path, GRANT)
        spool.release(path)

    for future in [aside.submit(voyage, number) for number in range(200)]:
        future.result(20)

    assert most <= spool.limit
    assert spool.used == 0


DEAD_RUN = """
import os, sys
from pathlib import Path
from lifeboat.adapters.spool import Spool
spool = Spool(Path(sys.argv[1]), "dead", limit=1).__enter__()
spool.path(1).write_bytes(b"sealed")
spool.path(1).chmod(0o400)
os.kill(os.getpid(), 9)
"""


def test_sweep_removes_the_spool_of_a_killed_run_and_no_other(spool: Spool, tmp_path: Path) -> None:
    root = tmp_path / "spool"
    subprocess.run([sys.executable, "-c", DEAD_RUN, str(root)], check=False)
    (root / "somebody's folder").mkdir()
    (root / "somebody's file").touch()
    assert (root / "dead" / "0001.age").exists()

    assert sweep(root) == ["dead"]

    assert sorted(path.name for path in root.iterdir()) == ["run-1", "somebody's file", "somebody's folder"]


def test_sweep_leaves_a_run_alone_that_lives_in_another_process(tmp_path: Path) -> None:
    code = DEAD_RUN.replace("os.kill(os.getpid(), 9)", "print('ready', flush=True); sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        try:
            assert run.stdout is not None and run.stdout.readline() == b"ready\n"
            assert sweep(tmp_path) == []
        finally:
            run.kill()
    assert sweep(tmp_path) == ["dead"]


def test_sweep_of_a_root_that_does_not_exist_finds_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path / "nowhere") == []


def test_sweeps_of_two_runs_at_once_disturb_each_other_in_nothing(
    tmp_path: Path, aside: ThreadPoolExecutor
) -> None:
    names = [f"dead-{number:03d}" for number in range(60)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner.lock").touch()
        (tmp_path / name / "0001.age").touch()

    swept = [future.result(20) for future in [aside.submit(sweep, tmp_path) for _ in range(4)]]

    assert sorted(name for names in swept for name in names) == names
    assert list(tmp_path.iterdir()) == []


def test_folder_that_vanishes_between_lock_and_removal_counts_as_swept_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / "owner.lock").touch()
    take: Callable[[int, int], None] = fcntl.flock

    def other_sweeper_was_faster(descriptor: int, operation: int) -> None:
        take(descriptor, operation)
        (tmp_path / "dead" / "owner.lock").unlink()
        os.rmdir(tmp_path / "dead")  # noqa: PTH106 - as the other sweeper's rmtree does

    monkeypatch.setattr(fcntl, "flock", other_sweeper_was_faster)

    assert sweep(tmp_path) == []

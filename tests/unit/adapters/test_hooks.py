"""Hooks that freeze a source and release it: real commands, real processes, real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lifeboat.adapters.hooks import HookedTree, Hooks, frozen_by
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ConfigurationError, Refused, SourceError, TimeLimitExceeded

LABEL = "production/main/documents"


class Diary:
    """What the commands of a test write down, in order."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "diary"
        self.marker = folder / "state" / "marker"

    def noting(self, word: str, then: str = "") -> tuple[str, ...]:
        return ("sh", "-c", f'echo {word} >> "$0"; {then}', str(self.path))

    def note(self, word: str) -> None:
        with self.path.open("a") as diary:
            diary.write(f"{word}\n")

    def hooks(self, before: str = "", after: str = "", limit: float = 20) -> Hooks:
        return Hooks(self.noting("before", before), self.noting("after", after), limit, self.marker)

    @property
    def words(self) -> list[str]:
        return self.path.read_text().split() if self.path.exists() else []


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path)


def test_commands_run_around_the_block_and_the_marker_lies_there_meanwhile(diary: Diary) -> None:
    with frozen_by(diary.hooks(), label=LABEL):
        assert diary.marker.exists()
        diary.note("block")
    assert diary.words == ["before", "block", "after"]
    assert not diary.marker.exists()


def test_source_is_released_when_the_block_fails_and_its_error_comes_out(diary: Diary) -> None:
    with pytest.raises(ZeroDivisionError), frozen_by(diary.hooks(), label=LABEL):
        raise ZeroDivisionError
    assert diary.words == ["before", "after"]
    assert not diary.marker.exists()


def test_arguments_reach_the_command_as_they_are_without_a_shell(diary: Diary) -> None:
    hooks = Hooks(
        ("sh", "-c", 'printf %s "$1" > "$0"', str(diary.path), "$(id) * ; 'x'"), ("true",), 5, diary.marker
    )
    with frozen_by(hooks, label=LABEL):
        assert diary.path.read_text() == "$(id) * ; 'x'"


def test_before_that_fails_is_told_with_its_words_and_undone(diary: Diary) -> None:
    hooks = diary.hooks(before="printf 'no \\033[31mroom' >&2; exit 5")
    with pytest.raises(SourceError) as caught, frozen_by(hooks, label=LABEL):
        diary.note("block")
    assert "production/main/documents: the hook 'before' ('sh') failed with exit status 5" in str(
        caught.value
    )
    assert "'no \\x1b[31mroom'" in str(caught.value)
    assert diary.words == ["before", "after"]
    assert not diary.marker.exists()


def test_after_that_fails_is_told_and_the_next_run_releases_first(diary: Diary) -> None:
    with (
        pytest.raises(SourceError, match=r"hook 'after' \('sh'\) failed with exit status 1"),
        frozen_by(diary.hooks(after="exit 1"), label=LABEL),
    ):
        pass
    assert diary.marker.exists()
    with frozen_by(diary.hooks(), label=LABEL):
        pass
    assert diary.words == ["before", "after", "after", "before", "after"]
    assert not diary.marker.exists()


def test_after_that_fails_goes_before_the_error_of_the_block(diary: Diary) -> None:
    with (
        pytest.raises(SourceError, match="hook 'after'") as caught,
        frozen_by(diary.hooks(after="exit 1"), label=LABEL),
    ):
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)


@pytest.mark.parametrize("which", ["before", "after"])
def test_command_that_takes_too_long_is_ended_with_its_children(diary: Diary, which: str) -> None:
    slow = "sleep 4711.25 & wait"
    hooks = diary.hooks(**{which: slow}, limit=0.5)
    with pytest.raises(TimeLimitExceeded, match=f"hook '{which}' .* limit of 0.5 s"):  # noqa: SIM117
        with frozen_by(hooks, label=LABEL):
            pass
    assert diary.words == ["before", "after"]
    assert not any("4711.25" in command for command in commands())


def test_program_that_does_not_exist_is_a_mistake_of_the_policy(diary: Diary) -> None:
    hooks = Hooks(("/nowhere/lvcreate",), diary.noting("after"), 5, diary.marker)
    with pytest.raises(ConfigurationError, match="'/nowhere/lvcreate'.* cannot be started") as caught:  # noqa: SIM117
        with frozen_by(hooks, label=LABEL):
            pass
    assert "there is no shell" in str(caught.value)


def test_second_run_at_the_same_time_is_refused_and_releases_nothing(diary: Diary) -> None:
    with frozen_by(diary.hooks(), label=LABEL):
        with pytest.raises(Refused, match="held by the hooks of another run"):  # noqa: SIM117
            with frozen_by(diary.hooks(), label=LABEL):
                pass
        assert diary.words == ["before"]
    assert diary.words == ["before", "after"]


_RUN = """
import signal, sys, time
from pathlib import Path
from lifeboat.adapters.hooks import Hooks, frozen_by
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background is started with it ignored
note = ("sh", "-c", 'echo $1 >> "$0"', sys.argv[1])
with frozen_by(Hooks((*note, "before"), (*note, "after"), 20, Path(sys.argv[2])), label="a run"):
    print("frozen", flush=True)
    time.sleep(60)
"""


def started_run(diary: Diary) -> subprocess.Popen[bytes]:
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(diary.path), str(diary.marker)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"frozen\n"
    return run


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_run_that_is_ended_is_released_at_once(diary: Diary, ending: signal.Signals) -> None:
    with started_run(diary) as run:
        assert diary.words == ["before"]
        os.killpg(run.pid, ending)  # as whole process groups are ended
    wait_until(lambda: not diary.marker.exists())
    assert diary.words == ["before", "after"]


def test_marker_of_a_run_and_keeper_that_were_both_killed_is_released_by_the_next(diary: Diary) -> None:
    with started_run(diary) as run:
        (keeper,) = psutil.Process(run.pid).children()
        keeper.kill()
        run.kill()
    assert diary.words == ["before"]
    assert diary.marker.exists()
    with frozen_by(diary.hooks(), label=LABEL):
        assert diary.words == ["before", "after", "before"]
    assert diary.words == ["before", "after", "before", "after"]
    assert not diary.marker.exists()


def test_hooked_tree_shows_what_the_first_command_made_as_of_before_it(diary: Diary, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    hooks = Hooks(
        ("sh", "-c", 'sleep 0.2; mkdir "$0"; echo frozen > "$0/file"', str(snapshot)),
        ("rm", "-r", str(snapshot)),
        20,
        diary.marker,
    )
    origin = HookedTree(LocalTreeTarget(snapshot), hooks)
    with origin.frozen() as view:
        assert view.data_timestamp is not None
        made = (snapshot / "file").stat().st_mtime
        assert made - 20 < view.data_timestamp.timestamp() < made - 0.1
        with view.target.connect() as tree:
            assert [entry.path for entry in tree.walk()] == [b"file"]
    assert not snapshot.exists()


def commands() -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return [command for command in found if str(os.getpid()) not in command]


def wait_until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

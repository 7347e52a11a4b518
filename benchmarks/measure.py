"""One command, measured from outside: seconds, processor seconds, and the peak memory of each of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from lifeboat import clock

SAMPLE_EVERY = 0.1
"""Seconds. The kernel keeps each process's own peak (VmHWM): only one shorter than this can be missed."""


@dataclass(frozen=True)
class Command:
    """A program to time. ``environment`` and ``text`` may hold secrets."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Measured:
    """``memory`` is the highest peak in bytes by program; ``processor`` the seconds of all its processes."""

    seconds: float
    processor: float
    memory: dict[str, int]
    output: str


class CommandFailed(Exception):
    """A contestant ended badly: its time means nothing, and the benchmark stops."""


def measure(command: Command) -> Measured:
    """Run to the end. Raises ``CommandFailed`` with the end of what the command wrote to standard error."""
    with ExitStack() as stack:
        text, output, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        text.write(command.text.encode())
        text.seek(0)
        environment = {**os.environ, **command.environment}
        watch = clock.Stopwatch()
        process = subprocess.Popen(
            command.argv, env=environment, stdin=text, stdout=output, stderr=errors, process_group=0
        )
        try:
            with PeakMemory(process.pid) as peaks:
                _, status, usage = os.wait4(process.pid, 0)
                seconds = watch.seconds()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise CommandFailed(f"{command.argv[0]} ended with {process.returncode}: {_text(errors)[-2000:]}")
        return Measured(seconds, usage.ru_utime + usage.ru_stime, peaks.by_program(), _text(output))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class PeakMemory:
    """Watches a process and all that descend from it, from a thread, while the ``with`` block runs."""

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._peaks: dict[tuple[int, str], int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        # Between fork and exec a child still is its parent by name and memory.
        self._self = _program(os.getpid())

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def by_program(self) -> dict[str, int]:
        """The largest process of each program."""
        found: dict[str, int] = {}
        for (_, program), peak in self._peaks.items():
            found[program] = max(peak, found.get(program, 0))
        return dict(sorted(found.items()))

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY):
            self._sample()

    def _sample(self) -> None:
        try:
            family = [
                self._root,
                *(child.pid for child in psutil.Process(self._root).children(recursive=True)),
            ]
        except psutil.NoSuchProcess:
            return
        for pid in family:
            program, peak = _program(pid), _peak(pid)
            if peak and program != self._self:
                self._peaks[pid, program] = max(peak, self._peaks.get((pid, program), 0))


def idle_memory(modules: str) -> int:
    """Peak bytes of a Python process that has imported these modules and done nothing else."""
    argv = [sys.executable, "-c", f"import {modules}; print(flush=True); input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        peak = _peak(process.pid)
        process.communicate(b"\n")
    return peak


def _program(pid: int) -> str:
    """``age``, or ``python -m package.module``: what tells the processes of a contestant apart."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    if "-m" in words[:3]:
        return " ".join(["python", *words[words.index("-m") : words.index("-m") + 2]])
    return Path(words[0]).name


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)

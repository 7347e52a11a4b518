"""Start what kills itself at a named step (``killed_run``), and insist that it did."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Set
from pathlib import Path

import psutil
from support.sailing import Hull

MARK = "LIFEBOAT_TEST_MARK"
"""Environment variable by which what such a run leaves behind is recognised; its value is the ship's folder."""


def insist_that_none_is_left(**environment: str) -> None:
    """No process with one of these in its environment: children end by themselves, and are given five seconds."""
    limit = time.monotonic() + 5
    while (left := _left_behind(environment.items())) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not left


def _left_behind(wanted: Set[tuple[str, str]]) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if wanted & process.environ().items():
                found.append(" ".join(process.cmdline()))
    return found


def killed(ship: Hull, action: str, step: str, moment: str, **arguments: object) -> None:
    """Run the ship's method ``action`` in a process that kills itself at the step."""
    ship_file = ship.folder / "ship"
    ship_file.write_bytes(pickle.dumps((ship, arguments)))
    argv = [sys.executable, "-m", "support.killed_run", str(ship_file), action, step, moment]
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent)])
    done = subprocess.run(
        argv,
        env=os.environ | {"PYTHONPATH": path, MARK: str(ship.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr

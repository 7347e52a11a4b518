"""Start what kills itself at a named step (``killed_run``), and insist that it did."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

from support.sailing import Hull

MARK = "LIFEBOAT_TEST_MARK"
"""Environment variable by which what such a run leaves behind is recognised; its value is the ship's folder."""


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

"""``lifeboat backup`` with trouble at a named step: its Prefect server is killed, or its clock is set.

Usage: ``python -m support.troubled_run STEP TROUBLE POLICY``, where the trouble is ``kill=PID`` of a server that leads a
process group, or ``clock=OFFSET FILE`` of libfaketime. Nothing in the product knows of it: the step's function is wrapped
from outside. Output and exit code are the command's own.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

STEPS = {
    # The step, and whether the trouble comes before it or after it.
    "dump": ("tasks.dump:dump_batch", "before"),
    "end": ("flows.backup:committed", "after"),
}


def kill_server(pid: int) -> None:
    """Kill the server's whole group and wait until nobody is served any more; the second time does nothing."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        server = psutil.Process(pid)
        if server.status() != psutil.STATUS_ZOMBIE:
            os.killpg(pid, signal.SIGKILL)
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
            pass


def set_clock(setting: str) -> None:
    offset, _, file = setting.partition(" ")
    Path(file).write_text(offset + "\n")


def arm(step: str, trouble: Callable[[], None]) -> None:
    place, moment = STEPS[step]
    module_name, name = place.split(":")
    module = importlib.import_module(module_name)
    original = getattr(module, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            trouble()
        result = original(*args, **kwargs)
        if moment == "after":
            trouble()
        return result

    setattr(module, name, wrapped)


def main() -> int:
    from cli.main import run

    # The clock is the worker's own: its children would take a faked one for a reason to refuse every nap (EINVAL).
    os.environ.pop("LD_PRELOAD", None)
    step, told, policy = sys.argv[1:]
    kind, _, value = told.partition("=")
    arm(step, {"kill": lambda: kill_server(int(value)), "clock": lambda: set_clock(value)}[kind])
    return run(["backup", "demo", "--policy", policy])


if __name__ == "__main__":
    sys.exit(main())

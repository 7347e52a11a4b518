"""A backup, prune or restore that kills itself with SIGKILL at a named step. Runs as a process of its own.

Usage: ``python -m support.killed_run SHIP_FILE ACTION STEP MOMENT``. Nothing in the product knows of it: the step's
function is wrapped from outside, and the process ends itself before or after the call, or inside at the first byte.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

STEPS = {
    "survey": "lifeboat.stages.direct:survey",
    "freeze": "lifeboat.stages.snapshot:_freeze",
    "dump": "lifeboat.stages.direct:dump_batch",
    "seal": "lifeboat.stages.encrypt:seal",
    "upload": "lifeboat.stages.direct:upload_batch",
    "send": "lifeboat.stages.upload:send_file",
    "check": "lifeboat.stages.direct:check_batch",
    "index": "lifeboat.stages.publish:_send_index",
    "commit": "lifeboat.stages.publish:_commit",
    "record": "lifeboat.stages.prune:_write_record",
    "delete": "lifeboat.stages.prune:_delete_object",
    "create": "lifeboat.stages.restore:_create",
    "load": "lifeboat.stages.restore:_load_data",
    "finish": "lifeboat.stages.restore:_finish",
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def torn(function: Callable[..., Any]) -> Callable[..., Any]:
    """The second half of what is sent never is: the process dies in the middle of the object."""

    def create_new(self: object, name: str, chunks: Iterable[bytes]) -> int:
        def half() -> Iterable[bytes]:
            for chunk in chunks:
                yield chunk[: len(chunk) // 2]
                die()

        return int(function(self, name, half()))

    return create_new


def arm(step: str, moment: str) -> None:
    module_name, name = STEPS[step].split(":")
    module = importlib.import_module(module_name)
    original = getattr(module, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            die()
        if moment == "middle":
            from lifeboat.adapters import store_local

            store_local.LocalStore.create_new = torn(store_local.LocalStore.create_new)
        result = original(*args, **kwargs)
        die()
        return result

    setattr(module, name, wrapped)


def main() -> None:
    ship_file, action, step, moment = sys.argv[1:]
    ship, arguments = pickle.loads(Path(ship_file).read_bytes())
    arm(step, moment)
    getattr(ship, action)(**arguments)


if __name__ == "__main__":
    main()

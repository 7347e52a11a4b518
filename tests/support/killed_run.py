"""A backup, prune or restore that kills itself with SIGKILL at a named step. Runs as a process of its own.

Usage: ``python -m support.killed_run SHIP_FILE ACTION STEP MOMENT``. Nothing in the product knows of it: the step's
function is wrapped from outside, and the process ends itself before or after the call, or inside at the first byte.
"""

from __future__ import annotations

import importlib
import itertools
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
    "send": "lifeboat.adapters.transfers:StoreTransfers.send",
    "large send": "lifeboat.adapters.transfers:ChildTransfers.send",
    "check": "lifeboat.stages.direct:check_batch",
    "index": "lifeboat.stages.publish:_send_index",
    "commit": "lifeboat.stages.publish:_commit",
    "record": "lifeboat.stages.prune:_write_record",
    "delete": "lifeboat.stages.prune:_delete_object",
    "create": "lifeboat.stages.incomplete_database:create_database",
    "pg_restore": "lifeboat.stages.restore:_Work._pg_restore",
    "part": "lifeboat.stages.restore:_Work._load_part",
    "second part": "lifeboat.stages.restore:_Work._load_part",
    "rest": "lifeboat.stages.restore:_Work._load_rest",
    "load": "lifeboat.stages.restore:_Work._load",
    "loaded": "lifeboat.stages.incomplete_database:IncompleteDatabase.set_loaded",
    "last": "lifeboat.stages.restore:_Work._make_last",
    "name": "lifeboat.stages.restore:name_database",
    "tree begin": "lifeboat.stages.restore_tree:incomplete_tree",
    "tree mark": "lifeboat.stages.incomplete_tree:_new",
    "tree parts": "lifeboat.stages.restore_tree:_Work._load_parts",
    "tree part": "lifeboat.stages.restore_tree:_Work._load",
    "second tree part": "lifeboat.stages.restore_tree:_Work._load",
    "tree note": "lifeboat.stages.incomplete_tree:IncompleteTree.note",
    "second tree note": "lifeboat.stages.incomplete_tree:IncompleteTree.note",
    "tree compare": "lifeboat.stages.restore_tree:_Work._compare",
    "tree link": "lifeboat.stages.restore_tree:_Work._make_link",
    "tree name": "lifeboat.stages.incomplete_tree:IncompleteTree.name",
    "tree tidy": "lifeboat.stages.incomplete_tree:_clear",
    "drill plan": "lifeboat.stages.drill:plan_restoration",
    "drill provision": "lifeboat.stages.drill:_provision",
    "drill restore": "lifeboat.stages.restore_items:restore_database",
    "drill compare": "lifeboat.stages.drill_compare:compare_database",
    "drill record": "support.sailing:publish_record",
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
    *owners, name = name.split(".")
    module = importlib.import_module(module_name)
    for owner in owners:
        module = getattr(module, owner)
    original = getattr(module, name)

    calls = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if step.startswith("second ") and next(calls) == 1:
            return original(*args, **kwargs)
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

"""Child process: a session with the store, and the bytes that it moves. See ``transfers``.

Runs as ``python -m lifeboat.adapters.transfer_child``, one small job after the other. A job that fails is the last one
of its session: the run ends the process, and the session with it.
"""

from __future__ import annotations

import base64
import dataclasses
import pickle
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lifeboat.adapters.child_side import Lifeline, carry_out
from lifeboat.adapters.memory import keep_freed_memory
from lifeboat.adapters.store import StoreTarget
from lifeboat.adapters.transfers import StoreTransfers


class Session:
    """At most one open session, between the jobs ``open`` and ``close``."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._transfers: StoreTransfers | None = None

    def work(self, job: dict[str, Any]) -> dict[str, Any]:
        match job["do"]:
            case "open":
                target: StoreTarget = pickle.loads(base64.b64decode(job["store"]))  # noqa: S301 - from our own parent
                self._transfers = StoreTransfers(self._stack.enter_context(target.connect()))
            case "close":
                self._stack.close()
            case "free_space":
                space = self._open.free_space()
                return {"space": dataclasses.asdict(space) if space else None}
            case "send":
                self._open.send(job["name"], Path(job["path"]))
            case "digest":
                return dataclasses.asdict(self._open.digest(job["name"]))
        return {}

    @property
    def _open(self) -> StoreTransfers:
        assert self._transfers is not None
        return self._transfers


def main() -> None:
    """Job after job, until the run ends."""
    keep_freed_memory()
    lifeline = Lifeline()
    session = Session()
    while True:
        carry_out(lifeline.job(), session.work)


if __name__ == "__main__":
    main()

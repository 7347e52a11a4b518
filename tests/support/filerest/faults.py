"""Faults on demand: which requests they meet, and what then happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["busy", "forbidden", "drop", "short", "cut-header", "first"]


@dataclass
class Fault:
    """Meets ``times`` requests of this operation, after ``skip`` of them, on this path or any.

    ``busy`` answers 503 ServerBusy with Retry-After; ``forbidden`` 403; ``drop`` resets the connection in the middle
    of the body; ``short`` answers consistently with half of the range; ``cut-header`` resets before any answer;
    ``first`` runs ``action`` and then answers as usual, so that things vanish between two requests.
    """

    operation: str
    kind: Kind
    path: str | None = None
    skip: int = 0
    times: int = 1
    retry_after: int | None = None
    action: Callable[[], None] = lambda: None


@dataclass
class Faults:
    """The faults that are still to come."""

    pending: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, operation: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.pending:
                if fault.operation == operation and fault.path in (None, path):
                    if fault.skip:
                        fault.skip -= 1
                    elif fault.times:
                        fault.times -= 1
                        return fault
        return None

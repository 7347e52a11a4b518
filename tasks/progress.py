"""Progress that people see: a line in the run's log at most every few seconds, and a bar in the UI."""

from __future__ import annotations

import threading

from prefect.logging import get_run_logger

from lifeboat import clock

QUIET = 5.0
"""Seconds between two lines."""


class ProgressBoard:
    """Collects notes from all threads of a run and shows the latest, not each."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._last = clock.Stopwatch()
        self._shown = 0.0

    def __enter__(self) -> ProgressBoard:
        self._logger = get_run_logger()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end; a context so that the logger of the right run is taken."""

    def note(self, text: str) -> None:
        """Called from any thread, as often as one likes."""
        with self._lock:
            now = self._last.seconds()
            if now - self._shown < QUIET:
                return
            self._shown = now
        self._logger.info("%s: %s", self._label, text)

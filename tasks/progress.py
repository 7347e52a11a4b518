"""Progress that people see: a line in the run's log every few seconds, a bar in the UI, and one on the terminal."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from lifeboat import clock
from lifeboat.stages.progress import Standing

QUIET = 5.0
"""Seconds between two lines."""
PAUSE = 2.0
"""Seconds between two calls of the API for a bar, which are made for whole percents only: about a hundred a source."""
PATIENCE = 3.0
"""Seconds that the end of a run waits for a bar's last call."""

Watcher = Callable[[str, Standing], None]
"""Called with a run's label and how far it is, from any thread; must return at once."""

_watcher: contextvars.ContextVar[Watcher | None] = contextvars.ContextVar("watcher", default=None)


@contextlib.contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Tell ``watcher`` how far each source is, of the runs that this thread starts inside."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


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


class ProgressBar:
    """A progress artifact of the run inside which it is entered, and the bar of whoever watches that run.

    A thread of its own calls the API, so that a slow server or none delays no backup. What cannot be shown is said
    once in the run's log and tried again with the next percent; the truth about a backup is on the store, not here.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._watcher = _watcher.get()
        self._latest: Standing | None = None
        self._shown = -1
        self._artifact: UUID | None = None
        self._complained = False
        self._ended = threading.Event()

    def __enter__(self) -> ProgressBar:
        self._logger = get_run_logger()
        # A new thread begins with an empty context, and would know neither the run nor which API it belongs to.
        keep_up = contextvars.copy_context().run
        self._thread = threading.Thread(target=keep_up, args=(self._keep_up,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PATIENCE)

    def note(self, standing: Standing) -> None:
        """Called from any thread, as often as one likes; returns at once."""
        self._latest = standing
        if self._watcher:
            self._watcher(self._label, standing)

    def _keep_up(self) -> None:
        # The client would repeat a call for a minute; here the next percent repeats it.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            while not self._ended.wait(PAUSE):
                self._show()
            self._show()

    def _show(self) -> None:
        standing = self._latest
        if standing is None or standing.percent == self._shown:
            return
        try:
            self._send(standing)
            self._shown = standing.percent
        except httpx.HTTPError as error:  # all that a server, or the way to it, can do wrong
            if not self._complained:
                self._logger.warning(
                    "%s: the UI does not show how far this is (%s); the backup goes on",
                    self._label,
                    type(error).__name__,
                )
            self._complained = True

    def _send(self, standing: Standing) -> None:
        told = f"Dump of **{self._label}**: {standing}, {standing.percent} %"
        if self._artifact is None:
            made = create_progress_artifact(standing.percent, key=f"progress-{self._label}", description=told)
            self._artifact = cast(UUID, made)  # no coroutine: this thread runs no event loop
        else:
            update_progress_artifact(self._artifact, standing.percent, description=told)

"""What runs inside a child process: the job, the lifeline, the events. See ``children``."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from collections.abc import Callable
from typing import Any

import orjson

from lifeboat.errors import LifeboatError

_STANDARD_INPUT, _STANDARD_OUTPUT = 0, 1
GO = {"go": True}
"""The line that grants a sealing child ``spool.GRANT`` more bytes."""


class Lifeline:
    """The child's end: hands out jobs and grants; when it closes, the whole process group ends."""

    def __init__(self) -> None:
        self._buffer = b""
        self._grants = threading.Semaphore(0)
        self._jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._watch, daemon=True).start()

    def job(self) -> dict[str, Any]:
        """The next job; waits for ever, since a run that is over ends this process."""
        return self._jobs.get()

    def wait_for_grant(self) -> None:
        """Block until the run says ``go``; see ``Spool``."""
        self._grants.acquire()

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            # os.read and no buffered reader: a daemon thread inside one aborts the interpreter's exit.
            block = os.read(_STANDARD_INPUT, 2**16)
            if not block:
                os.killpg(0, signal.SIGKILL)
            self._buffer += block
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _watch(self) -> None:
        while True:
            message = json.loads(self._line())
            if message == GO:
                self._grants.release()
            else:
                self._jobs.put(message)


def tell(event: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
    """Send one event to the run."""
    data = _encoded({"event": event, **fields}) + b"\n"
    while data:
        data = data[os.write(_STANDARD_OUTPUT, data) :]


def carry_out(job: dict[str, Any], work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Do a job and tell its result; an error of ours is told, to be raised by the run (``children.failure_of``)."""
    try:
        result = work(job)
    except LifeboatError as error:
        tell("failed", kind=type(error).__name__, message=error.message, hint=error.hint)
    else:
        tell("done", **result)


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(message)
    except TypeError:  # a name that is no UTF-8, which only the slow one can write
        return json.dumps(message).encode()


def decoded(line: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """What one line says. A part of ten thousand files is told in one."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line)

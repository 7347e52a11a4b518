"""What runs inside a child process: the job, the lifeline, the events. See ``children``."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

_STANDARD_INPUT, _STANDARD_OUTPUT = 0, 1


class Lifeline:
    """The child's end: reads the job, then watches; when it closes, the whole process group ends."""

    def __init__(self) -> None:
        self._buffer = b""
        self._grants = threading.Semaphore(0)

    def job(self) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self._line())
        threading.Thread(target=self._watch, daemon=True).start()
        return job

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
        while self._line():
            self._grants.release()


def tell(event: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
    """Send one event to the run."""
    data = json.dumps({"event": event, **fields}).encode() + b"\n"
    while data:
        data = data[os.write(_STANDARD_OUTPUT, data) :]

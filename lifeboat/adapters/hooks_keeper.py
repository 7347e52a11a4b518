"""The keeper of a frozen source: freezes, waits until its standard input closes, releases. See ``hooks``."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from lifeboat.errors import ConfigurationError, LifeboatError, Refused, SourceError, TimeLimitExceeded

_LAST_WORDS: Final = 2000
"""Bytes of a command's output that go into an error."""


class Keeper:
    """One source's two commands, and its marker."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._before: list[str] = job["before"]
        self._after: list[str] = job["after"]
        self._timeout: float = job["timeout"]
        self._label: str = job["label"]
        self._path = Path(job["marker"])
        self._marker = self._locked_marker()

    def freeze(self) -> None:
        """Run ``before``, after ``after`` if an earlier run could not release; raises when it fails."""
        left_over = self._released_left_over() if os.fstat(self._marker).st_size else ""
        self._set_marker()
        try:
            self._run("before", self._before)
        except TimeLimitExceeded:
            self.release()  # it may have got half-way: whether that is undone must be known
            raise
        except LifeboatError as error:
            with suppress(LifeboatError):
                self._run("after", self._after)
            self._remove_marker()
            raise type(error)(error.message + left_over, hint=error.hint) from error

    def release(self) -> None:
        """Run ``after``; the marker goes only when it worked."""
        self._run("after", self._after)
        self._remove_marker()

    def _locked_marker(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            marker = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    f"{self._label} is held by the hooks of another run.",
                    hint=f"Wait until it ends; its process has {self._path} open.",
                ) from None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(marker), self._path.stat()):
                    return marker
            os.close(marker)  # the other run removed it while we opened it

    def _released_left_over(self) -> str:
        """Release for a run that could not; if that fails, ``before`` shows whether it matters."""
        try:
            self._run("after", self._after)
        except LifeboatError as error:
            return f" An earlier run had left it frozen, and releasing it first failed: {error.message}"
        return ""

    def _set_marker(self) -> None:
        os.pwrite(self._marker, b"Frozen by Lifeboat; the next run releases it and removes this file.\n", 0)
        os.fsync(self._marker)

    def _remove_marker(self) -> None:
        self._path.unlink(missing_ok=True)

    def _run(self, which: str, command: list[str]) -> None:
        where = f"{self._label}: the hook '{which}' ({command[0]!r})"
        # A file, not a pipe: what the command leaves running in the background may keep it.
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
                )
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"{where} cannot be started: {error}.",
                    hint="Give the program and each argument as an item of its own; there is no shell.",
                ) from error
            try:
                status = process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TimeLimitExceeded(
                    f"{where} was ended after its limit of {self._timeout:g} s; it said {_last_words(output)}."
                ) from None
            if status:
                raise SourceError(
                    f"{where} failed with {_cause(status)}; it said {_last_words(output)}.",
                    hint="Try the command by hand with the worker's account.",
                )


def _cause(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _last_words(output: Any) -> str:  # noqa: ANN401 - a temporary file
    """The end of what a command said, quoted: it is not trusted with a terminal."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _LAST_WORDS))
    return repr(output.read().decode("utf-8", "backslashreplace").strip()) if size else "nothing"


def tell(event: str, **fields: str) -> None:
    """Send one line to the run; it may be gone."""
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(json.dumps({"event": event, **fields}).encode() + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # What ends the run closes the pipe, too, and then it is released in peace.
        signal.signal(ending, signal.SIG_IGN)
    try:
        keeper = Keeper(json.loads(sys.stdin.buffer.readline()))
        keeper.freeze()
        tell("frozen")
        sys.stdin.buffer.read()
        keeper.release()
        tell("released")
    except LifeboatError as error:
        tell("failed", kind=type(error).__name__, message=error.message, hint=error.hint)


if __name__ == "__main__":
    main()

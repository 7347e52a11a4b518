"""Where an opaque part's plaintext goes, inside the loading child: a program, or a private file."""

from __future__ import annotations

import os
import subprocess

from lifeboat.errors import RestoreFailed


class ProgramSink:
    """A program's standard input."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def take(self, data: memoryview) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self.finish()

    def finish(self) -> None:
        _, complaints = self._process.communicate()
        if self._process.returncode != 0:
            raise RestoreFailed(
                f"pg_restore ended with {self._process.returncode}: {complaints.decode(errors='replace')}"
            )


class FileSink:
    """A private file, for the small archives that pg_restore must be able to seek in."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "xb", opener=_private)  # noqa: SIM115 - closed in finish

    def take(self, data: memoryview) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

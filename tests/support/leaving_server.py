"""A Prefect server that can be killed and started again at the same address, with the same database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.prefect_server import end_group, free_port, server_environment, wait_until_healthy


@dataclass
class LeavingServer:
    """``prefect server start`` with everything in ``home``."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def there(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self.there:
            return
        log = self.home / "server.log"
        prefect = Path(sys.executable).parent / "prefect"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [prefect, "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
                env=server_environment(self.home),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until_healthy(self.api, self.process, log)

    def kill(self) -> None:
        """As a crash of its host would: no goodbye."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def leaving_server(home: Path) -> Iterator[LeavingServer]:
    server = LeavingServer(home)
    server.start()
    try:
        yield server
    finally:
        if server.process:
            end_group(server.process)

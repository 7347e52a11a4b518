"""A real RabbitMQ node with its management plugin, in a folder of its own, on loopback, ended by process id.

Debian's service is not used: the node, its port mapper (epmd) and its cookie belong to the test alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from support.sshd import free_port

from lifeboat.adapters.http_session import Endpoint, UserPassword

_PROGRAMS = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
RABBITMQ = str(_PROGRAMS[-1]) if _PROGRAMS else None
"""The start script itself: Debian's wrapper around it insists on another user."""
EPMD = shutil.which("epmd")
START_LIMIT = 120
"""Seconds; about 10 on two idle cores."""

_SETTINGS = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
default_user = {user}
default_pass = {password}
log.console = false
collect_statistics_interval = 200
"""


@dataclass
class RabbitMQ:
    """One node; ``user`` is its administrator."""

    home: Path
    port: int = field(default_factory=free_port)
    user: str = "keeper"
    password: str = "p:ass word"
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def endpoint(self, **changes: Any) -> Endpoint:
        """How Lifeboat reaches it; ``changes`` replace single settings."""
        credential = UserPassword(self.user, self.password)
        return Endpoint(**{"url": self.url, "credential": credential, "first_wait": 0.02, **changes})

    def start(self) -> None:
        amqp, distribution, mapper = free_port(), free_port(), free_port()
        (self.home / "rabbitmq.conf").write_text(
            _SETTINGS.format(amqp=amqp, management=self.port, user=self.user, password=self.password)
        )
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "lifeboat@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
        }
        assert EPMD
        assert RABBITMQ
        self._run([EPMD, "-port", str(mapper), "-address", "127.0.0.1"], environment)
        self._run([RABBITMQ], environment)
        self._wait_until_it_answers()

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        with (self.home / "output.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and all(process.poll() is None for process in self._processes):
            with contextlib.suppress(httpx.TransportError):
                if self.ask("GET", "/api/definitions"):
                    return
            time.sleep(0.2)
        raise RuntimeError(f"RabbitMQ did not start: {(self.home / 'output.log').read_text()}")

    def stop(self) -> None:
        """The node first, then its port mapper; each with all it started."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # What an administrator does, with nothing of ours in between.

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to the management API: the answer's value, or None when it has none."""
        answer = httpx.request(
            method,
            self.url + path,
            content=None if body is None else json.dumps(body),
            headers={"content-type": "application/json"},
            auth=httpx.BasicAuth(self.user, self.password),
            timeout=30,
            trust_env=False,
        )
        if answer.status_code >= 400 and not path.startswith("/api/definitions"):
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content and answer.is_success else None

    def add_user(self, name: str, password: str, *tags: str) -> None:
        self.ask("PUT", f"/api/users/{quote(name, safe='')}", {"password": password, "tags": ",".join(tags)})

    def publish(self, vhost: str, queue: str, count: int) -> None:
        """``count`` messages through the default exchange."""
        message = {
            "properties": {},
            "routing_key": queue,
            "payload": "in transit",
            "payload_encoding": "string",
        }
        for _ in range(count):
            path = f"/api/exchanges/{quote(vhost, safe='')}/amq.default/publish"
            assert self.ask("POST", path, message) == {"routed": True}


@contextlib.contextmanager
def running_rabbitmq() -> Iterator[RabbitMQ]:
    """A started, empty broker; it and all it wrote are gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="lifeboat-rabbitmq-"))
    broker = RabbitMQ(home)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(home)

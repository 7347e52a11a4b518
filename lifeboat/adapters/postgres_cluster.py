"""A throw-away PostgreSQL server from local programs: initdb, start on loopback, stop, gone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

from lifeboat import clock
from lifeboat.adapters.postgres import PostgresServer, find_program
from lifeboat.errors import ConfigurationError

SERVICE_USER = "nobody"
"""PostgreSQL refuses to run as root; then it runs as this user, on a folder of its own."""
START_LIMIT = 60.0


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """One server on 127.0.0.1 with a superuser ``postgres`` and a password; use as a context manager."""

    def __init__(
        self, folder: Path, major: int, *, settings: dict[str, str] | None = None, inside: bool = False
    ) -> None:
        """``inside``: in that very folder, also as root; the user that PostgreSQL then runs as must reach it."""
        self.folder = folder if inside or _service_user() is None else _reachable_folder()
        self.major = major
        self.port = free_port()
        self.password = os.urandom(12).hex()
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        self.initialise()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def server(self) -> PostgresServer:
        return PostgresServer(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=lambda: self.password,
            tls_mode="disable",
        )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        self._hand_over()
        self._run(
            "initdb", "--pgdata", str(self.data), "--username=postgres", "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        password_file.unlink()

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "logging_collector": "off",
            **self._settings,
        }
        arguments = [item for name, value in settings.items() for item in ("-c", f"{name}={value}")]
        (self.folder / "log").touch(mode=0o600)  # it may quote rows
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=_service_user(), process_group=0,
            )  # fmt: skip
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, as a crash would be."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(60)
        self._process = None

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = clock.Deadline.after(START_LIMIT)
        while not deadline.passed():
            try:
                psycopg.connect(
                    host="127.0.0.1",
                    port=self.port,
                    user="postgres",
                    password=self.password,
                    dbname="postgres",
                ).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    break
                clock.sleep(0.05)
        log = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-3:]
        self.stop()
        raise ConfigurationError(f"PostgreSQL {self.major} did not start in {self.folder}: {' | '.join(log)}")

    def _program(self, name: str) -> str:
        path = Path(find_program(name, self.major))
        if _service_user() is None or _open_to_all(path):
            return str(path)
        # A wheel below root's home: its programs find their libraries by relative paths, so all of it moves.
        package = next(parent for parent in path.parents if parent.parent.name == "site-packages")
        copy = self.folder / "programs"
        for tree in package.parent.glob(f"{package.name}*"):
            if tree.is_dir() and not (copy / tree.name).exists():
                shutil.copytree(tree, copy / tree.name)
        return str(copy / path.relative_to(package.parent))

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._program(program), *arguments], user=_service_user(), capture_output=True, text=True, check=False,
            cwd=self.folder,
        )  # fmt: skip
        if done.returncode != 0:
            raise ConfigurationError(f"{program} failed: {done.stderr.strip()}")

    def _hand_over(self) -> None:
        """Give the folder to the service user, and let that user reach it."""
        user = _service_user()
        if user is None:
            return
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)


def _reachable_folder() -> Path:
    """A folder of its own that the service user can reach; those of root, and of test runners, it often cannot."""
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-postgres-"))
    folder.chmod(0o755)
    return folder


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _service_user() -> str | None:
    return SERVICE_USER if os.geteuid() == 0 else None

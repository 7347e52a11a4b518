"""The store of all contestants: one OpenSSH server on loopback, as it comes, and the files that ssh reads."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import psutil

from lifeboat import clock
from lifeboat.adapters.postgres_cluster import free_port
from lifeboat.errors import ConfigurationError

HOST = "benchmark-nas"
"""What ssh calls the server; its address, port, user and keys are in ``Nas.ssh_config``."""
START_LIMIT = 10.0

_SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
PidFile none
AuthorizedKeysFile {home}/authorized_keys
AuthenticationMethods publickey
StrictModes no
UsePAM no
MaxStartups 100
LogLevel ERROR
Subsystem sftp internal-sftp
"""

_CLIENT = """\
Host {host}
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {home}/key
    IdentitiesOnly yes
    UserKnownHostsFile {home}/known_hosts
    StrictHostKeyChecking yes
"""


@dataclass
class Nas:
    """One account that may use a shell and SFTP; ``folder`` is where each contestant gets a folder of its own."""

    home: Path
    user: str
    port: int = field(default_factory=free_port)
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    @property
    def folder(self) -> Path:
        return self.home / "store"

    @property
    def ssh_config(self) -> Path:
        return self.home / "ssh_config"

    def new_folder(self, name: str) -> Path:
        """An empty folder that the account owns."""
        path = self.folder / name
        path.mkdir(parents=True)
        entry = pwd.getpwnam(self.user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def settings(self, folder: Path) -> dict[str, str | int]:
        """The fields of Lifeboat's ``SftpTarget`` for one folder."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "folder": str(folder),
            "host_key": _public(self.host_key),
            "private_key": self.key.export_private_key().decode(),
        }

    def write_files(self) -> None:
        _write_private(self.home / "host_key", self.host_key.export_private_key())
        _write_private(self.home / "key", self.key.export_private_key())
        (self.home / "authorized_keys").write_text(_public(self.key) + "\n")
        (self.home / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {_public(self.host_key)}\n")
        (self.home / "sshd_config").write_text(_SERVER.format(port=self.port, home=self.home))
        self.ssh_config.write_text(_CLIENT.format(host=HOST, port=self.port, user=self.user, home=self.home))

    def answers(self) -> bool:
        argv = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", HOST, "true"]
        return (
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
        )


@contextlib.contextmanager
def running_nas(home: Path) -> Iterator[Nas]:
    """A started server below ``home``, which everybody may enter; ended with every session it started."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise ConfigurationError("There is no sshd on this host.", hint="apt-get install openssh-server")
    with _account() as user:
        nas = Nas(home, user)
        home.mkdir(mode=0o755)
        nas.write_files()
        with (home / "sshd.log").open("ab") as log:
            process = subprocess.Popen(
                [program, "-D", "-e", "-f", str(home / "sshd_config")], stdin=subprocess.DEVNULL, stderr=log
            )
        try:
            _wait_for(nas, process)
            yield nas
        finally:
            sessions = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait()
            for session in sessions:
                with contextlib.suppress(psutil.NoSuchProcess):
                    session.kill()
                    session.wait(5)


def _wait_for(nas: Nas, process: subprocess.Popen[bytes]) -> None:
    deadline = clock.Deadline.after(START_LIMIT)
    while not nas.answers():
        if deadline.passed() or process.poll() is not None:
            log = (nas.home / "sshd.log").read_text(errors="replace")
            raise ConfigurationError(f"sshd does not answer on port {nas.port}: {log}")
        clock.sleep(0.1)


@contextlib.contextmanager
def _account() -> Iterator[str]:
    """This user; root's stead takes a system user that lives as long as the block."""
    if os.geteuid() != 0:
        yield getpass.getuser()
        return
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd's unprivileged half lives
    name = f"lifeboat-{os.getpid()}"
    # The password '*' fits nothing, and unlike '!' does not lock the account for keys as well.
    argv = ["useradd", "-r", "-M", "-d", "/", "-s", "/bin/sh", "-p", "*", name]
    subprocess.run(argv, check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


def _public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def _write_private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)

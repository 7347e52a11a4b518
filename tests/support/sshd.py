"""A real OpenSSH server on a free loopback port, started and ended by its process id.

Two accounts, as on a NAS: a plain one, and the write-once one of reliability R17, which may create, read and
list and nothing else. Root ignores file permissions, so as root both log in as a system user made for the
test and removed after it.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from lifeboat.adapters.store_sftp import SftpTarget

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

_WRITE_ONCE = (
    "-u 0277 -P remove,rename,posix-rename,rmdir,setstat,fsetstat,lsetstat,symlink,hardlink,copy-data"
)

_CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
{host_keys}
PidFile none
AuthorizedKeysFile {home}/authorized_keys
AuthenticationMethods publickey
PermitRootLogin no
StrictModes no
UsePAM {pam}
MaxStartups 100
LogLevel ERROR
Subsystem sftp internal-sftp
ForceCommand internal-sftp {restrictions}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class SshServer:
    """One server with one account; ``folder`` is the store's folder, as the server and this test see it."""

    user: str
    home: Path
    write_once: bool = False
    port: int = field(default_factory=free_port)
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    further_host_keys: list[asyncssh.SSHKey] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.home / "store"

    def target(self, **changes: Any) -> SftpTarget:
        """How to reach this server; ``changes`` replace single settings."""
        settings = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "folder": str(self.folder),
            "host_key": public_line(self.host_key),
            "private_key": self.key.export_private_key().decode(),
            "connect_timeout": 10.0,
        }
        return SftpTarget(**{**settings, **changes})

    def start(self) -> None:
        self.authorize(self.key)
        host_keys = []
        for number, key in enumerate([self.host_key, *self.further_host_keys]):
            _write_private(self.home / f"host_key_{number}", key.export_private_key())
            host_keys.append(f"HostKey {self.home}/host_key_{number}")
        configuration = _CONFIGURATION.format(
            port=self.port,
            home=self.home,
            host_keys="\n".join(host_keys),
            # Without PAM, an sshd that may not read the shadow file takes every account for a locked one.
            pam="no" if os.geteuid() == 0 else "yes",
            restrictions=_WRITE_ONCE if self.write_once else "",
        )
        (self.home / "sshd_config").write_text(configuration)
        assert SSHD
        with (self.home / "sshd.log").open("ab") as log:
            command = [SSHD, "-D", "-e", "-f", str(self.home / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End the listener and, as a reboot would, every session it started."""
        if self._process:
            sessions = psutil.Process(self._process.pid).children(recursive=True)
            self._process.terminate()
            self._process.wait(10)
            for session in sessions:
                with contextlib.suppress(psutil.NoSuchProcess):
                    session.kill()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def authorize(self, *keys: asyncssh.SSHKey) -> None:
        """Exactly these keys may log in from now on."""
        path = self.home / "authorized_keys"
        path.write_text("".join(public_line(key) + "\n" for key in keys))
        path.chmod(0o644)

    def _wait_until_it_answers(self) -> None:
        assert self._process
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as line:
                line.settimeout(1)
                if line.recv(4) == b"SSH-":
                    return
            time.sleep(0.02)
        raise RuntimeError(f"sshd did not start: {(self.home / 'sshd.log').read_text()}")


def public_line(key: asyncssh.SSHKey) -> str:
    """``ssh-ed25519 AAAA…``, as it is pinned."""
    return key.export_public_key().decode().strip()


_ACCOUNTS = itertools.count(1)


@contextlib.contextmanager
def account() -> Iterator[str]:
    """The name of a user that is not root: this one, or one made for the time of the test."""
    if os.geteuid() != 0:
        yield getpass.getuser()
        return
    name = f"lifeboat-{os.getpid()}-{next(_ACCOUNTS)}"
    # The password '*' fits nothing, and unlike '!' does not lock the account for keys as well.
    subprocess.run(["useradd", "-r", "-M", "-d", "/", "-p", "*", name], check=True, capture_output=True)
    try:
        yield name
    finally:
        # By force: a session that was just ended may still be on its way out.
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


@contextlib.contextmanager
def running_sshd(user: str, *, write_once: bool = False) -> Iterator[SshServer]:
    """A started server with an empty store; the server and all it wrote are gone afterwards."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd's unprivileged half lives
    # Not below pytest's own folder, which only its owner may enter.
    home = Path(tempfile.mkdtemp(prefix="lifeboat-sshd-"))
    home.chmod(0o755)
    server = SshServer(user, home, write_once)
    try:
        server.folder.mkdir()
        if os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            os.chown(server.folder, entry.pw_uid, entry.pw_gid)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home)


def _write_private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)

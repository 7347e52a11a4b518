"""An SFTP server that lies: it acknowledges what it did not store, or answers with what it does not have.

It is a real SSH server (asyncssh) on a free loopback port, with its own thread and event loop. The files lie in
``folder``; which lie it tells is chosen per server by the hooks below.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from support.sshd import public_line

from lifeboat.adapters.store_sftp import SftpTarget


@dataclass
class Lies:
    """What the server does instead of its duty. Writes and reads are counted from 1 over its whole life."""

    write: Callable[[int, bytes], bytes | None] = lambda _number, data: data
    """What to store instead of ``data``; None to store nothing. All is acknowledged either way."""
    write_error: Exception | None = None
    """What to answer to the second write, instead of storing it."""
    read: Callable[[int, bytes], bytes] = lambda _number, data: data
    """What to answer instead of ``data``."""
    size: Callable[[int], int] = lambda size: size
    """The size to tell."""
    fsync_finds_disk_full: bool = False
    knows_no_extensions: bool = False
    """Whether fsync and statvfs are unsupported, as with many servers that are not OpenSSH."""
    forget_types: bool = False
    """Whether listings tell names only."""
    writes: int = 0
    reads: int = 0


@dataclass
class LyingServer:
    folder: Path
    lies: Lies
    port: int = 0
    logins: list[str] = field(default_factory=list)
    """User names of every attempt to log in with a key or a password."""
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    def target(self, **changes: Any) -> SftpTarget:
        settings = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "lifeboat",
            "folder": "/",
            "host_key": public_line(self.host_key),
            "private_key": self.key.export_private_key().decode(),
        }
        return SftpTarget(**{**settings, **changes})

    async def serve(self) -> asyncssh.SSHAcceptor:
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Door(self),
            server_host_keys=[self.host_key],
            sftp_factory=lambda channel: _LyingFiles(channel, self.folder, self.lies),
            config=None,
        )
        self.port = acceptor.get_port()
        return acceptor


class _Door(asyncssh.SSHServer):
    """Lets the one key in, and takes note of every attempt."""

    def __init__(self, server: LyingServer) -> None:
        self._server = server

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._server.logins.append(username)
        return public_line(key) == public_line(self._server.key)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
        self._server.logins.append(username)
        return False


class _LyingFiles(asyncssh.SFTPServer):
    def __init__(self, channel: Any, folder: Path, lies: Lies) -> None:
        super().__init__(channel, chroot=os.fsencode(folder))
        self._lies = lies

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        self._lies.writes += 1
        if self._lies.write_error and self._lies.writes == 2:
            raise self._lies.write_error
        stored = self._lies.write(self._lies.writes, data)
        if stored is not None:
            super().write(file_obj, offset, stored)
        return len(data)

    def read(self, file_obj: Any, offset: int, size: int) -> Any:
        self._lies.reads += 1
        return self._lies.read(self._lies.reads, super().read(file_obj, offset, size))

    def lstat(self, path: bytes) -> Any:
        attributes = asyncssh.SFTPAttrs.from_local(super().lstat(path))
        attributes.size = self._lies.size(attributes.size or 0)
        return attributes

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        async for entry in super().scandir(path):
            if self._lies.forget_types:
                entry.attrs = asyncssh.SFTPAttrs()
            yield entry

    def fsync(self, file_obj: Any) -> None:
        if self._lies.knows_no_extensions:
            raise asyncssh.SFTPOpUnsupported("Operation unsupported")
        if self._lies.fsync_finds_disk_full:
            # As OpenSSH says it: a plain failure, whatever the reason was.
            raise asyncssh.SFTPFailure("Failure")
        super().fsync(file_obj)

    def statvfs(self, path: bytes) -> Any:
        if self._lies.knows_no_extensions:
            raise asyncssh.SFTPOpUnsupported("Operation unsupported")
        if not self._lies.fsync_finds_disk_full:
            return super().statvfs(path)
        return asyncssh.SFTPVFSAttrs(bsize=4096, frsize=4096, blocks=1000, bavail=0)


@contextlib.contextmanager
def lying_server(folder: Path, lies: Lies) -> Iterator[LyingServer]:
    server = LyingServer(folder, lies)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(server.serve(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(acceptor), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _end(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()

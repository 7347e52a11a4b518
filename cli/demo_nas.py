"""A NAS for the demo: an SFTP server on loopback over one folder. Runs as ``python -m cli.demo_nas``.

Real SSH and SFTP by asyncssh, so that the demo needs no sshd; the tests use OpenSSH.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import asyncssh


class Nas(asyncssh.SFTPServer):
    """The folder of the demo as root of everything."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], root: str) -> None:
        super().__init__(channel, chroot=root.encode())


async def serve(settings: dict[str, Any]) -> None:
    """Serve until standard input closes: the demo holds the other end, so that no server outlives it."""
    root = settings["root"]
    server = await asyncssh.listen(
        "127.0.0.1",
        settings["port"],
        server_host_keys=[settings["host_key_file"]],
        authorized_client_keys=settings["authorized_keys_file"],
        sftp_factory=lambda channel: Nas(channel, root),
        allow_scp=False,
    )
    await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)
    server.close()


def make_keys(folder: Path) -> tuple[str, str]:
    """A host key and a client key in ``folder``; returns the public host key line and the private client key."""
    folder.mkdir(parents=True, exist_ok=True)
    host, client = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    for name, text in (
        ("host_key", host.export_private_key()),
        ("authorized_keys", client.export_public_key()),
    ):
        (folder / name).write_bytes(text)
        (folder / name).chmod(0o600)
    return host.export_public_key().decode().strip(), client.export_private_key().decode()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))

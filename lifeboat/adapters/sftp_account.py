"""An account on an SSH server and who may answer there: settings that are checked when written.

For everything of ours that speaks SFTP: the store, and trees of files to back up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import asyncssh

from lifeboat.adapters.sftp_requests import SSH_WINDOW
from lifeboat.errors import ConfigurationError

_SIGNATURES = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Accepted host key types, each with its signature algorithms; none uses SHA-1, none is a certificate."""

# AES-GCM first: asyncssh's own first choice, ChaCha20, is half as fast (design §4).
_CIPHERS = [
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
]


@dataclass(frozen=True)
class SftpAccount:
    """One account's folder on one server, with the host keys that may answer there.

    ``host_key`` holds one or more public keys, ``ssh-ed25519 AAAA…``, one a line; ``private_key`` is the text
    of the key file. Raises ``ConfigurationError`` when no host key is pinned, when a key cannot be read, and
    when there is nothing to log in with. Times are in seconds.
    """

    host: str
    user: str
    folder: str
    host_key: str
    port: int = 22
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    connect_timeout: float = 20
    keepalive_interval: float = 15
    keepalive_count: int = 4
    stall_timeout: float = 60

    def __post_init__(self) -> None:
        _pinned_keys(self)
        if _client_key(self) is None and not self.password:
            raise ConfigurationError(f"There is neither a private key nor a password for {self.label}.")

    @property
    def label(self) -> str:
        return f"sftp://{self.user}@{self.host}:{self.port}/{self.folder.lstrip('/')}"

    def connection_options(self) -> dict[str, Any]:
        """What sshfs and asyncssh are told; secrets are in it."""
        return _connection_options(self)


def _pinned_keys(account: SftpAccount) -> list[asyncssh.SSHKey]:
    """The public keys of ``host_key``. A line is never quoted: it might be a private key by mistake."""
    keys = []
    for number, line in enumerate(account.host_key.strip().splitlines(), start=1):
        try:
            if line.split()[0] not in _SIGNATURES:
                raise asyncssh.KeyImportError("unknown key type")
            keys.append(asyncssh.import_public_key(line.strip()))
        except (asyncssh.KeyImportError, IndexError) as error:
            raise ConfigurationError(
                f"Line {number} of the host key for {account.label} is not a public key.",
                hint=f"Write type and key, as in 'ssh-ed25519 AAAA…'; types: {', '.join(_SIGNATURES)}.",
            ) from error
    if not keys:
        raise ConfigurationError(
            f"No host key is pinned for {account.label}.",
            hint="Read it on the server itself: cat /etc/ssh/ssh_host_ed25519_key.pub",
        )
    return keys


def _client_key(account: SftpAccount) -> asyncssh.SSHKey | None:
    if not account.private_key:
        return None
    try:
        return asyncssh.import_private_key(account.private_key, account.passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ConfigurationError(
            f"The private key for {account.label} cannot be read: {error}.",
            hint="Give the whole text of an OpenSSH or PEM private key file, and its passphrase if any.",
        ) from None


def _connection_options(account: SftpAccount) -> dict[str, Any]:
    """Everything is said: what is not, asyncssh takes from ~/.ssh, an agent, or trusts (reliability §3.1)."""
    pinned = _pinned_keys(account)
    key = _client_key(account)
    # The pinned types first, so that a server that added a key still shows the one we know. The others after
    # them: a server without a pinned type then shows what it has and is recognised as another one, where it
    # would else just hang up like a network that failed, and be tried again (F19).
    first = [pin.get_algorithm() for pin in pinned]
    types = dict.fromkeys([*first, *_SIGNATURES])
    return {
        "host": account.host,
        "port": account.port,
        "username": account.user,
        "known_hosts": (pinned, [], []),
        "server_host_key_algs": [name for kind in types for name in _SIGNATURES[kind]],
        "x509_trusted_certs": None,
        "config": None,
        "agent_path": None,
        "client_keys": [key] if key else None,
        "password": account.password,
        # One try each, and no keyboard-interactive second guess with the same password (F20).
        "preferred_auth": ["publickey", "password"],
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "encryption_algs": _CIPHERS,
        "compression_algs": None,
        "connect_timeout": account.connect_timeout,
        "login_timeout": account.connect_timeout,
        "window": SSH_WINDOW,
        "keepalive_interval": account.keepalive_interval,
        "keepalive_count_max": account.keepalive_count,
        "skip_instance_cache": True,
    }

"""What asyncssh and the operating system say about SFTP, understood once for stores and trees.

SFTP's own vocabulary is small: a taken name, a full disk and an exhausted quota are all ``Failure``. Here is
everything that can be told from the error alone.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Final

import asyncssh
from asyncssh.packet import PacketDecodeError

from lifeboat.adapters.sftp_requests import Stalled, WrongLength

TRANSLATED: Final = (asyncssh.Error, OSError, EOFError, PacketDecodeError, Stalled, WrongLength)
"""What a session may raise. Everything else is a defect of ours and passes unchanged."""


class Cause(Enum):
    """What went wrong, in a few words."""

    HOST_KEY = "another host key answers there than the pinned one"
    ACCOUNT = "the account or its key was not accepted"
    MISSING = "it is not there"
    TAKEN = "the name is taken"
    FULL = "no space is left"
    DENIED = "the account may not do this"
    LENGTH = "it is not as long as the server says"
    ENCRYPTION = "no encryption both sides know"
    NO_SFTP = "the account has no SFTP session"
    CONNECTION = "the connection failed"
    UNEXPECTED = "an unexpected answer"


_CAUSES: Final[tuple[tuple[Cause, tuple[type[BaseException], ...]], ...]] = (
    (Cause.HOST_KEY, (asyncssh.HostKeyNotVerifiable,)),
    (Cause.ACCOUNT, (asyncssh.PermissionDenied, asyncssh.IllegalUserName)),
    (Cause.MISSING, (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)),
    (Cause.TAKEN, (asyncssh.SFTPFileAlreadyExists,)),
    (Cause.FULL, (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)),
    (Cause.DENIED, (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPCannotDelete)),
    (Cause.LENGTH, (WrongLength,)),
    (Cause.ENCRYPTION, (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported)),
    (Cause.NO_SFTP, (asyncssh.ChannelOpenError,)),
    (
        Cause.CONNECTION,
        (
            asyncssh.DisconnectError,
            asyncssh.SFTPNoConnection,
            asyncssh.SFTPConnectionLost,
            Stalled,
            OSError,
            asyncio.IncompleteReadError,
        ),
    ),
)

HINTS: Final = {
    Cause.HOST_KEY: "Do not retry and do not accept the new key: somebody may be in between. If the server was really "
    "changed, compare the fingerprint on its console, then pin the new key.",
    Cause.ACCOUNT: "Check the user name, that the key is in the account's authorized_keys and only the owner may "
    "write that file, and that the account is not locked or expired. Each further try may lock it.",
    Cause.ENCRYPTION: "Update the server's SSH software.",
    Cause.NO_SFTP: "Offer it with 'Subsystem sftp internal-sftp', and check the account's ForceCommand and "
    "MaxSessions.",
    Cause.CONNECTION: "Check that the server is up and the network in between; then try again with a new session.",
    Cause.UNEXPECTED: "Look at the server's log for the same moment; an exhausted quota or a failing disk looks "
    "like this.",
}
"""What to do next, where that is the same for stores and trees."""


def cause_of(error: BaseException) -> Cause:
    """What ``error``, one of ``TRANSLATED``, means."""
    error = innermost(error)
    return next((cause for cause, kinds in _CAUSES if isinstance(error, kinds)), Cause.UNEXPECTED)


def innermost(error: BaseException) -> BaseException:
    """The error itself: sshfs wraps some of asyncssh's into the operating system's."""
    wrapped = isinstance(error, OSError) and isinstance(error.__cause__, asyncssh.Error)
    return error.__cause__ if wrapped and error.__cause__ else error


def words_of(error: BaseException) -> str:
    """What the error itself says; a server's text is not trusted with a terminal (newlines, escapes)."""
    error = innermost(error)
    if isinstance(error, Stalled | WrongLength):
        return str(error)
    said = str(error.reason if isinstance(error, asyncssh.Error) else error)
    return f"{type(error).__name__}: {said[:200]!r}"

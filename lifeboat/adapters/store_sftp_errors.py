"""What asyncssh and the operating system say, in the store's words.

SFTP's own vocabulary is small: a taken name, a full disk and an exhausted quota are all ``Failure``. What
that means the session finds out by asking again; here is everything that can be told from the error alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncssh
from asyncssh.packet import PacketDecodeError

from lifeboat.adapters.store import folder_missing, object_exists, object_missing, store_full
from lifeboat.adapters.store_sftp_transfer import Stalled, WrongLength
from lifeboat.errors import (
    StoreAuthenticationFailed,
    StoreDenied,
    StoreError,
    StoreHostKeyMismatch,
    StoreProtocolError,
    StoreUnreachable,
)

TRANSLATED = (asyncssh.Error, OSError, EOFError, PacketDecodeError, Stalled, WrongLength)
"""What a session may raise. Everything else is a defect of ours and passes unchanged."""


@dataclass(frozen=True)
class _Meaning:
    errors: tuple[type[BaseException], ...]
    kind: type[StoreError]
    what: str
    hint: str = ""


_MEANINGS = (
    _Meaning(
        (asyncssh.HostKeyNotVerifiable,),
        StoreHostKeyMismatch,
        "another host key answers there than the pinned one",
        "Do not retry and do not accept the new key: somebody may be in between. If the server was really "
        "changed, compare the fingerprint on its console, then pin the new key.",
    ),
    _Meaning(
        (asyncssh.PermissionDenied, asyncssh.IllegalUserName),
        StoreAuthenticationFailed,
        "the account or its key was not accepted",
        "Check the user name, that the key is in the account's authorized_keys and only the owner may write "
        "that file, and that the account is not locked or expired. Each further try may lock it.",
    ),
    _Meaning(
        (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPCannotDelete),
        StoreDenied,
        "the account may not do this",
        "Check the folder's owner and permissions. A write-once account may only create, read and list.",
    ),
    _Meaning(
        (WrongLength,), StoreProtocolError, "it is not as long as the store says", "Treat it as damaged."
    ),
    _Meaning(
        (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported),
        StoreProtocolError,
        "no encryption both sides know",
        "Update the server's SSH software.",
    ),
    _Meaning(
        (asyncssh.ChannelOpenError,),
        StoreProtocolError,
        "the account has no SFTP session",
        "Offer it with 'Subsystem sftp internal-sftp', and check the account's ForceCommand and MaxSessions.",
    ),
    _Meaning(
        (
            asyncssh.DisconnectError,
            asyncssh.SFTPNoConnection,
            asyncssh.SFTPConnectionLost,
            Stalled,
            OSError,
            asyncio.IncompleteReadError,
        ),
        StoreUnreachable,
        "the connection failed",
        "Check that the server is up and the network in between; then try again with a new session.",
    ),
)

_UNEXPECTED = _Meaning(
    (BaseException,),
    StoreProtocolError,
    "an unexpected answer",
    "Look at the server's log for the same moment; an exhausted quota or a failing disk looks like this.",
)


def explained(error: BaseException, *, label: str, name: str = "") -> StoreError:
    """The ``StoreError`` that ``error`` means. The server's words are quoted, so that they stay words."""
    if isinstance(error, OSError) and isinstance(error.__cause__, asyncssh.Error):
        error = error.__cause__  # sshfs wraps some of asyncssh's errors into the operating system's
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return object_missing(label, name) if name else folder_missing(label)
    if isinstance(error, asyncssh.SFTPFileAlreadyExists):
        return object_exists(label, name)
    if isinstance(error, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
        return store_full(label, name, None)
    meaning = next((known for known in _MEANINGS if isinstance(error, known.errors)), _UNEXPECTED)
    where = f"{name!r} on {label}" if name else label
    return meaning.kind(f"{where}: {meaning.what} ({_words(error)}).", hint=meaning.hint)


def _words(error: BaseException) -> str:
    """What the error itself says; a server's text is not trusted with a terminal (newlines, escapes)."""
    if isinstance(error, Stalled | WrongLength):
        return str(error)
    said = str(error.reason if isinstance(error, asyncssh.Error) else error)
    return f"{type(error).__name__}: {said[:200]!r}"

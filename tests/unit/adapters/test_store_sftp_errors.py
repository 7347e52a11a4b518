"""What each thing that can go wrong on the line means to the stages; real servers say most of it in conformance."""

from __future__ import annotations

import asyncio
import errno

import asyncssh
import pytest
from asyncssh.packet import PacketDecodeError

from lifeboat.adapters.sftp_requests import Stalled, WrongLength
from lifeboat.adapters.store_sftp_errors import TRANSLATED, explained
from lifeboat.errors import (
    StoreAuthenticationFailed,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreHostKeyMismatch,
    StoreObjectExists,
    StoreObjectMissing,
    StoreProtocolError,
    StoreUnreachable,
)

LABEL = "sftp://lifeboat@nas.example:22/production"

MEANINGS: list[tuple[BaseException, type[StoreError]]] = [
    (asyncssh.HostKeyNotVerifiable("Host key is not trusted"), StoreHostKeyMismatch),
    (asyncssh.PermissionDenied("Permission denied"), StoreAuthenticationFailed),
    (asyncssh.SFTPPermissionDenied("Permission denied"), StoreDenied),
    (asyncssh.SFTPWriteProtect("Read-only"), StoreDenied),
    (asyncssh.SFTPNoSuchFile("No such file"), StoreObjectMissing),
    (asyncssh.SFTPFileAlreadyExists("File exists"), StoreObjectExists),
    (asyncssh.SFTPNoSpaceOnFilesystem("No space left"), StoreFull),
    (asyncssh.SFTPQuotaExceeded("Quota exceeded"), StoreFull),
    (asyncssh.ConnectionLost("Connection lost"), StoreUnreachable),
    (asyncssh.MACError("MAC verification failed"), StoreUnreachable),
    (asyncssh.ServiceNotAvailable("busy"), StoreUnreachable),
    (asyncssh.ProtocolError("Packet corrupt"), StoreUnreachable),
    (asyncssh.SFTPConnectionLost("Connection closed"), StoreUnreachable),
    (asyncssh.SFTPNoConnection("Connection not open"), StoreUnreachable),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), StoreUnreachable),
    (TimeoutError(), StoreUnreachable),
    (asyncio.IncompleteReadError(b"", 4), StoreUnreachable),
    (Stalled("no byte moved for 60 s"), StoreUnreachable),
    (asyncssh.KeyExchangeFailed("No matching encryption algorithm found"), StoreProtocolError),
    (asyncssh.ChannelOpenError(1, "Session request failed"), StoreProtocolError),
    (asyncssh.SFTPFailure("Failure"), StoreProtocolError),
    (asyncssh.SFTPEOFError(), StoreProtocolError),
    (asyncssh.SFTPBadMessage("Invalid response id"), StoreProtocolError),
    (PacketDecodeError("Incomplete packet"), StoreProtocolError),
    (WrongLength("ends after 3 of 5 bytes"), StoreProtocolError),
]


@pytest.mark.parametrize(
    ("error", "kind"), MEANINGS, ids=lambda value: getattr(value, "__name__", repr(value))
)
def test_error_of_the_line_has_one_meaning_and_a_hint(error: BaseException, kind: type[StoreError]) -> None:
    assert isinstance(error, TRANSLATED)
    meant = explained(error, label=LABEL, name="a.age")
    assert type(meant) is kind
    assert "'a.age'" in meant.message
    assert LABEL in meant.message
    assert meant.hint or kind is StoreObjectMissing


def test_missing_without_a_name_is_the_folder() -> None:
    assert "folder" in explained(asyncssh.SFTPNoSuchFile("No such file"), label=LABEL).message


def test_login_refused_through_sshfs_is_not_the_permission_of_a_firewall() -> None:
    refused = PermissionError("Permission denied")
    refused.__cause__ = asyncssh.PermissionDenied("Permission denied")
    assert type(explained(refused, label=LABEL)) is StoreAuthenticationFailed
    firewall = PermissionError(errno.EPERM, "Operation not permitted")
    assert type(explained(firewall, label=LABEL)) is StoreUnreachable


def test_words_of_a_server_cannot_move_the_cursor_and_are_cut() -> None:
    said = explained(asyncssh.SFTPFailure("\x1b[2J\nAll is well" + "x" * 1000), label=LABEL).message
    assert "\x1b" not in said
    assert "\n" not in said
    assert len(said) < 400

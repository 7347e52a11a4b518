"""An SFTP session of our own: fsspec's sshfs opens the connection, asyncssh's own SFTP client does the work.

sshfs' file interface goes through fsspec's ``sync()``, which returns None for a call that was cancelled, as
if it had worked (finding 4), and its ``put_file`` reports success on truncated copies (findings 2 and 3). So
only the connection is taken from it: every operation is a coroutine of ours on the filesystem's loop, awaited
through a future that raises when it was cancelled, and limited in time wherever it waits for the server.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacketLogger
from sshfs import SSHFileSystem

from lifeboat.adapters.sftp_account import SftpAccount
from lifeboat.adapters.sftp_requests import Stalled, answered_within

Result = TypeVar("Result")

_GOODBYE: Final = 2.0
"""Seconds a session may take to end politely before its connection is cut."""

_ACKNOWLEDGE_EVERY: Final = 0.002
"""Seconds."""


class SftpSession:
    """One SSH connection of its own. What it raises are ``sftp_errors.TRANSLATED``."""

    def __init__(self, account: SftpAccount) -> None:
        self.stall_timeout = account.stall_timeout
        self.closed = False
        self._filesystem = SSHFileSystem(**account.connection_options())
        self._connection: asyncssh.SSHClientConnection = self._filesystem.client
        _send_no_fillers(self._connection)
        try:
            self.sftp = self.run(self._start_sftp(account.connect_timeout))
        except BaseException:
            self.close()
            raise

    def run(self, action: Coroutine[Any, Any, Result]) -> Result:
        """The result of ``action`` on the filesystem's loop, in fsspec's thread."""
        future = asyncio.run_coroutine_threadsafe(action, self._filesystem.loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise Stalled("the work on the connection was cancelled") from error
        finally:
            future.cancel()  # ends the work where the wait for it was interrupted

    def start(self, action: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        """``action`` on the filesystem's loop, not waited for; the future raises as ``run`` does."""
        return asyncio.run_coroutine_threadsafe(action, self._filesystem.loop)

    def run_quietly(self, action: Coroutine[Any, Any, None]) -> None:
        """For what comes after success or failure: nothing it says is evidence, and it is bounded in time."""
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(action, self._filesystem.loop).result(2 * _GOODBYE)

    def answered(self) -> AbstractAsyncContextManager[asyncio.Timeout]:
        """Limits the time in which the server must answer, see ``answered_within``."""
        return answered_within(self.stall_timeout)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.run_quietly(self._goodbye())

    async def _start_sftp(self, connect_timeout: float) -> asyncssh.SFTPClient:
        async with answered_within(connect_timeout), _acknowledging(self._connection):
            # One foreign name that is no UTF-8 would break every listing otherwise (R13).
            return await self._connection.start_sftp_client(path_errors="surrogateescape")

    async def _goodbye(self) -> None:
        self._connection.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connection.wait_closed(), _GOODBYE)


@asynccontextmanager
async def _acknowledging(connection: asyncssh.SSHClientConnection) -> AsyncIterator[None]:
    """Have the kernel acknowledge at once what comes.

    Until a session has begun, sshd answers in small packets of which the next one waits until the one before was
    acknowledged (Nagle), and Linux holds an acknowledgement back for 40 ms: half of the time that connecting takes.
    The option lasts until something is sent, so it is set again and again. Other systems have none.
    """

    async def acknowledge() -> None:
        line = connection.get_extra_info("socket")
        # A line that was lost is noticed by whoever waits for an answer.
        with suppress(OSError):
            while hasattr(socket, "TCP_QUICKACK"):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                await asyncio.sleep(_ACKNOWLEDGE_EVERY)

    acknowledging = asyncio.create_task(acknowledge())
    try:
        yield
    finally:
        acknowledging.cancel()


def _send_no_fillers(connection: asyncssh.SSHClientConnection) -> None:
    """Have a connection send its packets without a filler before each.

    asyncssh puts an empty packet in front of every one, which keeps a block's initial vector secret where a cipher
    chains its blocks (CBC). No cipher of ours does, and the fillers took a tenth of an upload's processor time, here
    and on the server.
    """
    send_packet = connection.send_packet

    def send(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE:
            send_packet(pkttype, *args, handler=handler)

    connection.send_packet = send  # type: ignore[method-assign]

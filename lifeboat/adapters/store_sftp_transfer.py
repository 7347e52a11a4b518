"""Moving one object's bytes over SFTP: many requests on their way, every answer accounted for.

asyncssh pipelines by itself when it is handed large pieces, but it takes an end-of-file status for the end
of the work: a write answered so counts as written, and a gap in what is read is filled with zeros. Here
every request is a single one (``block_size=0`` on the open file), and any answer but the right one raises.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import asyncssh

from lifeboat.adapters.store import CHUNK

Answer = TypeVar("Answer")

WINDOW = 8 * 2**20
"""Bytes that may be on their way without an answer: the memory a transfer takes, besides one chunk."""

_REQUEST = 63 * 2**10
"""Bytes per request. Just below a multiple of 32 KiB, so that its header does not cost an SSH packet of its own.
Larger ones are a little faster, but on a slow line (F17) answers must come more often than keepalives go out:
asyncssh counts a keepalive that waits behind the data as lost."""

_REQUEST_EVERYWHERE = 32 * 2**10
"""Bytes that every SFTP server must take at once. asyncssh assumes half of it where none are told (OpenSSH
before 8.5)."""

_FSYNC_PATIENCE = 10
"""Stall timeouts to wait for fsync: nothing moves on the line while a NAS writes its cache out."""

_FAREWELL = 2.0
"""Seconds to spend on tidying up after a failure; nothing depends on it."""


class Stalled(Exception):
    """Nothing was answered for a whole stall timeout."""


class WrongLength(Exception):
    """The object ended before its size, or went on after it."""


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Raise ``Stalled`` when the block takes longer; the block may reschedule the limit on progress."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError:
        if not limit.expired():
            raise  # the operating system's own, about the connection
        raise Stalled(f"no byte moved for {seconds:g} s") from None


def request_size(largest: int) -> int:
    """Bytes to ask for at once; ``largest`` is what asyncssh thinks the server takes in this direction."""
    return max(_REQUEST_EVERYWHERE, min(_REQUEST, largest))


class Requests(Generic[Answer]):
    """Requests without an answer yet, oldest first. Servers answer in order, so the oldest shows progress."""

    def __init__(self, depth: int, stall_timeout: float) -> None:
        self._depth = depth
        self._stall_timeout = stall_timeout
        self._unanswered: deque[asyncio.Task[Answer]] = deque()

    def __len__(self) -> int:
        return len(self._unanswered)

    @property
    def full(self) -> bool:
        return len(self._unanswered) >= self._depth

    def ask(self, request: Coroutine[Any, Any, Answer]) -> None:
        self._unanswered.append(asyncio.create_task(request))

    async def oldest(self) -> Answer:
        """The answer to the oldest request; raises what it raised, or ``Stalled``."""
        async with answered_within(self._stall_timeout):
            return await self._unanswered.popleft()

    async def abandon(self) -> None:
        for request in self._unanswered:
            request.cancel()
        await asyncio.gather(*self._unanswered, return_exceptions=True)
        self._unanswered.clear()


class Upload:
    """One new object being written."""

    def __init__(self, file: asyncssh.SFTPClientFile, request: int, stall_timeout: float) -> None:
        self._file = file
        self._request = request
        self._stall_timeout = stall_timeout
        self._offset = 0
        self._writes: Requests[int] = Requests(max(1, WINDOW // request), stall_timeout)

    async def send(self, chunk: bytes) -> None:
        """Send all of it; returns while the last ``WINDOW`` bytes are still on their way."""
        for start in range(0, len(chunk), self._request):
            if self._writes.full:
                await self._writes.oldest()
            piece = chunk[start : start + self._request]
            self._writes.ask(self._file.write(piece, self._offset))
            self._offset += len(piece)
            # Lets the loop notice a lost connection before the next piece is written into it.
            await asyncio.sleep(0)

    async def finish(self) -> bool:
        """Wait until all is acknowledged and on disk; False where the server knows no fsync."""
        while self._writes:
            await self._writes.oldest()
        synced = await self._fsync()
        async with answered_within(self._stall_timeout):
            await self._file.close()
        return synced

    async def _fsync(self) -> bool:
        try:
            async with answered_within(self._stall_timeout * _FSYNC_PATIENCE):
                await self._file.fsync()
        except asyncssh.SFTPOpUnsupported:
            return False
        return True

    async def release(self) -> None:
        """Forget what is on its way and close the handle. After ``finish`` there is nothing left to do."""
        await self._writes.abandon()
        await _close_quietly(self._file)


class Download:
    """One object being read, ``WINDOW`` bytes ahead of its reader."""

    def __init__(self, file: asyncssh.SFTPClientFile, size: int, request: int, stall_timeout: float) -> None:
        self._file = file
        self._size = size
        self._request = request
        self._stall_timeout = stall_timeout
        self._offset = 0
        self._reads: Requests[bytes] = Requests(max(1, WINDOW // request), stall_timeout)

    async def next_chunk(self) -> bytes:
        """At most ``CHUNK`` bytes, in order; nothing once all ``size`` bytes were given."""
        pieces = []
        room = CHUNK
        self._ask_ahead()
        while self._reads and room >= self._request:
            piece = await self._reads.oldest()
            pieces.append(piece)
            room -= len(piece)
            self._ask_ahead()
        if not pieces:
            await self._nothing_beyond()
        return b"".join(pieces)

    def _ask_ahead(self) -> None:
        while self._offset < self._size and not self._reads.full:
            length = min(self._request, self._size - self._offset)
            self._reads.ask(self._exactly(self._offset, length))
            self._offset += length

    async def _exactly(self, offset: int, length: int) -> bytes:
        """The bytes asked for; an answer may be short (the protocol allows it), but never be nothing."""
        data = b""
        while len(data) < length:
            more: bytes = await self._file.read(length - len(data), offset + len(data))
            if not more:
                raise WrongLength(f"ends after {offset + len(data)} of {self._size} bytes")
            data += more
        if len(data) > length:
            raise WrongLength(f"was answered with {len(data)} bytes where {length} were asked for")
        return data

    async def _nothing_beyond(self) -> None:
        async with answered_within(self._stall_timeout):
            if await self._file.read(1, self._size):
                raise WrongLength(f"goes on after its {self._size} bytes")

    async def release(self) -> None:
        await self._reads.abandon()
        await _close_quietly(self._file)


async def _close_quietly(file: asyncssh.SFTPClientFile) -> None:
    """Closing proves nothing, and on a dead session asyncssh reports success anyway."""
    with suppress(asyncssh.Error, OSError, Stalled, ValueError):
        async with answered_within(_FAREWELL):
            await file.close()

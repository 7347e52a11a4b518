"""Moving one object's bytes over SFTP, see ``sftp_requests``."""

from __future__ import annotations

import asyncio

import asyncssh

from lifeboat.adapters.sftp_requests import Requests, WrongLength, answered_within, close_quietly
from lifeboat.adapters.store import CHUNK

_FSYNC_PATIENCE = 10
"""Stall timeouts to wait for fsync: nothing moves on the line while a NAS writes its cache out."""


class Upload:
    """One new object being written."""

    def __init__(self, file: asyncssh.SFTPClientFile, largest: int, stall_timeout: float) -> None:
        self._file = file
        self._stall_timeout = stall_timeout
        self._offset = 0
        self._writes: Requests[int] = Requests(largest, stall_timeout)

    async def send(self, chunk: bytes) -> None:
        """Send all of it; returns while the last ``WINDOW`` bytes are still on their way."""
        start = 0
        while start < len(chunk):
            while self._writes.full:
                await self._writes.oldest()
            piece = chunk[start : start + self._writes.size]
            self._writes.ask(self._file.write(piece, self._offset), len(piece))
            start += len(piece)
            self._offset += len(piece)
            # Lets the loop notice a lost connection before the next piece is written into it.
            await asyncio.sleep(0)

    async def finish(self) -> bool:
        """Wait until all is acknowledged and on disk; False where the server knows no fsync."""
        await self.acknowledged()
        synced = await self._fsync()
        async with answered_within(self._stall_timeout):
            await self._file.close()
        return synced

    async def acknowledged(self) -> None:
        """Wait until the server has answered every write."""
        while self._writes:
            await self._writes.oldest()

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
        await close_quietly(self._file)


class Download:
    """One object being read, ``WINDOW`` bytes ahead of its reader."""

    def __init__(self, file: asyncssh.SFTPClientFile, size: int, largest: int, stall_timeout: float) -> None:
        self._file = file
        self._size = size
        self._stall_timeout = stall_timeout
        self._offset = 0
        self._reads: Requests[bytes] = Requests(largest, stall_timeout)

    async def next_chunk(self) -> bytes:
        """At most ``CHUNK`` bytes, in order; nothing once all ``size`` bytes were given."""
        pieces = []
        room = CHUNK
        self._ask_ahead()
        while self._reads and room >= self._reads.oldest_size:
            piece = await self._reads.oldest()
            pieces.append(piece)
            room -= len(piece)
            self._ask_ahead()
        if not pieces:
            await self._nothing_beyond()
        return b"".join(pieces)

    def _ask_ahead(self) -> None:
        while self._offset < self._size and not self._reads.full:
            length = min(self._reads.size, self._size - self._offset)
            self._reads.ask(self._exactly(self._offset, length), length)
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
        await close_quietly(self._file)

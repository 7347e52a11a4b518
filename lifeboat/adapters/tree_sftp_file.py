"""A file of a tree over SFTP, read ahead of its reader with many requests on their way."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

import asyncssh

from lifeboat.adapters.sftp_requests import Requests, WrongLength, close_quietly

_PIECE: Final = 2**20
"""Bytes that are handed over at once: each handing over wakes another thread."""


class ReadAhead:
    """One file from beginning to end, wherever that is by now: it may grow or shrink meanwhile (F46)."""

    def __init__(self, file: asyncssh.SFTPClientFile, size: int, largest: int, stall_timeout: float) -> None:
        self._file = file
        self._size = size
        self._offset = 0
        self._ended = False
        self._reads: Requests[tuple[int, bytes]] = Requests(largest, stall_timeout)

    async def next_piece(self) -> bytes:
        """About ``_PIECE`` bytes, in order; nothing at the end."""
        pieces: list[bytes] = []
        room = _PIECE
        while room > 0 and not self._ended:
            self._ask_ahead()
            wanted, piece = await self._reads.oldest()
            pieces.append(piece)
            room -= len(piece)
            if len(piece) < wanted:
                self._ended = True
                await self._reads.abandon()
        return b"".join(pieces)

    async def release(self) -> None:
        await self._reads.abandon()
        await close_quietly(self._file)

    def _ask_ahead(self) -> None:
        """Up to the size that was listed, and one request beyond it: that one finds the end, or more."""
        while not self._reads.full and (self._offset <= self._size or not self._reads):
            length = self._reads.size
            if self._offset < self._size:
                length = min(length, self._size - self._offset)
            self._reads.ask(self._filled(self._offset, length), length)
            self._offset += length

    async def _filled(self, offset: int, length: int) -> tuple[int, bytes]:
        """Less than ``length`` only at the end: an answer may be short, but an empty one is the end."""
        data = b""
        while len(data) < length:
            more: bytes = await self._file.read(length - len(data), offset + len(data))
            if not more:
                break
            data += more
        if len(data) > length:
            raise WrongLength(f"was answered with {len(data)} bytes where {length} were asked for")
        return length, data


class SftpTreeFile:
    """``OpenFile`` over a ``ReadAhead``; ``run`` waits for what it does."""

    def __init__(
        self, ahead: ReadAhead, run: Callable[[Coroutine[Any, Any, bytes]], bytes], close: Closing
    ) -> None:
        self._ahead = ahead
        self._run = run
        self._close = close
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = memoryview(self._run(self._ahead.next_piece()))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def close(self) -> None:
        self._rest = memoryview(b"")
        self._close(self._ahead.release())


Closing = Callable[[Coroutine[Any, Any, None]], None]

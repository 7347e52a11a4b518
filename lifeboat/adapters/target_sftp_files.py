"""New files over SFTP: many small ones on their way at once, large ones in many requests; each on the server's disk
before it counts."""

from __future__ import annotations

import asyncio
import posixpath
from collections import deque
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

import asyncssh

from lifeboat.adapters.sftp_requests import FAREWELL, answered_within, close_quietly, request_size
from lifeboat.adapters.sftp_session import SftpSession
from lifeboat.adapters.store_sftp_transfer import Upload
from lifeboat.adapters.target_sftp_errors import TRANSLATED, of_sftp
from lifeboat.adapters.target_sftp_facts import Facts
from lifeboat.adapters.tree_target import Losses
from lifeboat.errors import RestoreFailed
from lifeboat.model.names import name_bytes
from lifeboat.model.tree import Entry

_SMALL: Final = 256 * 2**10
"""Up to this size a file travels whole, beside others."""
_FILES, _BYTES = 32, 2 * 2**20
"""How many small files, and how much of them, may be on their way: the memory they take."""
_ROOM: Final = 2**20
_PRIVATE: Final = asyncssh.SFTPAttrs(permissions=0o600)
_GONE: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


class SftpFiles:
    """``NewFiles``. ``top`` is the folder's place on the server."""

    def __init__(self, session: SftpSession, facts: Facts, top: bytes, label: str, *, again: bool) -> None:
        self._session = session
        self._sftp = session.sftp
        self._facts = facts
        self._top = top
        self._label = label
        self._again = again
        self._path = b""
        self._buffer = bytearray()
        self._large: Upload | None = None
        self._handle: asyncssh.SFTPClientFile | None = None
        self._under_way: deque[tuple[Future[None], bytes, int]] = deque()
        self._bytes = 0
        self._fsync = True

    def begin(self, file: Mapping[str, Any]) -> None:
        self._entry = Entry.from_json(dict(file))
        self._path = name_bytes(file["path"])
        if any(name in (b"", b".", b"..") for name in self._path.split(b"/")):
            raise RestoreFailed(f"The index holds a name that is none: {self._path!r}.")
        self._buffer = bytearray()
        if file["length"] > _SMALL:
            self._handle = self._run(self._opened(self._path))
            largest = self._sftp.limits.max_write_len
            self._large = Upload(self._handle, largest, self._session.stall_timeout)

    def write(self, piece: memoryview) -> None:
        if self._large is None:
            self._buffer += piece
        else:
            self._run(self._large.send(bytes(piece)))

    def end(self) -> None:
        if self._large is not None and self._handle is not None:
            self._run(self._concluded(self._large, self._handle, self._entry))
            self._large = self._handle = None
            return
        data = bytes(self._buffer)
        while self._under_way and (len(self._under_way) >= _FILES or self._bytes + len(data) > _BYTES):
            self._wait()
        put = self._session.start(self._put(self._path, self._entry, data))
        self._under_way.append((put, self._path, len(data)))
        self._bytes += len(data)

    def finish(self) -> Losses:
        while self._under_way:
            self._wait()
        return self._facts.losses

    def close(self) -> None:
        for put, _, _ in self._under_way:
            put.cancel()
        if self._large is not None:
            self._session.run_quietly(self._large.release())

    def _wait(self) -> None:
        put, path, size = self._under_way.popleft()
        self._bytes -= size
        try:
            put.result()
        except TRANSLATED as error:
            raise self._explained(error, path) from error

    def _run(self, action: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what the action returns
        try:
            return self._session.run(action)
        except TRANSLATED as error:
            raise self._explained(error, self._path) from error

    def _explained(self, error: BaseException, path: bytes) -> RestoreFailed:
        """A full disk is a plain ``Failure`` in SFTP (R14): where there is no room left, that was it."""
        full = isinstance(error, asyncssh.SFTPFailure) and self._is_full()
        return of_sftp(error, self._label, path, full=full)

    def _is_full(self) -> bool:
        async def asked() -> bool:
            async with answered_within(FAREWELL):
                numbers = await self._sftp.statvfs(self._top)
            return numbers.bavail * numbers.frsize < _ROOM or bool(numbers.files and not numbers.favail)

        with suppress(*TRANSLATED):
            return self._session.run(asked())
        return False

    # What is async runs on the session's loop.

    async def _opened(self, path: bytes) -> asyncssh.SFTPClientFile:
        place = posixpath.join(self._top, path)
        async with self._session.answered():
            if self._again:
                with suppress(*_GONE):
                    await self._sftp.remove(place)
            return await self._sftp.open(place, "xb", _PRIVATE, block_size=0)

    async def _put(self, path: bytes, entry: Entry, data: bytes) -> None:
        file = await self._opened(path)
        request = request_size(self._sftp.limits.max_write_len)
        try:
            async with self._session.answered():
                await asyncio.gather(
                    *(file.write(data[at : at + request], at) for at in range(0, len(data), request))
                )
            await self._settled(file, entry)
            async with self._session.answered():
                await file.close()
        except BaseException:
            await close_quietly(file)
            raise

    async def _concluded(self, upload: Upload, file: asyncssh.SFTPClientFile, entry: Entry) -> None:
        await upload.acknowledged()
        await self._settled(file, entry)
        async with self._session.answered():
            await file.close()

    async def _settled(self, file: asyncssh.SFTPClientFile, entry: Entry) -> None:
        async with self._session.answered():
            await self._facts.of_file(file, entry)
        if self._fsync:
            try:
                # Longer than any answer: nothing moves on the line while a server writes its cache out.
                async with answered_within(10 * self._session.stall_timeout):
                    await file.fsync()
            except asyncssh.SFTPOpUnsupported:
                self._fsync = False

"""A session with a NAS: fsspec's sshfs opens the connection, asyncssh's own SFTP client does the work.

sshfs' file interface goes through fsspec's ``sync()``, which returns None for a call that was cancelled, as
if it had worked (finding 4), and its ``put_file`` reports success on truncated copies (findings 2 and 3). So
only the connection is taken from it: every operation is a coroutine of ours on the filesystem's loop, awaited
through a future that raises when it was cancelled, and limited in time wherever it waits for the server.
"""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import datetime as dt
import posixpath
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_UNKNOWN
from sshfs import SSHFileSystem

from lifeboat.adapters.store import (
    CHUNK,
    FreeSpace,
    ObjectStat,
    checked_name,
    folder_missing,
    not_an_object,
    object_exists,
    session_closed,
    store_full,
)
from lifeboat.adapters.store_sftp_errors import TRANSLATED, explained
from lifeboat.adapters.store_sftp_transfer import Download, Upload, answered_within, request_size
from lifeboat.errors import StoreError, StoreProtocolError, StoreUnreachable

Result = TypeVar("Result")

_GOODBYE = 2.0
"""Seconds a session may take to end politely before its connection is cut."""


class SftpStore:
    """``Store`` over one SSH connection of its own."""

    def __init__(
        self,
        connection_options: Mapping[str, Any],
        *,
        label: str,
        folder: str,
        connect_timeout: float,
        stall_timeout: float,
    ) -> None:
        self._label = label
        self._folder = folder
        self._stall_timeout = stall_timeout
        self._closed = False
        self.fsync_supported: bool | None = None
        try:
            self._filesystem = SSHFileSystem(**connection_options)
        except TRANSLATED as error:
            raise explained(error, label=label) from error
        self._connection: asyncssh.SSHClientConnection = self._filesystem.client
        try:
            self._sftp = self._run("", self._start_sftp(connect_timeout))
        except StoreError:
            self.close()
            raise

    def create_new(self, name: str, chunks: Iterable[bytes]) -> int:
        self._check_open()
        handed_over = 0
        upload = self._run(name, self._blaming_space(name, self._begin(name)))
        try:
            for chunk in chunks:
                self._run(name, self._blaming_space(name, upload.send(chunk)))
                handed_over += len(chunk)
            self.fsync_supported = self._run(name, self._blaming_space(name, upload.finish()))
        finally:
            self._run_quietly(upload.release())
        return handed_over

    def read(self, name: str) -> Iterator[bytes]:
        download = self._run(name, self._open(name))
        try:
            while chunk := self._run(name, download.next_chunk()):
                yield chunk
        finally:
            self._run_quietly(download.release())

    def stat(self, name: str) -> ObjectStat:
        return self._object_stat(name, self._run(name, self._attributes(name)))

    def list(self) -> builtins.list[ObjectStat]:
        return sorted(self._run("", self._listed()), key=lambda item: item.name)

    def delete_exact(self, name: str) -> None:
        self._run(name, self._remove(name))

    def free_space(self) -> FreeSpace | None:
        numbers = self._run("", self._statvfs())
        return None if numbers is None else _free_space(numbers)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._run_quietly(self._goodbye())

    # What is async runs on the filesystem's loop, in fsspec's thread.

    async def _start_sftp(self, connect_timeout: float) -> asyncssh.SFTPClient:
        async with answered_within(connect_timeout):
            # One foreign name that is no UTF-8 would break every listing otherwise (R13).
            return await self._connection.start_sftp_client(path_errors="surrogateescape")

    async def _begin(self, name: str) -> Upload:
        try:
            async with self._answered():
                file = await self._sftp.open(self._path(name), "xb", block_size=0)
        except asyncssh.SFTPNoSuchFile as error:
            raise folder_missing(self._label) from error
        except asyncssh.SFTPFailure as error:
            # SFTP 3 has no word for a taken name.
            if await self._is_taken(name):
                raise object_exists(self._label, name) from error
            raise
        return Upload(file, request_size(self._sftp.limits.max_write_len), self._stall_timeout)

    async def _open(self, name: str) -> Download:
        size = self._object_stat(name, await self._attributes(name)).size
        async with self._answered():
            file = await self._sftp.open(self._path(name), "rb", block_size=0)
        return Download(file, size, request_size(self._sftp.limits.max_read_len), self._stall_timeout)

    async def _attributes(self, name: str) -> asyncssh.SFTPAttrs:
        async with self._answered():
            attributes = await self._sftp.lstat(self._path(name))
        if attributes.type != FILEXFER_TYPE_REGULAR:
            raise not_an_object(self._label, name)
        return attributes

    async def _is_taken(self, name: str) -> bool:
        try:
            async with self._answered():
                await self._sftp.lstat(self._path(name))
        except asyncssh.SFTPNoSuchFile:
            return False
        return True

    async def _listed(self) -> builtins.list[ObjectStat]:
        found = []
        async with self._answered() as limit:
            async for entry in self._sftp.scandir(self._folder):
                limit.reschedule(asyncio.get_running_loop().time() + self._stall_timeout)
                name, attributes = str(entry.filename), entry.attrs
                if attributes.type == FILEXFER_TYPE_UNKNOWN:
                    # Some servers list names only.
                    attributes = await self._sftp.lstat(posixpath.join(self._folder, name))
                if attributes.type == FILEXFER_TYPE_REGULAR:
                    found.append(self._object_stat(name, attributes))
        return found

    async def _remove(self, name: str) -> None:
        await self._attributes(name)
        async with self._answered():
            await self._sftp.remove(self._path(name))

    async def _statvfs(self) -> asyncssh.SFTPVFSAttrs | None:
        try:
            async with self._answered():
                return await self._sftp.statvfs(self._folder)
        except asyncssh.SFTPOpUnsupported:
            return None

    async def _blaming_space(self, name: str, writing: Coroutine[Any, Any, Result]) -> Result:
        """A full disk is a plain ``Failure`` in SFTP (R14): where there is no room left, that was it."""
        try:
            return await writing
        except asyncssh.SFTPFailure as error:
            with suppress(asyncssh.SFTPError):
                numbers = await self._statvfs()
                if numbers and _exhausted(numbers):
                    raise store_full(self._label, name, _free_space(numbers)) from error
            raise

    async def _goodbye(self) -> None:
        self._connection.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connection.wait_closed(), _GOODBYE)

    def _answered(self) -> AbstractAsyncContextManager[asyncio.Timeout]:
        return answered_within(self._stall_timeout)

    def _path(self, name: str) -> str:
        return posixpath.join(self._folder, checked_name(name))

    def _object_stat(self, name: str, attributes: asyncssh.SFTPAttrs) -> ObjectStat:
        if attributes.size is None:
            raise StoreProtocolError(f"{self._label} tells no size for {name!r}.")
        modified = attributes.mtime
        return ObjectStat(
            name,
            attributes.size,
            None if modified is None else dt.datetime.fromtimestamp(modified, tz=dt.UTC),
        )

    def _check_open(self) -> None:
        if self._closed:
            raise session_closed(self._label)

    def _run(self, name: str, action: Coroutine[Any, Any, Result]) -> Result:
        """The result of ``action`` on the loop; its errors in the store's words."""
        try:
            self._check_open()
        except StoreUnreachable:
            action.close()
            raise
        future = asyncio.run_coroutine_threadsafe(action, self._filesystem.loop)
        try:
            return future.result()
        except TRANSLATED as error:
            raise explained(error, label=self._label, name=name) from error
        except concurrent.futures.CancelledError as error:
            raise StoreUnreachable(f"{self._label}: the work on the connection was cancelled.") from error
        finally:
            future.cancel()  # ends the work where the wait for it was interrupted

    def _run_quietly(self, action: Coroutine[Any, Any, None]) -> None:
        """For what comes after success or failure: nothing it says is evidence, and it is bounded in time."""
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(action, self._filesystem.loop).result(2 * _GOODBYE)


def _free_space(numbers: asyncssh.SFTPVFSAttrs) -> FreeSpace:
    return FreeSpace(numbers.blocks * numbers.frsize, numbers.bavail * numbers.frsize)


def _exhausted(numbers: asyncssh.SFTPVFSAttrs) -> bool:
    """No room for one more chunk, or no inode left (filesystems without inodes tell zero of zero)."""
    return _free_space(numbers).available < CHUNK or bool(numbers.files and not numbers.favail)

"""A session with a NAS: the store's operations over an ``SftpSession``."""

from __future__ import annotations

import builtins
import datetime as dt
import posixpath
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_UNKNOWN

from lifeboat.adapters.sftp_account import SftpAccount
from lifeboat.adapters.sftp_requests import scanned
from lifeboat.adapters.sftp_session import SftpSession
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
from lifeboat.adapters.store_sftp_transfer import Download, Upload
from lifeboat.errors import StoreProtocolError, StoreUnreachable

Result = TypeVar("Result")


class SftpStore:
    """``Store`` over one SSH connection of its own."""

    def __init__(self, account: SftpAccount) -> None:
        self._label = account.label
        self._folder = account.folder
        self.fsync_supported: bool | None = None
        try:
            self._session = SftpSession(account)
        except TRANSLATED as error:
            raise explained(error, label=self._label) from error
        self._stall_timeout = self._session.stall_timeout
        self._sftp = self._session.sftp
        self._answered = self._session.answered
        self._run_quietly = self._session.run_quietly

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
        self._session.close()

    # What is async runs on the filesystem's loop, in fsspec's thread.

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
        return Upload(file, self._sftp.limits.max_write_len, self._stall_timeout)

    async def _open(self, name: str) -> Download:
        size = self._object_stat(name, await self._attributes(name)).size
        async with self._answered():
            file = await self._sftp.open(self._path(name), "rb", block_size=0)
        return Download(file, size, self._sftp.limits.max_read_len, self._stall_timeout)

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

        async def take(entry: asyncssh.SFTPName) -> None:
            name, attributes = str(entry.filename), entry.attrs
            if attributes.type == FILEXFER_TYPE_UNKNOWN:
                # Some servers list names only.
                attributes = await self._sftp.lstat(posixpath.join(self._folder, name))
            if attributes.type == FILEXFER_TYPE_REGULAR:
                found.append(self._object_stat(name, attributes))

        await scanned(self._sftp, self._folder, take, self._stall_timeout)
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
        if self._session.closed:
            raise session_closed(self._label)

    def _run(self, name: str, action: Coroutine[Any, Any, Result]) -> Result:
        """The result of ``action`` on the loop; its errors in the store's words."""
        try:
            self._check_open()
        except StoreUnreachable:
            action.close()
            raise
        try:
            return self._session.run(action)
        except TRANSLATED as error:
            raise explained(error, label=self._label, name=name) from error


def _free_space(numbers: asyncssh.SFTPVFSAttrs) -> FreeSpace:
    return FreeSpace(numbers.blocks * numbers.frsize, numbers.bavail * numbers.frsize)


def _exhausted(numbers: asyncssh.SFTPVFSAttrs) -> bool:
    """No room for one more chunk, or no inode left (filesystems without inodes tell zero of zero)."""
    return _free_space(numbers).available < CHUNK or bool(numbers.files and not numbers.favail)

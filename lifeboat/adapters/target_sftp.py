"""A folder of an SSH server as the target of a restore, written over SFTP.

SFTP knows no lock and no descriptor of a folder. So the incomplete folder is private (0700), renamed by whoever goes on
with it, and everything in it was made by us or looked at before; files are created exclusively, which follows no link.
Renaming is SFTP's own, which never replaces anything; times are whole seconds.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_UNKNOWN

from lifeboat.adapters.sftp_account import SftpAccount
from lifeboat.adapters.sftp_requests import close_quietly, scanned
from lifeboat.adapters.sftp_session import SftpSession
from lifeboat.adapters.target_errors import refused
from lifeboat.adapters.target_sftp_errors import TRANSLATED, of_sftp
from lifeboat.adapters.target_sftp_facts import Facts
from lifeboat.adapters.target_sftp_files import SftpFiles
from lifeboat.adapters.tree_sftp import SftpTreeTarget
from lifeboat.adapters.tree_target import Losses
from lifeboat.errors import ConfigurationError, RestoreFailed
from lifeboat.model.tree import Entry, EntryKind
from lifeboat.model.tree_target import HARD_LINKS, LINK_TIMES, Keeps

Result = TypeVar("Result")

_GONE: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_PRIVATE: Final = asyncssh.SFTPAttrs(permissions=0o700)
_SMALL: Final = 2**20


@dataclass(frozen=True)
class SftpRestoreTarget(SftpAccount):
    """A folder that does not exist yet, or is empty, in one that exists. Raises ``ConfigurationError`` for ``/``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name in (b"", b".", b".."):
            raise ConfigurationError(
                f"{self.label} is no folder that a restore can make.", hint="Name a new folder in it."
            )

    @property
    def name(self) -> bytes:
        return posixpath.basename(self.folder.rstrip("/")).encode("utf-8", "surrogateescape")

    def name_problems(self) -> None:
        """A server's file system that holds fewer names says so itself, with the first of them."""

    def tree(self) -> SftpTreeTarget:
        return SftpTreeTarget(**{each.name: getattr(self, each.name) for each in fields(SftpAccount)})

    @contextmanager
    def connect(self) -> Iterator[SftpTarget]:
        """One connection. Raises ``TargetUnreachable``, ``TargetDenied``, ``TargetHostKeyMismatch``, and
        ``RestoreFailed`` when there is no folder above the target."""
        session = SftpTarget(self)
        try:
            yield session
        finally:
            session.close()


class SftpTarget:
    """``TargetSession`` over one SSH connection of its own. For one thread at a time."""

    keeps = Keeps()
    epoch = ""
    """Files are brought to the server's disk one by one."""

    def __init__(self, target: SftpRestoreTarget) -> None:
        self._label = target.label
        try:
            self._session = SftpSession(target)
        except TRANSLATED as error:
            raise of_sftp(error, self._label, b"") from error
        self._sftp = self._session.sftp
        self._answered = self._session.answered
        self.losses = Losses()
        above = posixpath.dirname(target.folder.rstrip("/")) or "."
        try:
            self._top = self._run(b"", self._real(above.encode("utf-8", "surrogateescape")))
        except BaseException:
            self.close()
            raise
        self._facts = Facts(self._sftp, self.losses)

    def close(self) -> None:
        self._session.close()

    def look(self, path: bytes) -> EntryKind | None:
        return self._run(path, self._looked(path))

    def names(self, folder: bytes) -> list[bytes]:
        return [name for name, _ in self._run(folder, self._listed(folder))]

    def measure(self, folder: bytes, *, sizes: bool) -> tuple[int, int]:  # noqa: ARG002 - they come with the names
        found = self._run(folder, self._listed(folder))
        return len(found), sum(size for _, size in found)

    def read(self, path: bytes) -> bytes:
        return self._run(path, self._read(path))

    def write(self, path: bytes, data: bytes) -> None:
        self._run(path, self._written(path, data))

    def make_folder(self, path: bytes, *, again: bool) -> None:
        try:
            self._run(path, self._made(path))
        except RestoreFailed:
            # SFTP 3 has no word for a taken name.
            if not again or self.look(path) is not EntryKind.DIRECTORY:
                raise
            self._run(path, self._sftp_call(self._sftp.setstat(self._place(path), _PRIVATE)))

    def symlink(self, path: bytes, entry: Entry) -> None:
        place = self._place(path)
        self._run(path, self._sftp_call(self._sftp.symlink(entry.target, place)))
        try:
            self._run(path, self._facts.of_link(place, entry))
        except RestoreFailed:
            self.losses[LINK_TIMES] += 1

    def hard_link(self, path: bytes, first: bytes) -> None:
        async def linked() -> None:
            try:
                async with self._answered():
                    await self._sftp.link(self._place(first), self._place(path))
            except asyncssh.SFTPOpUnsupported:
                self.losses[HARD_LINKS] += 1

        self._run(path, linked())

    def settle(self, path: bytes, entry: Entry) -> None:
        self._run(path, self._facts.of_folder(self._place(path), entry))

    def remove(self, path: bytes) -> None:
        folder = self.look(path) is EntryKind.DIRECTORY
        action = self._sftp.rmdir if folder else self._sftp.remove
        self._run(path, self._sftp_call(action(self._place(path))))

    def rename(self, old: bytes, new: bytes) -> None:
        if self.look(new) is EntryKind.DIRECTORY and not self.names(new):
            self.remove(new)
        try:
            self._run(new, self._sftp_call(self._sftp.rename(self._place(old), self._place(new))))
        except RestoreFailed:
            if self.look(new) is not None:
                raise refused(self._label) from None
            raise

    def seize(self, folder: bytes, other: bytes) -> bytes | None:
        async def renamed() -> bool:
            try:
                async with self._answered():
                    await self._sftp.rename(self._place(folder), self._place(other))
            except _GONE:
                return False
            return True

        return other if self._run(folder, renamed()) else None

    def files(self, folder: bytes, *, again: bool) -> SftpFiles:
        return SftpFiles(self._session, self._facts, self._place(folder), self._label, again=again)

    # What is async runs on the session's loop.

    async def _real(self, folder: bytes) -> bytes:
        async with self._answered():
            top: bytes = await self._sftp.realpath(folder)
            attributes = await self._sftp.stat(top)
        if attributes.type != FILEXFER_TYPE_DIRECTORY:
            raise RestoreFailed(f"Above {self._label} is no folder.", hint="Name another target.")
        return top

    async def _looked(self, path: bytes) -> EntryKind | None:
        try:
            async with self._answered():
                attributes = await self._sftp.lstat(self._place(path))
        except _GONE:
            return None
        if attributes.type == FILEXFER_TYPE_DIRECTORY:
            return EntryKind.DIRECTORY
        return EntryKind.FILE if attributes.type == FILEXFER_TYPE_REGULAR else EntryKind.SPECIAL

    async def _listed(self, folder: bytes) -> list[tuple[bytes, int]]:
        found: list[tuple[bytes, int]] = []

        async def take(item: asyncssh.SFTPName) -> None:
            name, attributes = self._sftp.encode(item.filename), item.attrs
            if name in (b".", b".."):
                return
            if attributes.type == FILEXFER_TYPE_UNKNOWN:  # some servers list names only
                attributes = await self._sftp.lstat(self._place(posixpath.join(folder, name)))
            found.append((name, attributes.size or 0 if attributes.type == FILEXFER_TYPE_REGULAR else 0))

        await scanned(self._sftp, self._place(folder), take, self._session.stall_timeout)
        return found

    async def _read(self, path: bytes) -> bytes:
        async with self._answered():
            file = await self._sftp.open(self._place(path), "rb", block_size=0)
            try:
                data: bytes = await file.read(_SMALL, 0)
            finally:
                await close_quietly(file)
        return data

    async def _written(self, path: bytes, data: bytes) -> None:
        partial = self._place(path) + b".new"
        async with self._answered():
            file = await self._sftp.open(partial, "wb", block_size=0)
            try:
                if data:
                    await file.write(data, 0)
                with suppress(asyncssh.SFTPOpUnsupported):
                    await file.fsync()
            finally:
                await file.close()
            await self._sftp.rename(partial, self._place(path))

    async def _made(self, path: bytes) -> None:
        async with self._answered():
            await self._sftp.mkdir(self._place(path), _PRIVATE)

    async def _sftp_call(self, action: Coroutine[Any, Any, None]) -> None:
        async with self._answered():
            await action

    def _place(self, path: bytes) -> bytes:
        if any(name in (b"", b".", b"..") for name in path.split(b"/")) and path:
            raise RestoreFailed(f"The index holds a name that is none: {os.fsdecode(path)!r}.")
        return posixpath.join(self._top, path) if path else self._top

    def _run(self, path: bytes, action: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self._session.run(action)
        except TRANSLATED as error:
            raise of_sftp(error, self._label, path) from error

"""A file tree on an SSH server, read over SFTP.

SFTP's older versions, which servers speak, follow links on the way to a file and know no descriptor of a folder. So
before a file is opened or a folder listed, the server is asked where it really is, and what is not where it should be
counts as gone. Whoever can swap folders for links on the source in the moment between the two questions makes us read
what its SFTP account may read anyway, and nothing of this machine.

They also tell no further names of a file: hard links are files here, each with its content. Times are whole seconds.
Mount points do not show: what is mounted below the top is part of the tree.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import asyncssh
from asyncssh.constants import (
    FILEXFER_TYPE_DIRECTORY,
    FILEXFER_TYPE_REGULAR,
    FILEXFER_TYPE_SYMLINK,
    FILEXFER_TYPE_UNKNOWN,
)

from lifeboat.adapters.sftp_account import SftpAccount
from lifeboat.adapters.sftp_errors import TRANSLATED
from lifeboat.adapters.sftp_requests import scanned
from lifeboat.adapters.sftp_session import SftpSession
from lifeboat.adapters.tree import Entry, EntryKind, shown_path
from lifeboat.adapters.tree_sftp_errors import explained, missing
from lifeboat.adapters.tree_sftp_file import ReadAhead, SftpTreeFile
from lifeboat.adapters.tree_walk import joined, packed, taken, walked
from lifeboat.errors import EntryChanged, EntryMissing, SourceError
from lifeboat.model.patterns import Scope, Selection

Result = TypeVar("Result")

_GONE: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_KINDS: Final = {
    FILEXFER_TYPE_REGULAR: EntryKind.FILE,
    FILEXFER_TYPE_DIRECTORY: EntryKind.DIRECTORY,
    FILEXFER_TYPE_SYMLINK: EntryKind.SYMLINK,
}


@dataclass(frozen=True)
class SftpTreeTarget(SftpAccount):
    """A folder of a server with all below it that ``selection`` takes. The folder itself may be a link."""

    selection: Selection = field(default_factory=Selection)

    @contextmanager
    def connect(self) -> Iterator[SftpTree]:
        """One connection. Raises ``SourceMissing`` when there is no such folder, ``SourceDenied``,
        ``SourceUnreachable``, and ``SourceHostKeyMismatch`` when somebody else answers."""
        tree = SftpTree(self)
        try:
            yield tree
        finally:
            tree.close()


class SftpTree:
    """``Tree`` over one SSH connection of its own. For one thread at a time."""

    def __init__(self, target: SftpTreeTarget) -> None:
        self._label = target.label
        self._selection = target.selection
        try:
            self._session = SftpSession(target)
        except TRANSLATED as error:
            raise explained(error, self._label, b"") from error
        self._sftp = self._session.sftp
        try:
            self._top = self._run(b"", self._found_top(target.folder.encode("utf-8", "surrogateescape")))
        except BaseException:
            self.close()
            raise

    def walk(self) -> Iterator[Entry]:
        """A request for each hundred names of a folder or so, three for the folder, one for a link, none per file."""
        for entry in walked(self._rows, self._selection, self._label):
            if entry.kind is not EntryKind.SYMLINK:
                yield entry
            elif (again := self.look_again(entry.path)) is not None:
                yield again

    def open(self, entry: Entry) -> SftpTreeFile:
        run = partial(self._run, entry.path)
        return SftpTreeFile(run(self._opened(entry.path)), run, self._session.run_quietly)

    def look_again(self, path: bytes) -> Entry | None:
        try:
            return self._run(path, self._looked(path))
        except EntryMissing:
            return None

    def close(self) -> None:
        self._session.close()

    def _rows(self, folder: bytes, scope: Scope) -> list[bytes]:
        return self._run(folder, self._listed(folder, scope))

    def _run(self, path: bytes, action: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self._session.run(action)
        except SourceError:
            raise
        except TRANSLATED as error:
            raise explained(error, self._label, path) from error

    # What is async runs on the session's loop.

    async def _found_top(self, folder: bytes) -> bytes:
        async with self._session.answered():
            top: bytes = await self._sftp.realpath(folder)
            attributes = await self._sftp.stat(top)
        if attributes.type != FILEXFER_TYPE_DIRECTORY:
            raise missing(self._label)
        return top

    async def _listed(self, folder: bytes, scope: Scope) -> list[bytes]:
        place = self._place(folder)
        async with self._session.answered():
            if await self._sftp.realpath(place) != place:
                raise EntryMissing(f"{shown_path(folder)} in {self._label} is no longer a folder.")
        rows = []

        async def take(item: asyncssh.SFTPName) -> None:
            name, attributes = self._sftp.encode(item.filename), item.attrs
            if name in (b".", b".."):
                return
            path = joined(folder, name, self._label)
            if attributes.type == FILEXFER_TYPE_UNKNOWN:  # some servers list names only
                attributes = await self._sftp.lstat(self._place(path))
            if taken(scope, name, is_folder=attributes.type == FILEXFER_TYPE_DIRECTORY):
                rows.append(packed(self._described(path, attributes)))

        await scanned(self._sftp, place, take, self._session.stall_timeout)
        return rows

    async def _opened(self, path: bytes) -> ReadAhead:
        attributes = await self._attributes(path)
        if attributes.type != FILEXFER_TYPE_REGULAR:
            raise EntryChanged(
                f"{shown_path(path)} in {self._label} is no longer a file.", hint="Nothing was read from it."
            )
        async with self._session.answered():
            file = await self._sftp.open(self._place(path), "rb", block_size=0)
        largest = self._sftp.limits.max_read_len
        return ReadAhead(file, attributes.size or 0, largest, self._session.stall_timeout)

    async def _looked(self, path: bytes) -> Entry:
        attributes = await self._attributes(path)
        if attributes.type != FILEXFER_TYPE_SYMLINK:
            return self._described(path, attributes)
        async with self._session.answered():
            target: bytes = await self._sftp.readlink(self._place(path))
        return self._described(path, attributes, target)

    async def _attributes(self, path: bytes) -> asyncssh.SFTPAttrs:
        """Those of what is at ``path``, if no link leads there; else ``EntryMissing``. Asked for both at once."""
        parent = posixpath.dirname(self._place(path))
        async with self._session.answered():
            attributes, real = await asyncio.gather(
                self._sftp.lstat(self._place(path)), self._sftp.realpath(parent), return_exceptions=True
            )
        for answer in (attributes, real):
            if isinstance(answer, BaseException) and not isinstance(answer, _GONE):
                raise answer
        if isinstance(attributes, BaseException) or real != parent:
            raise EntryMissing(f"{shown_path(path)} in {self._label} is gone.")
        return attributes

    def _place(self, path: bytes) -> bytes:
        return posixpath.join(self._top, path) if path else self._top

    def _described(self, path: bytes, attributes: asyncssh.SFTPAttrs, target: bytes = b"") -> Entry:
        kind = _KINDS.get(attributes.type, EntryKind.SPECIAL)
        if kind is EntryKind.FILE and attributes.size is None:
            raise SourceError(f"{self._label} tells no size for {shown_path(path)}.")
        mode = attributes.permissions
        return Entry(
            path=path,
            kind=kind,
            size=attributes.size or 0 if kind is EntryKind.FILE else 0,
            mtime_ns=(attributes.mtime or 0) * 10**9 + (attributes.mtime_ns or 0),
            mode=None if mode is None else mode & 0o7777,
            uid=attributes.uid,
            gid=attributes.gid,
            target=target,
        )

"""A file tree in a folder of this machine, walked by directory descriptors so that no link is ever followed.

The walk stays on the folder's file system. A mount point in it is refused, not skipped: what is not in the
backup must have been left out by somebody, with a pattern.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lifeboat.adapters.tree import Entry, EntryKind, shown_path
from lifeboat.adapters.tree_local_entries import FOLDER, described, opened_folder
from lifeboat.adapters.tree_local_errors import explained, replaced
from lifeboat.errors import EntryChanged, SourceError, SourceMissing
from lifeboat.model.patterns import Scope, Selection

# Without O_NONBLOCK, a FIFO that took the file's place would be waited for until somebody writes.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_DESCRIPTORS: Final = 64
"""Folders that a walk keeps open; those above them are opened again on the way back."""


@dataclass(frozen=True)
class LocalTreeTarget:
    """A folder with all below it that ``selection`` takes. The folder itself may be a link, nothing below."""

    folder: Path
    selection: Selection = field(default_factory=Selection)

    @property
    def label(self) -> str:
        return f"file://{shown_path(os.fsencode(self.folder))[1:-1]}"

    @contextmanager
    def connect(self) -> Iterator[LocalTree]:
        """Raises ``SourceMissing`` when there is no such folder, ``SourceDenied`` when it may not be read."""
        try:
            top = os.open(self.folder, FOLDER & ~os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceMissing(
                f"There is no folder {self.label}.",
                hint="Is its disk mounted on this worker? A URL in the policy is a path of the worker's.",
            ) from None
        except OSError as error:
            raise explained(error, self.label, b"") from error
        tree = LocalTree(top, self.label, self.selection)
        try:
            yield tree
        finally:
            tree.close()


class LocalTree:
    """``Tree`` over a folder's descriptor. For one thread at a time.

    The ``etag`` is the time of the last change of the inode, which nobody can set back: it gives away a file
    that was changed and dated back. ``look_again`` tells further names of a file as what they are, files.
    """

    def __init__(self, top: int, label: str, selection: Selection) -> None:
        self._top = top
        self._label = label
        self._selection = selection
        self._parent: tuple[bytes, int] | None = None

    def walk(self) -> Iterator[Entry]:
        walk = _Walk(self._top, self._label, self._selection)
        try:
            yield from walk.entries()
        finally:
            walk.close()

    def open(self, entry: Entry) -> LocalFile:
        folder, _, name = entry.path.rpartition(b"/")
        try:
            file = os.open(name, _FILE, dir_fd=self._opened(folder))
        except OSError as error:
            raise explained(error, self._label, entry.path) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise replaced(self._label, entry.path)
        return LocalFile(file, self._label, entry.path)

    def look_again(self, path: bytes) -> Entry | None:
        folder, _, name = path.rpartition(b"/")
        try:
            parent = self._opened(folder)
            return described(path, name, parent, os.stat(name, dir_fd=parent, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explained(error, self._label, path) from error

    def close(self) -> None:
        self._forget_parent()
        os.close(self._top)

    def _opened(self, folder: bytes) -> int:
        """The descriptor of ``folder``; that of the last one is kept, since files are read in order."""
        if self._parent is None or self._parent[0] != folder:
            self._forget_parent()
            self._parent = folder, opened_folder(self._top, folder)
        return self._parent[1]

    def _forget_parent(self) -> None:
        if self._parent:
            os.close(self._parent[1])
            self._parent = None


class LocalFile:
    """``OpenFile`` over a descriptor."""

    def __init__(self, file: int, label: str, path: bytes) -> None:
        self._file = file
        self._label = label
        self._path = path

    def read(self, size: int, /) -> bytes:
        try:
            return os.read(self._file, size)
        except OSError as error:
            raise explained(error, self._label, self._path) from error

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass
class _Folder:
    """A folder on the way from the top to where the walk is; ``names`` are those still to come, last first."""

    path: bytes
    scope: Scope
    identity: tuple[int, int]
    names: list[bytes]
    descriptor: int | None


class _Walk:
    """One walk. In memory are the names of the folders on the way, and files whose other names are still to come."""

    def __init__(self, top: int, label: str, selection: Selection) -> None:
        self._top = top
        self._label = label
        self._selection = selection
        self._way: list[_Folder] = []
        self._linked: dict[tuple[int, int], tuple[int, bytes]] = {}

    def entries(self) -> Iterator[Entry]:
        with self._errors(b""):
            # Not a duplicate, which would share its position in the listing with another walk.
            self._enter(b"", self._selection.top(), os.open(".", FOLDER, dir_fd=self._top))
        while self._way:
            folder = self._way[-1]
            if not folder.names:
                self._leave()
                continue
            name = folder.names.pop()
            entry = self._entry(folder, name)
            if entry is None:
                continue
            yield entry
            below = folder.scope.below(name) if entry.kind is EntryKind.DIRECTORY else None
            if below is not None:
                self._descend(folder, entry.path, name, below)

    def close(self) -> None:
        while self._way:
            self._leave()

    def _entry(self, folder: _Folder, name: bytes) -> Entry | None:
        """What lies there, if it belongs to the source; None also when it vanished since it was listed."""
        path = folder.path + b"/" + name if folder.path else name
        try:
            parent = self._reached(folder)
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                if not folder.scope.keeps(name):
                    return None
                self._refuse_mount_point(path, found, folder.scope.below(name) is not None)
            elif not folder.scope.takes(name):
                return None
            return self._known_by_another_name(described(path, name, parent, found), found)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explained(error, self._label, path) from error

    def _descend(self, folder: _Folder, path: bytes, name: bytes, scope: Scope) -> None:
        with self._errors(path), suppress(FileNotFoundError, NotADirectoryError):
            self._enter(path, scope, os.open(name, FOLDER, dir_fd=self._reached(folder)))

    def _enter(self, path: bytes, scope: Scope, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self._way.append(_Folder(path, scope, (found.st_dev, found.st_ino), [], descriptor))
        with os.scandir(descriptor) as listed:
            self._way[-1].names = sorted((os.fsencode(item.name) for item in listed), reverse=True)
        if len(self._way) > _DESCRIPTORS:
            _close(self._way[-1 - _DESCRIPTORS])

    def _leave(self) -> None:
        _close(self._way.pop())

    def _reached(self, folder: _Folder) -> int:
        """The folder's descriptor, opened again if it was closed; it must still be the same folder."""
        if folder.descriptor is None:
            folder.descriptor = opened_folder(self._top, folder.path)
            found = os.fstat(folder.descriptor)
            if (found.st_dev, found.st_ino) != folder.identity:
                raise EntryChanged(
                    f"{shown_path(folder.path)} in {self._label} became another folder while it was read.",
                    hint="Back the tree up while nobody moves its folders, or from a snapshot (hooks).",
                )
        return folder.descriptor

    def _refuse_mount_point(self, path: bytes, found: os.stat_result, entered: bool) -> None:
        if entered and found.st_dev != self._way[0].identity[0]:
            raise SourceError(
                f"{shown_path(path)} in {self._label} is another file system, mounted there.",
                hint="Make it a source of its own, or leave it out with an exclude pattern.",
            )

    def _known_by_another_name(self, entry: Entry, found: os.stat_result) -> Entry:
        if entry.kind is not EntryKind.FILE or found.st_nlink < 2:
            return entry
        inode = found.st_dev, found.st_ino
        to_come, first = self._linked.pop(inode, (found.st_nlink, entry.path))
        if to_come > 1:
            self._linked[inode] = to_come - 1, first
        return entry if first is entry.path else _hard_link(entry, first)

    @contextmanager
    def _errors(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explained(error, self._label, path) from error


def _hard_link(entry: Entry, first: bytes) -> Entry:
    return Entry(
        entry.path,
        EntryKind.HARDLINK,
        mtime_ns=entry.mtime_ns,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        target=first,
    )


def _close(folder: _Folder) -> None:
    if folder.descriptor is not None:
        os.close(folder.descriptor)
        folder.descriptor = None

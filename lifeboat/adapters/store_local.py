"""The store as a folder of this machine: a mounted disk, a second copy, or the demo.

Files are created exclusively, without write permission, and are written through to the disk together
with the folder's entry for them.
"""

from __future__ import annotations

import builtins
import datetime as dt
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lifeboat.adapters.store import (
    CHUNK,
    FreeSpace,
    ObjectStat,
    checked_name,
    folder_missing,
    not_an_object,
    object_exists,
    object_missing,
    session_closed,
    store_full,
)
from lifeboat.errors import StoreDenied, StoreError, StoreProtocolError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class LocalTarget:
    """An existing folder; it is never created here, so that an unmounted disk is noticed."""

    folder: Path

    worth_a_child: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"file://{self.folder}"

    @contextmanager
    def connect(self) -> Iterator[LocalStore]:
        """A session on the folder; whether the folder exists shows with the first call."""
        store = LocalStore(self)
        try:
            yield store
        finally:
            store.close()


class LocalStore:
    """``Store`` over the operating system's files."""

    def __init__(self, target: LocalTarget) -> None:
        self._folder = target.folder
        self._label = target.label
        self._closed = False
        self.fsync_supported: bool | None = None

    def create_new(self, name: str, chunks: Iterable[bytes]) -> int:
        handed_over = 0
        with self._translated(name):
            descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o400)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                # Translated piece by piece: an OSError raised by the source of the chunks is not ours.
                with self._translated(name):
                    _write_all(file.fileno(), chunk)
                handed_over += len(chunk)
            with self._translated(name):
                os.fsync(file.fileno())
                self._fsync_folder()
        self.fsync_supported = True
        return handed_over

    def read(self, name: str) -> Iterator[bytes]:
        with self._translated(name):
            size = self._stat_object(name).st_size
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW)
        remaining = size
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while remaining:
                with self._translated(name):
                    chunk = file.read(min(CHUNK, remaining))
                if not chunk:
                    raise self._wrong_length(name, f"ended after {size - remaining} of {size} bytes")
                remaining -= len(chunk)
                yield chunk
            with self._translated(name):
                beyond = file.read(1)
            if beyond:
                raise self._wrong_length(name, f"goes on after its {size} bytes")

    def stat(self, name: str) -> ObjectStat:
        with self._translated(name):
            return _object_stat(name, self._stat_object(name))

    def list(self) -> builtins.list[ObjectStat]:
        found = []
        with self._translated(), os.scandir(self._folder) as entries:
            for entry in entries:
                # An object deleted while we look is gone, not missing from the listing.
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        found.append(_object_stat(entry.name, entry.stat(follow_symlinks=False)))
        return sorted(found, key=lambda item: item.name)

    def delete_exact(self, name: str) -> None:
        with self._translated(name):
            self._stat_object(name)
            self._path(name).unlink()
            self._fsync_folder()

    def free_space(self) -> FreeSpace | None:
        with self._translated():
            return self._measured_space()

    def close(self) -> None:
        self._closed = True

    def _path(self, name: str) -> Path:
        return self._folder / checked_name(name)

    def _stat_object(self, name: str) -> os.stat_result:
        status = self._path(name).lstat()
        if not stat.S_ISREG(status.st_mode):
            raise not_an_object(self._label, name)
        return status

    def _fsync_folder(self) -> None:
        """Without it, a file that was synced may still lack its directory entry after a power failure."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _measured_space(self) -> FreeSpace:
        numbers = os.statvfs(self._folder)
        return FreeSpace(numbers.f_blocks * numbers.f_frsize, numbers.f_bavail * numbers.f_frsize)

    def _wrong_length(self, name: str, what: str) -> StoreProtocolError:
        return StoreProtocolError(f"{name!r} on {self._label} {what}.", hint="Treat the object as damaged.")

    @contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        """Turns the operating system's errors into the store's; refuses when the session is closed."""
        if self._closed:
            raise session_closed(self._label)
        try:
            yield
        except OSError as error:
            raise self._explained(error, name) from error

    def _explained(self, error: OSError, name: str) -> StoreError:
        if error.errno == errno.EEXIST:
            return object_exists(self._label, name)
        if error.errno == errno.ENOENT:
            return object_missing(self._label, name) if self._folder.is_dir() else folder_missing(self._label)
        if error.errno in _FULL:
            return store_full(self._label, name, self._measured_space())
        what = f"{name!r} on {self._label}" if name else self._label
        if error.errno in _DENIED:
            return StoreDenied(f"{what}: {error.strerror}.", hint="Check the folder's owner and permissions.")
        return StoreProtocolError(f"{what}: {error.strerror}.", hint="Check the disk and its mount.")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _object_stat(name: str, status: os.stat_result) -> ObjectStat:
    return ObjectStat(name, status.st_size, dt.datetime.fromtimestamp(status.st_mtime, tz=dt.UTC))

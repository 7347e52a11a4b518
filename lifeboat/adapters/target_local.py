"""A folder of this machine as the target of a restore, reached by descriptors so that no link is ever followed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

from lifeboat import clock
from lifeboat.adapters.below_folder import FOLDER, BelowFolder
from lifeboat.adapters.target_errors import of_system, refused
from lifeboat.adapters.target_local_files import LocalFiles, settle
from lifeboat.adapters.tree_target import TREE, Losses
from lifeboat.errors import RestoreFailed, RestoreRefused
from lifeboat.model.tree import Entry, EntryKind
from lifeboat.model.tree_target import OWNERS, Keeps

if TYPE_CHECKING:
    from lifeboat.adapters.tree_local import LocalTreeTarget

_ORPHANS: Final = 10.0
"""Seconds in which the children of a restore that died end by themselves."""

_FORKED: Final = 1.0
"""Seconds in which a lock may outlive its holder: a child that was just being started has it until it is a program."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class LocalRestoreTarget:
    """A folder that does not exist yet, or is empty."""

    folder: Path

    @property
    def label(self) -> str:
        return str(self.folder)

    @property
    def name(self) -> bytes:
        return os.fsencode(self.folder.absolute().name)

    def name_problems(self) -> None:
        """A file system that holds fewer names says so itself, with the first of them."""

    def tree(self) -> LocalTreeTarget:
        from lifeboat.adapters.tree_local import LocalTreeTarget

        return LocalTreeTarget(self.folder)

    @contextmanager
    def connect(self) -> Iterator[LocalTarget]:
        """Folders above the target are made. Raises ``TargetDenied`` when that is not permitted."""
        if not self.name or self.folder.is_mount():
            raise RestoreRefused(
                f"{self.folder} is the top of a file system, which cannot get its name last.",
                hint="Name a new folder in it.",
            )
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            above = os.open(self.folder.absolute().parent, FOLDER & ~os.O_NOFOLLOW)
            session = LocalTarget(BelowFolder(above), self.label)
        except OSError as error:
            raise of_system(error, self.label, b"") from error
        try:
            yield session
        finally:
            session.close()


def _explained(
    action: Callable[Concatenate[LocalTarget, bytes, Arguments], Result],
) -> Callable[Concatenate[LocalTarget, bytes, Arguments], Result]:
    def explaining(
        self: LocalTarget, path: bytes, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        try:
            return action(self, path, *args, **kwargs)
        except OSError as error:
            raise of_system(error, self.label, path) from error

    return explaining


class LocalTarget:
    """``TargetSession`` over the descriptor of the folder above the target."""

    keeps = Keeps()

    def __init__(self, below: BelowFolder, label: str) -> None:
        self._below = below
        self.label = label
        self._root = os.geteuid() == 0
        self._lock = -1
        self.losses = Losses()

    @property
    def epoch(self) -> str:
        """Nothing is brought to disk one by one, which would take longer than the restore: so until the next start."""
        return _BOOT.read_text().strip()

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
        self._below.close()

    @_explained
    def look(self, path: bytes) -> EntryKind | None:
        parent, name = self._below.parent_of(path)
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(mode):
            return EntryKind.DIRECTORY
        return EntryKind.FILE if stat.S_ISREG(mode) else EntryKind.SPECIAL

    @_explained
    def names(self, folder: bytes) -> list[bytes]:
        with self._opened(folder) as descriptor, os.scandir(descriptor) as entries:
            return [os.fsencode(entry.name) for entry in entries]

    @_explained
    def measure(self, folder: bytes, *, sizes: bool) -> tuple[int, int | None]:
        # Sizes cost a call per file, and each file's was looked at when it was closed.
        count = size = 0
        with self._opened(folder) as descriptor, os.scandir(descriptor) as entries:
            for entry in entries:
                count += 1
                if sizes and entry.is_file(follow_symlinks=False):
                    size += entry.stat(follow_symlinks=False).st_size
        return count, size if sizes else None

    @_explained
    def read(self, path: bytes) -> bytes:
        parent, name = self._below.parent_of(path)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    @_explained
    def write(self, path: bytes, data: bytes) -> None:
        parent, name = self._below.parent_of(path)
        partial = name + b".new"
        descriptor = os.open(
            partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_TRUNC, 0o600, dir_fd=parent
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)

    @_explained
    def make_folder(self, path: bytes, *, again: bool) -> None:
        parent, name = self._below.parent_of(path)
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not again:
                raise
            # What was settled already may keep even its owner out.
            if self.look(path) is not EntryKind.DIRECTORY:
                raise
            os.chmod(name, 0o700, dir_fd=parent)

    @_explained
    def symlink(self, path: bytes, entry: Entry) -> None:
        parent, name = self._below.parent_of(path)
        os.symlink(entry.target, name, dir_fd=parent)
        if entry.uid is not None:
            if self._root:
                os.chown(
                    name,
                    entry.uid,
                    -1 if entry.gid is None else entry.gid,
                    dir_fd=parent,
                    follow_symlinks=False,
                )
            else:
                self.losses[OWNERS] += entry.uid != os.geteuid()
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    @_explained
    def hard_link(self, path: bytes, first: bytes) -> None:
        parent, name = self._below.parent_of(path)
        other = BelowFolder(os.dup(self._below.top))
        try:
            source, source_name = other.parent_of(first)
            os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            other.close()

    @_explained
    def settle(self, path: bytes, entry: Entry) -> None:
        with self._opened(path) as descriptor:
            told = {"uid": entry.uid, "gid": entry.gid, "mode": entry.mode}
            self.losses[OWNERS] += settle(descriptor, os.fstat(descriptor), told, root=self._root)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    @_explained
    def remove(self, path: bytes) -> None:
        parent, name = self._below.parent_of(path)
        if self.look(path) is EntryKind.DIRECTORY:
            os.rmdir(name, dir_fd=parent)
            self._below.forget()
        else:
            os.unlink(name, dir_fd=parent)

    @_explained
    def rename(self, old: bytes, new: bytes) -> None:
        self._below.forget()
        with self._opened(old.rpartition(b"/")[0]) as source:
            parent, name = self._below.parent_of(new)
            try:
                # Takes the place of an empty folder, and of nothing else.
                os.rename(old.rpartition(b"/")[2], name, src_dir_fd=source, dst_dir_fd=parent)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise refused(self.label) from None
                raise
            os.fsync(parent)

    def seize(self, folder: bytes, other: bytes) -> bytes | None:  # noqa: ARG002 - there are locks here
        """A lock on the folder, held until this process ends; what its children still do is waited for."""
        try:
            with self._opened(folder) as descriptor:
                self._lock = os.dup(descriptor)
            if not _locked(self._lock, _FORKED):
                os.close(self._lock)
                self._lock = -1
                return None
            self._wait_for_orphans(folder + b"/" + TREE)
        except FileNotFoundError:
            return None  # its restore has just ended
        except OSError as error:
            raise of_system(error, self.label, folder) from error
        return folder

    def _wait_for_orphans(self, tree: bytes) -> None:
        if self.look(tree) is None:
            return
        with self._opened(tree) as descriptor:
            if not _locked(descriptor, _ORPHANS):
                raise RestoreFailed(
                    f"Something still writes into {shown(tree)} beside {self.label}, whose restore has ended.",
                    hint="Look for processes of `lifeboat.adapters.loading_child` without a parent, and end them.",
                )

    @_explained
    def files(self, folder: bytes, *, again: bool) -> LocalFiles:
        with self._opened(folder) as descriptor:
            below = BelowFolder(os.dup(descriptor))
        # Whoever goes on with this restore waits until nobody has it: see ``seize``.
        fcntl.flock(below.top, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return LocalFiles(below, self.label, again=again)

    @contextmanager
    def _opened(self, folder: bytes) -> Iterator[int]:
        if not folder:
            yield self._below.top
            return
        parent, name = self._below.parent_of(folder)
        descriptor = os.open(name, FOLDER, dir_fd=parent)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def shown(path: bytes) -> str:
    return repr(os.fsdecode(path))


def _locked(descriptor: int, seconds: float) -> bool:
    """Whether nobody else has it locked, or not any more when the time is over; then it is ours."""
    limit = clock.Deadline.after(seconds)
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if limit.passed():
            return False
        clock.sleep(0.05)

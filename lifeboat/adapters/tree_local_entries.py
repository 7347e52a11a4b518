"""Folders and entries of this machine by descriptor: the two system calls' worth that walking and looking share."""

from __future__ import annotations

import os
import stat
from typing import Final

from lifeboat.adapters.tree import Entry, EntryKind

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def opened_folder(top: int, path: bytes) -> int:
    """A new descriptor of the folder at ``path`` below ``top``, gone to name by name; ``OSError``."""
    here = os.dup(top)
    for name in path.split(b"/") if path else ():
        try:
            below = os.open(name, FOLDER, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def described(path: bytes, name: bytes, parent: int, found: os.stat_result) -> Entry:
    """The entry called ``name`` in the folder ``parent``; reads the target of a link. ``OSError``."""
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), EntryKind.SPECIAL)
    return Entry(
        path=path,
        kind=kind,
        size=found.st_size if kind is EntryKind.FILE else 0,
        mtime_ns=found.st_mtime_ns,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        etag=f"{found.st_ctime_ns:x}" if kind is EntryKind.FILE else "",
        target=os.readlink(name, dir_fd=parent) if kind is EntryKind.SYMLINK else b"",
    )


_KINDS: Final = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
}

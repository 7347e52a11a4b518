"""New files in a folder of this machine: through no link, never over anything, as few calls as can be."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from lifeboat.adapters.below_folder import BelowFolder
from lifeboat.adapters.target_errors import of_system
from lifeboat.adapters.tree_target import Losses
from lifeboat.model.names import name_bytes
from lifeboat.model.tree_target import OWNERS

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_HOLE: Final = 2**16
"""Zeros of this length are not written: a sparse file stays one, and a disk does not fill with nothing (F44)."""
_ZEROS: Final = bytes(_HOLE)
PRIVATE: Final = 0o600
"""Mode of a file whose tree knew none."""


class LocalFiles:
    """``NewFiles``. Each file has its mode from the first moment: nobody else can reach the folder around them."""

    def __init__(self, below: BelowFolder, label: str, *, again: bool) -> None:
        self._below = below
        self._label = label
        self._again = again
        self._open = -1
        self._path = b""
        self._umask = os.umask(0)
        self._root = os.geteuid() == 0
        self._losses = Losses()

    def begin(self, file: Mapping[str, Any]) -> None:
        self._path, self._file = name_bytes(file["path"]), file
        try:
            parent, name = self._below.parent_of(self._path)
            if self._again:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=parent)
            self._open = os.open(name, _NEW, file.get("mode", PRIVATE) & 0o777, dir_fd=parent)
        except OSError as error:
            raise self._explained(error) from error

    def write(self, piece: memoryview) -> None:
        try:
            if len(piece) < _HOLE:
                self._put(piece)
            else:
                self._put_around_holes(piece)
        except OSError as error:
            raise self._explained(error) from error

    def end(self) -> None:
        try:
            self._settle(self._file)
        except OSError as error:
            raise self._explained(error) from error
        descriptor, self._open = self._open, -1
        os.close(descriptor)

    def finish(self) -> Losses:
        return self._losses

    def close(self) -> None:
        if self._open >= 0:
            os.close(self._open)
        self._below.close()
        os.umask(self._umask)

    def _put(self, piece: memoryview) -> None:
        while piece:
            piece = piece[os.write(self._open, piece) :]

    def _put_around_holes(self, piece: memoryview) -> None:
        begin = 0
        for at in range(0, len(piece) - _HOLE + 1, _HOLE):
            if _is_hole(piece[at : at + _HOLE]):
                self._put(piece[begin:at])
                os.lseek(self._open, _HOLE, os.SEEK_CUR)
                begin = at + _HOLE
        self._put(piece[begin:])

    def _settle(self, file: Mapping[str, Any]) -> None:
        found = os.fstat(self._open)
        if found.st_size != file["length"]:  # it ends in a hole
            os.ftruncate(self._open, file["length"])
        self._losses[OWNERS] += settle(self._open, found, file, root=self._root)
        moment = file.get("mtime_ns", 0)
        os.utime(self._open, ns=(moment, moment))

    def _explained(self, error: OSError) -> Exception:
        return of_system(error, self._label, self._path)


def settle(descriptor: int, found: os.stat_result, entry: Mapping[str, Any], *, root: bool) -> bool:
    """Owner and mode as they were, where they are not yet; whether it belongs to another now.

    Only root may give files away.
    """
    uid, gid, mode = entry.get("uid"), entry.get("gid"), entry.get("mode")
    foreign = uid is not None and (found.st_uid, found.st_gid) != (uid, gid)
    if uid is not None and foreign and root:
        os.fchown(descriptor, uid, -1 if gid is None else gid)
    # After the owner, which takes setuid and setgid away.
    if mode is not None and (stat.S_IMODE(found.st_mode) != mode or foreign):
        os.fchmod(descriptor, mode)
    return bool(foreign and not root)


def _is_hole(block: memoryview) -> bool:
    # Two looks first, since nearly no block is one.
    return not block[0] and not block[-1] and bytes(block) == _ZEROS

"""What went wrong where a tree is restored to, in the words of ``lifeboat.errors``."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lifeboat.errors import (
    EntryExists,
    EntryMissing,
    LifeboatError,
    RestoreFailed,
    RestoreRefused,
    SourceDenied,
    SourceError,
    SourceUnreachable,
    TargetDenied,
    TargetFull,
    TargetUnreachable,
)
from lifeboat.model.names import name_text

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
MAKE_ROOM: Final = "Make room and restore again: what is in already is not fetched a second time."
MISSING: Final = (
    "Make the folder above the target first; if it was there, somebody deleted or renamed it, or another attempt at "
    "the same restore took over."
)
LET_WRITE: Final = (
    "Let the account create, rename and delete in the folder above the target, or name another target."
)


def of_system(error: OSError, label: str, path: bytes) -> RestoreFailed:
    """The error to raise for what the operating system said about ``path``."""
    where = f"'{name_text(path)}' in {label}" if path else label
    if error.errno in _FULL:
        return TargetFull(f"{where} cannot be written: {error.strerror}.", hint=MAKE_ROOM)
    if error.errno in _DENIED:
        return TargetDenied(f"{where} cannot be written: {error.strerror}.", hint=LET_WRITE)
    return RestoreFailed(
        f"{where} cannot be written: {error.strerror}.",
        hint="Look at the target's file system, and restore again.",
    )


def refused(label: str) -> RestoreRefused:
    """Something has the target's name."""
    return RestoreRefused(
        f"{label} exists already.", hint="Restore into a new or empty folder, and move files from there."
    )


@contextmanager
def of_share(label: str) -> Iterator[None]:
    """The ``SourceError`` family, which Azure Files speaks, in the words of a target."""
    try:
        yield
    except SourceError as error:
        raise _from_share(error, label) from None


def _from_share(error: SourceError, label: str) -> LifeboatError:
    if isinstance(error, EntryMissing):
        return RestoreFailed(error.message, hint=MISSING)
    if isinstance(error, EntryExists):
        return refused(label)
    kind: type[RestoreFailed] = RestoreFailed
    if isinstance(error, SourceUnreachable):
        kind = TargetUnreachable
    elif isinstance(error, SourceDenied):
        kind = TargetDenied
    return kind(error.message, hint=error.hint)

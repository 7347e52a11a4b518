"""What the operating system says about a file or folder, in the words of ``lifeboat.errors``."""

from __future__ import annotations

import errno
from typing import Final

from lifeboat.adapters.tree import shown_path
from lifeboat.errors import EntryChanged, EntryMissing, SourceDenied, SourceError

_DENIED: Final = (errno.EACCES, errno.EPERM)
_MISSING: Final = (errno.ENOENT, errno.ENOTDIR)
_REPLACED: Final = (errno.ELOOP, errno.ENXIO)
"""A link, and a socket or a device without driver, where a file was."""


def explained(error: OSError, label: str, path: bytes) -> SourceError:
    """The error to raise for ``path``, relative to the tree ``label``; the top itself if empty."""
    if isinstance(error, SourceError):
        return error
    where = f"{shown_path(path)} in {label}" if path else label
    if error.errno in _DENIED:
        return SourceDenied(
            f"{where} may not be read ({error.strerror}).",
            hint="Let the worker's account read it, or leave it out with an exclude pattern.",
        )
    if error.errno in _MISSING:
        return EntryMissing(f"{where} is gone.")
    if error.errno in _REPLACED:
        return replaced(label, path)
    return SourceError(
        f"{where} cannot be read: {error.strerror}.", hint="Check the disk and the system's log."
    )


def replaced(label: str, path: bytes) -> EntryChanged:
    """Something else than a file is where a file was."""
    return EntryChanged(
        f"{shown_path(path)} in {label} is no longer a file.", hint="Nothing was read from it."
    )

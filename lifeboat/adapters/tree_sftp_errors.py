"""What went wrong with a tree over SFTP, in the words of ``lifeboat.errors``."""

from __future__ import annotations

from typing import Final

from lifeboat.adapters.sftp_errors import HINTS, Cause, cause_of, words_of
from lifeboat.adapters.tree import shown_path
from lifeboat.errors import (
    EntryMissing,
    SourceDenied,
    SourceError,
    SourceHostKeyMismatch,
    SourceMissing,
    SourceUnreachable,
)

_KINDS: Final[dict[Cause, type[SourceError]]] = {
    Cause.HOST_KEY: SourceHostKeyMismatch,
    Cause.ACCOUNT: SourceDenied,
    Cause.DENIED: SourceDenied,
    Cause.CONNECTION: SourceUnreachable,
}

_HINTS: Final = HINTS | {
    Cause.DENIED: "Let the account read it, or leave it out with an exclude pattern.",
    Cause.UNEXPECTED: "Look at the server's log for the same moment; a failing disk looks like this.",
}


def explained(error: BaseException, label: str, path: bytes) -> SourceError:
    """The error to raise for ``path``, relative to the tree ``label``; the tree itself if empty."""
    cause = cause_of(error)
    if cause is Cause.MISSING:
        return EntryMissing(f"{shown_path(path)} in {label} is gone.") if path else missing(label)
    where = f"{shown_path(path)} in {label}" if path else label
    kind = _KINDS.get(cause, SourceError)
    return kind(f"{where}: {cause.value} ({words_of(error)}).", hint=_HINTS.get(cause, ""))


def missing(label: str) -> SourceMissing:
    return SourceMissing(
        f"There is no folder {label}.",
        hint="The URL's path is as the server's account sees it; an account may have a root of its own.",
    )

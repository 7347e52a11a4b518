"""What went wrong over SFTP where a tree is restored to; apart, since a local restore does without asyncssh."""

from __future__ import annotations

from typing import Final

from lifeboat.adapters.sftp_errors import HINTS, TRANSLATED, Cause, cause_of, words_of
from lifeboat.adapters.target_errors import LET_WRITE, MAKE_ROOM, MISSING
from lifeboat.adapters.tree import shown_path
from lifeboat.errors import RestoreFailed, TargetDenied, TargetFull, TargetHostKeyMismatch, TargetUnreachable

__all__ = ["TRANSLATED", "of_sftp"]

_KINDS: Final[dict[Cause, type[RestoreFailed]]] = {
    Cause.HOST_KEY: TargetHostKeyMismatch,
    Cause.ACCOUNT: TargetDenied,
    Cause.DENIED: TargetDenied,
    Cause.CONNECTION: TargetUnreachable,
    Cause.FULL: TargetFull,
}
_HINTS: Final = HINTS | {
    Cause.DENIED: LET_WRITE,
    Cause.FULL: MAKE_ROOM,
    Cause.MISSING: MISSING,
    Cause.TAKEN: "Restore into a new folder.",
}


def of_sftp(error: BaseException, label: str, path: bytes, *, full: bool = False) -> RestoreFailed:
    """The error to raise for one of ``TRANSLATED``; ``full``: the server says that no space is left."""
    where = f"{shown_path(path)} in {label}" if path else label
    cause = Cause.FULL if full else cause_of(error)
    kind = _KINDS.get(cause, RestoreFailed)
    return kind(f"{where}: {cause.value} ({words_of(error)}).", hint=_HINTS.get(cause, ""))

"""What went wrong on the line, in the store's words; what only asking again can tell, the session finds out."""

from __future__ import annotations

from typing import Final

from lifeboat.adapters.sftp_errors import HINTS, TRANSLATED, Cause, cause_of, words_of
from lifeboat.adapters.store import folder_missing, object_exists, object_missing, store_full
from lifeboat.errors import (
    StoreAuthenticationFailed,
    StoreDenied,
    StoreError,
    StoreHostKeyMismatch,
    StoreProtocolError,
    StoreUnreachable,
)

__all__ = ["TRANSLATED", "explained"]

_KINDS: Final[dict[Cause, type[StoreError]]] = {
    Cause.HOST_KEY: StoreHostKeyMismatch,
    Cause.ACCOUNT: StoreAuthenticationFailed,
    Cause.DENIED: StoreDenied,
    Cause.CONNECTION: StoreUnreachable,
}

_HINTS: Final = HINTS | {
    Cause.DENIED: "Check the folder's owner and permissions. A write-once account may only create, read and list.",
    Cause.LENGTH: "Treat it as damaged.",
}


def explained(error: BaseException, *, label: str, name: str = "") -> StoreError:
    """The ``StoreError`` that ``error`` means. The server's words are quoted, so that they stay words."""
    cause = cause_of(error)
    if cause is Cause.MISSING:
        return object_missing(label, name) if name else folder_missing(label)
    if cause is Cause.TAKEN:
        return object_exists(label, name)
    if cause is Cause.FULL:
        return store_full(label, name, None)
    where = f"{name!r} on {label}" if name else label
    kind = _KINDS.get(cause, StoreProtocolError)
    return kind(f"{where}: {cause.value} ({words_of(error)}).", hint=_HINTS[cause])

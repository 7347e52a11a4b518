"""What went wrong with a tree in a bucket or container, in the words of ``lifeboat.errors``.

No text of a service or library is repeated: they quote URLs, and with a shared access signature those are secrets.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lifeboat.adapters.tree import shown_path
from lifeboat.errors import (
    EntryChanged,
    EntryMissing,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceUnreachable,
)

_NO_CONTAINER: Final = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "AccountNotFound")
_BUSY: Final = ("SlowDown", "RequestTimeout", "ServerBusy", "OperationTimedOut", "InternalError")
_NOT_ACCEPTED: Final = ("InvalidAuthenticationInfo", "ExpiredToken", "InvalidToken")
"""Credentials that are refused with status 400."""
_WRONG_ADDRESS: Final = (
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)


class Answer(NamedTuple):
    """A refusal: the HTTP status and the service's own code; status 0 where no whole answer came at all."""

    status: int
    code: str
    """``NoSuchKey``, ``BlobNotFound`` …; for no answer, the name of the library's error."""


class Overwritten(Exception):
    """An object is no longer the one that was listed, although the service was asked for that one alone."""


def explained(answer: Answer, label: str, path: bytes) -> SourceError:
    """The error to raise for ``path``, relative to the tree ``label``; the tree itself if empty."""
    status, code = answer
    code = code if code.isalnum() and len(code) <= 80 else "no code"
    where = f"{shown_path(path)} in {label}" if path else label
    if not status:
        return SourceUnreachable(
            f"{where}: no whole answer ({code}).",
            hint="Check the endpoint, name resolution, the network and the certificate; then repeat the run.",
        )
    if status == 429 or (status >= 500 and status != 501) or code in _BUSY:
        return SourceUnreachable(
            f"{where}: the service is too busy or broken ({status} {code}), also after waiting.",
            hint="Repeat later; look whether something else uses up the account's limits.",
        )
    if status in (404, 410):
        return _missing(code, label, path)
    if status in (412, 416):
        return changed(label, path)
    if status in (401, 403) or code in _NOT_ACCEPTED:
        return SourceDenied(
            f"{where}: the service said no ({status} {code}).",
            hint="Check the key or signature in the source's block, that it may list and read here, and this "
            "machine's clock. A firewall of the account answers like this too.",
        )
    if status in (301, 307) or code in _WRONG_ADDRESS:
        return SourceError(
            f"{where} is not served at this address ({status} {code}).",
            hint="Set `endpoint` and `region` of the source's block to where the bucket is.",
        )
    return SourceError(
        f"{where}: the service answered {status} {code}.", hint="Look the code up in its docs."
    )


def changed(label: str, path: bytes) -> EntryChanged:
    return EntryChanged(
        f"{shown_path(path)} in {label} was overwritten since it was listed.",
        hint="Buckets have no snapshot; where objects are replaced all the time, declare `consistency: live`.",
    )


def shortened(label: str, path: bytes, came: int, wanted: int) -> SourceUnreachable:
    """For an answer that ended well, and was not what was asked for."""
    return SourceUnreachable(
        f"{shown_path(path)} in {label}: {came} bytes came where {wanted} were asked for.",
        hint="Something between here and the service shortens answers; look for a proxy.",
    )


def empty(label: str) -> SourceMissing:
    return SourceMissing(
        f"There is nothing in {label}.",
        hint="A folder of a bucket is there as long as something is in it. Check the policy's URL; a folder that "
        "may be empty needs a marker: an empty object of its name with / at the end.",
    )


def _missing(code: str, label: str, path: bytes) -> SourceError:
    if path and code not in _NO_CONTAINER:
        return EntryMissing(f"{shown_path(path)} in {label} is gone.", hint="Somebody deleted it meanwhile.")
    return SourceMissing(
        f"{label} is not there ({code}).",
        hint="Check the policy's URL, and account and endpoint in the source's block.",
    )

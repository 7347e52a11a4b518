"""Microsoft's client for Azure file shares, set up for backups; its errors in the project's words.

Importing it takes 1.4 s, so this module is imported where a share is opened, never before (``connected``).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.fileshare import ExponentialRetry, ShareServiceClient
from requests import Session
from requests.adapters import HTTPAdapter

from lifeboat.errors import (
    EntryExists,
    EntryMissing,
    LifeboatError,
    Refused,
    SnapshotLimitReached,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceUnreachable,
)

if TYPE_CHECKING:
    from lifeboat.adapters.azure_files_share import AzureShare

RANGE: Final = 4 * 2**20
"""Bytes of one read or write: the service takes no more, and a reading thread holds few of them."""
LONGEST_WAIT: Final = 60.0
"""Seconds that a Retry-After may ask for; whoever wants more is called unreachable sooner."""


class PatientRetry(ExponentialRetry):
    """Microsoft's policy, which overlooks Retry-After and starts at 15 s, with an eye for both."""

    def __init__(self, retries: int, first_wait: float) -> None:
        super().__init__(retry_total=retries, retry_connect=retries, retry_read=retries, retry_status=retries)
        self._first_wait = first_wait

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Seconds: what the service asked for, or ever longer, and not the same for all threads."""
        last = settings["history"][-1].http_response if settings["history"] else None
        asked = last.headers.get("Retry-After", "") if last is not None else ""
        if asked.isdigit():
            return min(float(asked), LONGEST_WAIT)
        longest = self._first_wait * 2.0 ** int(settings["count"])
        return min(random.uniform(0.5, 1.0) * longest, LONGEST_WAIT)  # noqa: S311 - no secret hangs on it


def service(share: AzureShare) -> ShareServiceClient:
    """A client of the account. All requests to Azure Files begin here, so the guard below sees every one."""
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=share.connections))
    transport = RequestsTransport(
        session=session,
        session_owner=True,
        connection_verify=share.ca_file or True,
        connection_timeout=20,
        read_timeout=60,
        # The transport's own is 4 KiB, which costs four times the memory and time.
        connection_data_block_size=256 * 2**10,
    )
    return ShareServiceClient(
        share.account_url,
        credential=share.credential.for_client(),
        # For Entra: the role's data access, past the files' own ACLs. Ignored for keys and SAS.
        token_intent="backup",  # noqa: S106 - what the token is for, not the token
        # Without these, `report.` and `report` would be one file.
        allow_trailing_dot=True,
        allow_source_trailing_dot=True,
        transport=transport,
        retry_policy=PatientRetry(share.retries, share.first_wait),
        max_single_get_size=RANGE,
        max_chunk_get_size=RANGE,
        raw_request_hook=never_delete_a_share,
    )


def never_delete_a_share(request: Any) -> None:  # noqa: ANN401 - azure-core's PipelineRequest
    """Stops a request that would delete a share before it leaves; raises ``Refused``.

    With Microsoft's client the same call deletes a snapshot, or, when the snapshot's id got lost, the share.
    """
    query: Mapping[str, str] = request.http_request.query
    of_a_share = request.http_request.method == "DELETE" and query.get("restype") == "share"
    if of_a_share and not query.get("sharesnapshot"):
        raise Refused(
            "A request that would delete a whole file share was stopped.",
            hint="This is a defect of Lifeboat; nothing was deleted. Report it.",
        )


@contextmanager
def translated(label: str, path: str | None = None) -> Iterator[None]:
    """Turns the client's errors into ours: ``path`` below the share that ``label`` names, if one is meant."""
    try:
        yield
    except LifeboatError:
        raise
    except AzureError as error:
        # Without its cause: the text of the original repeats URLs, and with a SAS those are secrets.
        raise explained(error, label, path) from None


def broke_off(error: AzureError) -> bool:
    """Whether the answer began well and then broke off: all else the client has repeated by itself already."""
    return isinstance(error, HttpResponseError) and error.status_code in (200, 206)


_MISSING_SOURCE = ("ShareNotFound", "ShareSnapshotNotFound", "ShareBeingDeleted", "ShareDisabled")
_TAKEN = ("ResourceAlreadyExists", "ResourceTypeMismatch")
_LEASED = ("LeaseIdMissing", "DeleteShareWhenSnapshotLeased", "LeaseIdMismatchWithShareOperation")


def explained(error: AzureError, label: str, path: str | None) -> SourceError:
    """The error in our words, without the service's own text, which may hold a signature."""
    what = label if path is None else f"{path!r} on {label}"
    # Also an answer without a status: one that broke off while the client took it apart.
    if not isinstance(error, HttpResponseError) or not error.status_code or broke_off(error):
        return SourceUnreachable(
            f"{what}: no whole answer from Azure Files ({type(error).__name__}).",
            hint="Check name resolution, the network, and the storage account's firewall; then repeat the run.",
        )
    code = _code(error)
    if code in _MISSING_SOURCE:
        return SourceMissing(
            f"{label} is not there ({code}).",
            hint="Check the name of the share and of the account. If a snapshot is gone, somebody deleted it: "
            "look who else deletes snapshots of this share.",
        )
    if code == "ShareSnapshotCountExceeded":
        return SnapshotLimitReached(
            f"{label} has as many snapshots as a share may have (200).",
            hint="Look who makes them, delete those that nobody needs, or read from Azure Backup's newest one "
            "with `snapshot: azure-backup`.",
        )
    return _by_status(error, code, what, path)


def _by_status(error: HttpResponseError, code: str, what: str, path: str | None) -> SourceError:
    status = error.status_code or 0
    if status in (401, 403):
        return SourceDenied(
            f"{what}: Azure Files said no ({status} {code}).",
            hint="Check the account key, or that the SAS is still valid and covers this; with Entra, the role "
            "Storage File Data Privileged Reader. The storage account's firewall answers like this too.",
        )
    if status == 404:
        kind = SourceMissing if path is None else EntryMissing
        return kind(
            f"{what} is gone ({code}).", hint="Somebody deleted it after it was listed, or it never was."
        )
    if code in _TAKEN:
        return EntryExists(
            f"{what} is already there.",
            hint="Names that differ only by case are one name in a share. Restore into an empty folder.",
        )
    if code in _LEASED:
        return SourceDenied(f"{what} is leased: somebody protects it.", hint="Leave it to its owner.")
    if status == 429 or status >= 500:
        return SourceUnreachable(
            f"{what}: Azure Files is too busy or broken ({status} {code}), also after waiting.",
            hint="Repeat later; look whether something else uses up the share's limits.",
        )
    return SourceError(
        f"{what}: Azure Files answered {status} {code}.", hint="Look the code up in Azure's docs."
    )


def _code(error: HttpResponseError) -> str:
    # azure-core's type of the response leaves the headers out.
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    return headers.get("x-ms-error-code", "") or "no code"

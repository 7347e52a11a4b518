"""Answers over HTTP: whole and usable, or an error in the project's words that quotes none of them."""

from __future__ import annotations

import json
import ssl
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from lifeboat import clock
from lifeboat.errors import SourceDenied, SourceError, SourceMissing, SourceUnreachable

BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be another one soon."""


@dataclass(frozen=True)
class Answer:
    """A whole answer; ``body`` never shows, it may hold secrets. It is empty where the status is not wanted."""

    label: str
    status: int
    content_type: str
    retry_after: str
    body: bytes = field(repr=False)

    @property
    def is_json(self) -> bool:
        return self.content_type == "application/json" or self.content_type.endswith("+json")

    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The value. Raises ``SourceError`` when the answer is none."""
        if self.is_json:
            try:
                return json.loads(self.body)
            except (ValueError, RecursionError):
                pass  # raised below, without this cause: it quotes the answer
        kind = self.content_type or "of no type"
        raise SourceError(
            f"{self.label}: the answer ({kind}, {len(self.body):,} bytes) is no JSON.",
            hint="Something else may answer at that address, such as a page to sign in.",
        )


def read_answer(
    label: str, response: httpx.Response, wanted: AbstractSet[int], size_limit: int, deadline: clock.Deadline
) -> Answer:
    """The whole answer. Raises ``SourceError`` for one that is too large or does not say where it ends."""
    body = bytearray()
    if response.status_code in wanted:
        _refuse_unbounded(label, response)
        for piece in response.iter_raw():
            body += piece
            refuse_too_much(label, len(body), size_limit)
            if deadline.passed():
                raise SourceUnreachable(
                    f"{label}: the answer was not whole after {deadline.limit:.0f} s.",
                    hint="Look how loaded the service is, and how large its export.",
                )
    return Answer(
        label=label,
        status=response.status_code,
        content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
        retry_after=response.headers.get("retry-after", ""),
        body=bytes(body),
    )


def _refuse_unbounded(label: str, response: httpx.Response) -> None:
    headers = response.headers
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    if response.status_code != 204 and not chunked and "content-length" not in headers:
        raise SourceError(
            f"{label}: the answer does not say where it ends, so that one cut short would look whole.",
            hint="It lacks Content-Length and chunks; a proxy in between may be the cause.",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceError(
            f"{label}: the answer is compressed, though that was not asked for.",
            hint="Take compression out of the service, or of the proxy in between.",
        )


def refuse_too_much(label: str, size: int, limit: int) -> None:
    """Raise ``SourceError`` for more than ``limit`` bytes."""
    if size > limit:
        raise SourceError(
            f"{label}: the export is larger than {limit / 2**20:g} MiB, the limit of what is held in memory.",
            hint="Export less, or let the service write files and back those up with `kind: files`.",
        )


def status_error(answer: Answer) -> SourceError:
    """The error for a status that is not wanted."""
    label, status = answer.label, answer.status
    if status in (401, 403):
        return SourceDenied(
            f"{label}: the service said no ({status}).",
            hint="Check the credential in the source's block, and what its account may read.",
        )
    if status in (404, 410):
        return SourceMissing(f"{label}: nothing is there ({status}).", hint="Check the url in the policy.")
    if status in BUSY:
        return SourceUnreachable(
            f"{label}: the service is too busy or broken ({status}), also after waiting.",
            hint="Look at the service; then repeat the run.",
        )
    if 300 <= status < 400:
        return SourceError(
            f"{label}: the service sends us elsewhere ({status}); not followed, the credential would go along.",
            hint="Write the final address into the policy. A page to sign in redirects like this, too.",
        )
    return SourceError(f"{label}: the service answered {status}.", hint="Look at its log.")


def transport_error(label: str, error: httpx.HTTPError) -> SourceError:
    """The error for an exchange that did not end in an answer."""
    certificate = _certificate_error(error)
    if certificate is not None:
        return SourceError(
            f"{label}: the certificate is not trusted: {certificate.verify_message}",
            hint="Put the CA's certificate on the worker and its path into the block; else somebody else answers.",
        )
    return SourceUnreachable(
        f"{label}: no whole answer ({type(error).__name__}).",
        hint="Check that the service runs, name resolution, the network, and proxies in between.",
    )


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error

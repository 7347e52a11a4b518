"""Requests over HTTP whose answers are whole or an error: what exports of side services are made with (sources §6).

Certificates are checked, redirects are not followed (the credential would go along), and the environment's proxies
are not used.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from lifeboat import clock
from lifeboat.adapters.http_answer import BUSY, Answer, read_answer, status_error, transport_error
from lifeboat.errors import ConfigurationError, SourceUnreachable

SIZE_LIMIT: Final = 64 * 2**20
"""Bytes of an export, all its files together: it is held in memory."""
LONGEST_WAIT: Final = 60.0
"""Seconds that a Retry-After may ask for."""
_SILENCE: Final = 60.0
_DONE: Final = frozenset({200, 201, 204})


@dataclass(frozen=True)
class UserPassword:
    """Basic authentication. Raises ``ConfigurationError`` for a user that it cannot carry."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if ":" in self.user:
            raise ConfigurationError(
                f"The user {self.user!r} has a colon, at which basic authentication ends it.",
                hint="Make an account without one.",
            )


@dataclass(frozen=True)
class BearerToken:
    """A token in the header Authorization, as that of a Kubernetes service account.

    Raises ``ConfigurationError`` for one that no header can carry.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.token.isascii() or not self.token.isprintable() or " " in self.token or not self.token:
            raise ConfigurationError(
                "The token is empty, or holds white space or other characters that no token has.",
                hint="Give the token alone, without `Bearer` and on one line.",
            )


@dataclass(frozen=True)
class Endpoint:
    """Where a service answers, and as whom we ask. ``url`` carries no secret; paths are appended to it.

    ``ca_file`` holds the certificates to trust instead of the host's own. ``time_limit`` (of one answer) and
    ``first_wait`` are seconds, ``size_limit`` is bytes of a whole export.
    """

    url: str
    credential: UserPassword | BearerToken | None = None
    ca_file: str | None = None
    time_limit: float = 300.0
    size_limit: int = SIZE_LIMIT
    attempts: int = 4
    first_wait: float = 1.0

    @contextmanager
    def session(self) -> Iterator[HttpSession]:
        """An open session. Raises ``ConfigurationError`` when the CA file cannot be used."""
        silence = min(_SILENCE, self.time_limit)
        with httpx.Client(
            verify=self.tls(),
            headers=self._headers(),
            auth=self._basic(),
            timeout=httpx.Timeout(silence, connect=min(20.0, silence)),
            follow_redirects=False,
            trust_env=False,
        ) as client:
            yield HttpSession(self, client)

    def tls(self) -> ssl.SSLContext:
        """How certificates are checked. Raises ``ConfigurationError`` when the CA file cannot be used."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigurationError(
                f"The CA file {self.ca_file!r} cannot be used: {reason}.",
                hint="It must lie on the worker and hold certificates as PEM.",
            ) from None

    def _basic(self) -> httpx.BasicAuth | None:
        known = self.credential
        return httpx.BasicAuth(known.user, known.password) if isinstance(known, UserPassword) else None

    def _headers(self) -> dict[str, str]:
        # Never compressed: the limit of bytes shall be one of memory.
        headers = {"Accept-Encoding": "identity", "User-Agent": "lifeboat"}
        if isinstance(self.credential, BearerToken):
            headers["Authorization"] = f"Bearer {self.credential.token}"
        return headers


@dataclass(frozen=True)
class HttpSession:
    """Requests to one endpoint, one after the other."""

    endpoint: Endpoint
    _client: httpx.Client = field(repr=False)

    def get(
        self, path: str = "", query: Mapping[str, str] | None = None, *, also: AbstractSet[int] = frozenset()
    ) -> Answer:
        """GET ``path``, again while the service is away or busy, ``attempts`` times at most.

        ``also`` are statuses besides 200 that the caller knows what to do with. Raises ``SourceUnreachable``,
        ``SourceDenied``, ``SourceMissing``, or ``SourceError`` for an answer that cannot be used.
        """
        wanted = also | {200}
        for attempt in range(1, self.endpoint.attempts):
            try:
                answer = self._exchange("GET", path, wanted, query=query)
            except SourceUnreachable:
                clock.sleep(self._wait(attempt, ""))
                continue
            if answer.status not in BUSY - wanted:
                return _with_status(answer, wanted)
            clock.sleep(self._wait(attempt, answer.retry_after))
        return _with_status(self._exchange("GET", path, wanted, query=query), wanted)

    def post(self, path: str, body: bytes) -> Answer:
        """POST JSON, once: whether an unanswered request was carried out, nobody knows. Raises as ``get`` does."""
        return _with_status(self._exchange("POST", path, _DONE, body=body), _DONE)

    def delete(self, path: str) -> Answer:
        """DELETE, once; what is not there is deleted. Raises as ``get`` does."""
        wanted = _DONE | {404}
        return _with_status(self._exchange("DELETE", path, wanted), wanted)

    def _exchange(
        self,
        method: str,
        path: str,
        wanted: AbstractSet[int],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        url = self.endpoint.url.rstrip("/") + path if path else self.endpoint.url
        label, limits = f"{method} {url}", self.endpoint
        headers = {} if body is None else {"Content-Type": "application/json"}
        deadline = clock.Deadline.after(limits.time_limit)
        try:
            with self._client.stream(method, url, params=query, content=body, headers=headers) as response:
                return read_answer(label, response, wanted, limits.size_limit, deadline)
        except httpx.HTTPError as error:
            # Without its cause, whose request holds the credential.
            raise transport_error(label, error) from None

    def _wait(self, attempt: int, asked: str) -> float:
        """Seconds: what the service asked for, or ever longer, and not the same for all who wait."""
        if asked.isdigit():
            return min(float(asked), LONGEST_WAIT)
        longest = self.endpoint.first_wait * 2.0 ** (attempt - 1)
        return min(random.uniform(0.5, 1.0) * longest, LONGEST_WAIT)  # noqa: S311 - no secret hangs on it


def _with_status(answer: Answer, wanted: AbstractSet[int]) -> Answer:
    if answer.status not in wanted:
        raise status_error(answer)
    return answer

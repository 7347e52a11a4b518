"""Who signed a request: Shared Key, account SAS or bearer token, by the rules Microsoft documents.

https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
https://learn.microsoft.com/rest/api/storageservices/create-account-sas
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_SAS_FIELDS = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
_NEEDED = {"GET": "rl", "HEAD": "rl", "PUT": "wc", "DELETE": "d"}
_SKEW = dt.timedelta(minutes=15)


class Forbidden(Exception):
    """403, with the service's own error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Account:
    name: str
    key: str
    token: str = ""
    """The bearer token that is let in; empty: none."""

    def sign(self, text: str) -> str:
        digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()

    def check(self, method: str, target: str, headers: Mapping[str, str], now: dt.datetime) -> None:
        """Raises Forbidden unless the request is signed by this account."""
        lowered = {name.lower(): value for name, value in headers.items()}
        query = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        scheme, _, rest = lowered.get("authorization", "").partition(" ")
        if scheme == "SharedKey":
            self._check_key(rest, method, target, lowered, query, now)
        elif scheme == "Bearer":
            self._check_token(rest, lowered)
        elif "sig" in dict(query):
            self._check_sas(dict(query), method, now)
        else:
            raise Forbidden("NoAuthenticationInformation", "The request is not signed.")

    def _check_key(
        self,
        claim: str,
        method: str,
        target: str,
        headers: Mapping[str, str],
        query: list[tuple[str, str]],
        now: dt.datetime,
    ) -> None:
        if abs(parsedate_to_datetime(headers.get("x-ms-date", headers.get("date", ""))) - now) > _SKEW:
            raise Forbidden("AuthenticationFailed", "The date of the request is too far off.")
        text = string_to_sign(self.name, method, urlsplit(target).path, headers, query)
        if not hmac.compare_digest(claim, f"{self.name}:{self.sign(text)}"):
            raise Forbidden("AuthenticationFailed", f"The signature is not that of {text!r}.")

    def _check_token(self, token: str, headers: Mapping[str, str]) -> None:
        if not self.token or token != self.token:
            raise Forbidden("AuthenticationFailed", "The token is not accepted.")
        if headers.get("x-ms-file-request-intent") != "backup":
            raise Forbidden("AuthorizationPermissionMismatch", "A token needs x-ms-file-request-intent.")

    def _check_sas(self, fields: dict[str, str], method: str, now: dt.datetime) -> None:
        text = "\n".join([self.name, *(fields.get(name, "") for name in _SAS_FIELDS), ""])
        if not hmac.compare_digest(fields["sig"], self.sign(text)):
            raise Forbidden("AuthenticationFailed", "The signature of the SAS is wrong.")
        if dt.datetime.fromisoformat(fields["se"]) < now:
            raise Forbidden("AuthenticationFailed", "The SAS has expired.")
        if "f" not in fields["ss"]:
            raise Forbidden("AuthorizationServiceMismatch", "The SAS is for another service.")
        if not set(_NEEDED[method]) & set(fields["sp"]):
            raise Forbidden("AuthorizationPermissionMismatch", "The SAS does not permit this.")


def string_to_sign(
    account: str, method: str, path: str, headers: Mapping[str, str], query: list[tuple[str, str]]
) -> str:
    """``path`` as it was sent, percent-encoded; ``headers`` in lower case."""
    plain = {name: headers.get(name, "") for name in _SIGNED_HEADERS}
    if plain["content-length"] == "0":
        plain["content-length"] = ""
    if "x-ms-date" in headers:
        plain["date"] = ""
    own = sorted((name, value.strip()) for name, value in headers.items() if name.startswith("x-ms-"))
    values: dict[str, list[str]] = {}
    for name, value in query:
        values.setdefault(name.lower(), []).append(value)
    return "\n".join(
        [
            method,
            *(plain[name] for name in _SIGNED_HEADERS),
            *(f"{name}:{value}" for name, value in own),
            f"/{account}{path}",
        ]
    ) + "".join(f"\n{name}:{','.join(sorted(values[name]))}" for name in sorted(values))

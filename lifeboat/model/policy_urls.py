"""Where the policy lets a source be: URLs without secrets, and nothing in the clear."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from lifeboat.model.policy_values import shown

_FILE_PROTOCOLS: Final = ("file", "sftp", "s3", "abfs")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{shown(url)} is not a URL") from error
    if parts.password or parts.username or parts.query:
        # Not shown: what stands before the @, or in the query, may well be the secret.
        raise ValueError("a URL here carries no user, no password and no query; those belong into the block")
    return parts


def tree_url(url: str) -> str:
    """Raises ``ValueError`` for what is not the URL of a file tree."""
    parts = _split(url)
    if parts.scheme not in _FILE_PROTOCOLS:
        known = ", ".join(f"{protocol}://" for protocol in _FILE_PROTOCOLS)
        raise ValueError(f"{shown(url)} is not the URL of a file tree; it begins with one of {known}")
    if bool(parts.netloc) is (parts.scheme == "file") or not parts.path.startswith("/"):
        raise ValueError(
            f"{shown(url)} says not where; write file:///absolute/folder, or protocol://host-or-bucket/folder"
        )
    return url


def export_url(url: str) -> str:
    """Raises ``ValueError`` for what is not HTTPS, or HTTP on this very machine."""
    parts = _split(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown(url)} is not an https:// URL")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(f"{shown(url)} would send the password and the export in the clear; use https://")
    return url


def api_url(url: str) -> str:
    """The top of an API below which we know the way. Raises ``ValueError``, also for a URL that goes deeper."""
    path = urlsplit(export_url(url)).path
    if {"api", "apis"} & set(path.split("/")):
        raise ValueError(f"{shown(url)} goes too deep; leave out /api and what follows it")
    return url

"""Microsoft Entra tokens as PostgreSQL passwords (sources §4.13).

A token is checked only when a session begins and lives 60 minutes at most, so every session and every child process
asks for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lifeboat.errors import ConfigurationError, SourceError

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
"""Azure Database for PostgreSQL, all of them."""


class Token(Protocol):
    @property
    def token(self) -> str: ...


class Credential(Protocol):
    """The one thing needed of azure-identity."""

    def get_token(self, *scopes: str) -> Token: ...


def entra_password(credential: Credential | None = None) -> Callable[[], str]:
    """What ``PostgresServer.password`` asks: each call gets a token from ``credential``.

    Without one, ``DefaultAzureCredential`` finds the worker's own (managed or workload identity, environment) at the
    first call. Calls raise ``ConfigurationError`` without the extra ``azure``, ``SourceError`` when Entra refuses.
    """
    source = credential

    def password() -> str:
        nonlocal source
        source = source or _default_credential()
        return _token(source)

    return password


def _default_credential() -> Credential:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise ConfigurationError(
            "Signing in with Microsoft Entra needs azure-identity, which is not installed.",
            hint="Install Lifeboat with its extra `azure`: pip install 'lifeboat[azure]'.",
        ) from None
    default: Credential = DefaultAzureCredential()
    return default


def _token(credential: Credential) -> str:
    try:
        from azure.core.exceptions import AzureError
    except ImportError:  # a credential of the caller's own, which needs no azure-core
        return credential.get_token(SCOPE).token
    try:
        return credential.get_token(SCOPE).token
    except AzureError as error:
        raise SourceError(
            f"Microsoft Entra gave no token for PostgreSQL ({type(error).__name__}).",
            hint="The worker needs an identity with a role in the database: see pgaadauth_create_principal.",
        ) from None

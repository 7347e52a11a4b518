"""Microsoft Entra tokens as PostgreSQL passwords (sources §4.13).

A token is checked only when a session begins and lives 60 minutes at most, so every session and every child
process asks for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass
class EntraPassword:
    """What ``PostgresServer.password`` asks: each call gets a token of its own.

    Without a credential, ``DefaultAzureCredential`` finds the worker's own (managed or workload identity,
    environment variables) at the first call. Calls raise ``ConfigurationError`` without the extra ``azure``,
    ``SourceError`` when Entra refuses.
    """

    credential: Credential | None = field(default=None, repr=False)

    def __call__(self) -> str:
        default_credential, entra_refused = _azure()
        self.credential = self.credential or default_credential()
        try:
            return self.credential.get_token(SCOPE).token
        except entra_refused as error:
            # Its text lists every way that was tried, over many lines, and is not ours to vouch for (F50).
            raise SourceError(
                f"Microsoft Entra gave no token for PostgreSQL ({type(error).__name__}).",
                hint="The worker needs a managed or workload identity, or AZURE_… variables, "
                "of an account that is a role of the database.",
            ) from None


def _azure() -> tuple[Callable[[], Credential], type[Exception]]:
    """The default credential and the error of azure-identity, which is imported only where it is used."""
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise ConfigurationError(
            "Signing in with Microsoft Entra needs azure-identity, which is not installed.",
            hint="Install Lifeboat with its extra `azure`: pip install 'lifeboat[azure]'",
        ) from None
    return DefaultAzureCredential, AzureError

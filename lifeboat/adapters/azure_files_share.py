"""Which Azure file share, by which right: plain values that may cross process boundaries."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from lifeboat.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType


class Credential(Protocol):
    """What a client of Azure Files can be given; shows its secret to nobody else."""

    def for_client(self) -> Any: ...  # noqa: ANN401 - what azure-storage-file-share takes is a union of it all


@dataclass(frozen=True)
class AccountKey:
    """One of the two keys of a storage account: full rights on everything in it."""

    account: str
    key: str = field(repr=False)

    def for_client(self) -> dict[str, str]:
        # With the name, because it cannot be told from every host name.
        return {"account_name": self.account, "account_key": self.key}


@dataclass(frozen=True)
class SharedAccessSignature:
    """A SAS: ``sv=…&sig=…``. Reading needs ``rl``, an own snapshot also ``cd``."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        # Microsoft's client takes any other text for an account key.
        if "sig=" not in self.token:
            raise ConfigurationError(
                "The shared access signature has no signature in it.",
                hint="Give the whole token, from `sv=` to `sig=…`, without the URL before it.",
            )

    def for_client(self) -> str:
        return self.token.removeprefix("?")


@dataclass(frozen=True)
class EntraCredential:
    """An identity of Microsoft Entra; without one given, the worker's own is found."""

    credential: Any = field(default=None, repr=False)
    """Of azure-identity, or anything with its ``get_token``."""

    def for_client(self) -> Any:  # noqa: ANN401
        if self.credential is not None:
            return self.credential
        try:
            from azure.identity import DefaultAzureCredential
        except ImportError:
            raise _not_installed("azure-identity") from None
        return DefaultAzureCredential()


_SNAPSHOT_ID: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


@dataclass(frozen=True)
class SnapshotId:
    """The id of a share snapshot, which is its instant: ``2026-11-23T07:24:11.9426210Z``; never empty."""

    text: str

    def __post_init__(self) -> None:
        if not _SNAPSHOT_ID.fullmatch(self.text):
            raise ConfigurationError(
                f"{self.text!r} is no id of a share snapshot.",
                hint="An id looks like 2026-11-23T07:24:11.9426210Z.",
            )

    def __str__(self) -> str:
        return self.text

    @property
    def taken_at(self) -> dt.datetime:
        """By the service's clock, aware, in UTC; the seventh digit is cut off."""
        return dt.datetime.fromisoformat(self.text)


@dataclass(frozen=True)
class AzureShare:
    """A file share, live or as of ``snapshot``."""

    account_url: str
    """``https://<account>.file.core.windows.net``."""
    share: str
    credential: Credential
    snapshot: SnapshotId | None = None
    ca_file: str = ""
    """Certificates to trust instead of the usual ones (PEM)."""
    connections: int = 32
    """Most connections at once: as many as threads read."""
    retries: int = 5
    """How often a request is repeated that found no answer, a broken one, or a busy server."""
    first_wait: float = 1.0
    """Seconds before the first repetition; each further one waits longer. A Retry-After goes before."""

    def __post_init__(self) -> None:
        if not self.share or "/" in self.share:
            raise ConfigurationError(
                f"{self.share!r} is no name of a file share.",
                hint="Give the share's name alone, like `documents`.",
            )
        parts = urlsplit(self.account_url)
        if not parts.hostname or parts.query or parts.username:
            # Not shown: a SAS in the query is a secret.
            raise ConfigurationError(
                "The URL of the storage account is not one of a host alone.",
                hint="Write https://<account>.file.core.windows.net; a SAS belongs into the credential.",
            )

    @property
    def label(self) -> str:
        """How messages name it; holds no secret."""
        frozen = f" as of {self.snapshot}" if self.snapshot else ""
        return f"file share {self.share!r} of {urlsplit(self.account_url).hostname}{frozen}"


def connected() -> ModuleType:
    """``azure_files_client``, which is imported here for the first time; ``ConfigurationError`` without the SDK."""
    try:
        import azure.storage.fileshare  # noqa: F401 - asked for by name, so that the message can be right
    except ImportError:
        raise _not_installed("azure-storage-file-share") from None
    from lifeboat.adapters import azure_files_client

    return azure_files_client


def _not_installed(package: str) -> ConfigurationError:
    return ConfigurationError(
        f"Azure file shares need {package}, which is not installed.",
        hint="Install Lifeboat with its extra `azure`: pip install 'lifeboat[azure]'",
    )

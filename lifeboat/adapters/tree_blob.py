"""A tree of blobs in a container of Azure Blob Storage.

adlfs opens the connection; what is asked goes to Microsoft's client below it. adlfs' own listings keep a dictionary
for each blob, and it repeats requests as that client does by default: first after 15 seconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lifeboat.adapters.azure_files_share import AccountKey, EntraCredential, SharedAccessSignature
from lifeboat.adapters.tree_object import (
    CONNECT_TIMEOUT,
    Found,
    ObjectTree,
    Page,
    Patience,
    Place,
)
from lifeboat.adapters.tree_object_errors import Answer
from lifeboat.adapters.tree_s3 import check_endpoint
from lifeboat.errors import ConfigurationError
from lifeboat.model.patterns import Selection

if TYPE_CHECKING:
    from adlfs import AzureBlobFileSystem

_CONTAINER: Final = re.compile(r"\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62}")
_OVERRIDING: Final = "AZURE_STORAGE_CONNECTION_STRING"
"""An environment variable that adlfs puts before a credential."""


@dataclass(frozen=True)
class BlobTreeTarget:
    """The blobs of a container whose names begin with ``folder/``; all of them if ``folder`` is empty."""

    account: str
    container: str
    folder: str
    credential: AccountKey | SharedAccessSignature | EntraCredential
    """Entra's must be one of ``azure.identity.aio``; the worker's own is found when none is given."""
    endpoint: str = ""
    """URL of the account's blob service, if it is not ``https://<account>.blob.core.windows.net``."""
    ca_file: str = ""
    """Certificates to trust instead of the usual ones (PEM)."""
    selection: Selection = field(default_factory=Selection)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not _CONTAINER.fullmatch(self.container):
            raise ConfigurationError(
                f"{self.container!r} is no name of a container.",
                hint="Write the URL as abfs://container/folder; the account stands in the source's block.",
            )
        check_endpoint(self.endpoint)
        if isinstance(self.credential, EntraCredential) and self.url.startswith("http:"):
            raise ConfigurationError(
                "A token of Microsoft Entra travels over https only.", hint="Give an endpoint with https://."
            )

    @property
    def url(self) -> str:
        """Of the account's blob service."""
        return self.endpoint.rstrip("/") or f"https://{self.account}.blob.core.windows.net"

    @property
    def label(self) -> str:
        return f"abfs://{self.container}/{self.folder} at {urlsplit(self.url).netloc}"

    @contextmanager
    def connect(self) -> Iterator[ObjectTree]:
        """A connection pool of its own; whether the container is there shows with the first request."""
        prefix = f"{self.folder}/" if self.folder else ""
        tree = ObjectTree(_Container(self), Place(self.label, prefix, self.selection, self.patience))
        try:
            yield tree
        finally:
            tree.close()


class _Container:
    """``Bucket`` over the client that adlfs makes; repeating is left to the tree."""

    def __init__(self, target: BlobTreeTarget) -> None:
        self._files = _filesystem(target)
        self.loop = self._files.loop
        self._client = self._files.service_client.get_container_client(target.container)
        self._own_identity = target.credential == EntraCredential()
        # Each request brings them along: adlfs hands none of them on to the client.
        self._options: dict[str, Any] = {
            "retry_total": 0,
            "connection_timeout": CONNECT_TIMEOUT,
            "read_timeout": target.patience.silence,
        }
        if target.ca_file:
            self._options["connection_verify"] = target.ca_file

    async def page(self, prefix: str, token: str) -> Page:
        from azure.storage.blob.aio import BlobPrefix

        listing = self._client.walk_blobs(
            name_starts_with=prefix or None, delimiter="/", include=["metadata"], **self._options
        )
        pages = listing.by_page(token or None)
        folders: list[str] = []
        objects: list[Found] = []
        async for item in await anext(pages):
            if isinstance(item, BlobPrefix):
                folders.append(str(item.name))
            else:
                objects.append(_found(item))
        return Page(folders, objects, pages.continuation_token or "")

    async def find(self, key: str) -> Found | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return _found(await self._client.get_blob_client(key).get_blob_properties(**self._options))
        except ResourceNotFoundError:
            return None

    async def read(self, key: str, begin: int, length: int, etag: str) -> bytes:
        from azure.core import MatchConditions

        answer = await self._client.get_blob_client(key).download_blob(
            begin,
            length,
            etag=f'"{etag}"',
            match_condition=MatchConditions.IfNotModified,
            max_concurrency=1,
            decompress=False,  # a blob stored with Content-Encoding gzip is those bytes
            **self._options,
        )
        return bytes(await answer.readall())

    async def close(self) -> None:
        await self._files.service_client.close()
        if self._own_identity:
            await self._files.credential.close()
        # adlfs has itself kept until the process ends, and with it all that this one holds.
        self._files.service_client = self._files.credential = _Closed()

    def refusal(self, error: BaseException) -> Answer | None:
        return _refusal(error)


class _Closed:
    """What adlfs closes again when the process ends."""

    async def close(self) -> None:
        """Nothing is open any more."""


def _filesystem(target: BlobTreeTarget) -> AzureBlobFileSystem:
    try:
        from adlfs import AzureBlobFileSystem
    except ImportError:
        raise ConfigurationError(
            "Trees of blobs need adlfs, which is not installed.",
            hint="Install Lifeboat with its extra `azure`: pip install 'lifeboat[azure]'",
        ) from None
    return AzureBlobFileSystem(
        **_account(target),
        # Otherwise whoever asks with the same options would be given this one, after its end too.
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def _account(target: BlobTreeTarget) -> dict[str, Any]:
    """What adlfs is told: always all of it, since it fills gaps from environment variables of the worker."""
    match target.credential:
        case AccountKey(account, key):
            right = f"AccountName={account};AccountKey={key}"
        case SharedAccessSignature():
            right = f"SharedAccessSignature={target.credential.for_client()}"
        case EntraCredential(credential):
            if os.environ.get(_OVERRIDING):
                raise ConfigurationError(
                    f"The environment variable {_OVERRIDING} would go before the identity of Microsoft Entra.",
                    hint="Unset it on the worker.",
                )
            host = target.url.removeprefix("https://")
            return {"account_name": target.account, "account_host": host, "credential": credential or _own()}
    return {"account_name": target.account, "connection_string": f"BlobEndpoint={target.url};{right}"}


def _own() -> Any:  # noqa: ANN401 - a credential of azure-identity
    """The worker's own identity."""
    try:
        from azure.identity.aio import DefaultAzureCredential
    except ImportError:
        raise ConfigurationError(
            "Signing in with Microsoft Entra needs azure-identity, which is not installed.",
            hint="Install Lifeboat with its extra `azure`: pip install 'lifeboat[azure]'",
        ) from None
    return DefaultAzureCredential()


def _found(blob: Any) -> Found:  # noqa: ANN401 - BlobProperties
    metadata = blob.metadata or {}
    return Found(
        key=str(blob.name),
        size=int(blob.size),
        mtime=int(blob.last_modified.timestamp()),
        etag=str(blob.etag).strip('"'),
        # How Hadoop, and accounts with a hierarchy, write a folder down.
        is_folder=not blob.size and str(metadata.get("hdi_isfolder", "")).lower() == "true",
    )


def _refusal(error: BaseException) -> Answer | None:
    from aiohttp import ClientError as TransportError
    from azure.core.exceptions import AzureError, HttpResponseError

    if isinstance(error, HttpResponseError):
        # An answer that began well and then broke off has its good status.
        status = error.status_code or 0
        code = getattr(error, "error_code", None)
        return Answer(
            0 if status < 300 else status, str(getattr(code, "value", code) or type(error).__name__)
        )
    broken = (AzureError, TransportError, OSError)
    return Answer(0, type(error).__name__) if isinstance(error, broken) else None

"""A tree of objects in an S3 bucket: Amazon's, DigitalOcean's Spaces, or whatever else speaks S3.

s3fs opens the connection; what is asked goes to the client below it. Its own listings would keep a dictionary for
each object, and its reads take a short body for the end of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lifeboat.adapters.tree_object import (
    CONNECT_TIMEOUT,
    Found,
    ObjectTree,
    Page,
    Patience,
    Place,
)
from lifeboat.adapters.tree_object_errors import Answer, Overwritten
from lifeboat.errors import ConfigurationError, SourceError
from lifeboat.model.patterns import Selection

if TYPE_CHECKING:
    from s3fs import S3FileSystem

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True)
class S3TreeTarget:
    """The objects of a bucket whose keys begin with ``folder/``; all of them if ``folder`` is empty."""

    bucket: str
    folder: str
    access_key: str
    secret_key: str = field(repr=False)
    endpoint: str = ""
    """``https://fra1.digitaloceanspaces.com``; Amazon's own for the region when empty."""
    region: str = "us-east-1"
    ca_file: str = ""
    """Certificates to trust instead of the usual ones (PEM)."""
    selection: Selection = field(default_factory=Selection)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise ConfigurationError(
                f"{self.bucket!r} is no name of a bucket.", hint="Write the URL as s3://bucket/folder."
            )
        check_endpoint(self.endpoint)

    @property
    def label(self) -> str:
        at = f" at {urlsplit(self.endpoint).netloc}" if self.endpoint else ""
        return f"s3://{self.bucket}/{self.folder}{at}"

    @contextmanager
    def connect(self) -> Iterator[ObjectTree]:
        """A connection pool of its own; whether the bucket is there shows with the first request."""
        prefix = f"{self.folder}/" if self.folder else ""
        tree = ObjectTree(_S3Bucket(self), Place(self.label, prefix, self.selection, self.patience))
        try:
            yield tree
        finally:
            tree.close()


def check_endpoint(endpoint: str) -> None:
    """Raises ``ConfigurationError`` for what is not the URL of a service; an empty one is the provider's own."""
    parts = urlsplit(endpoint)
    well_formed = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.username)
    if endpoint and not well_formed:
        # Not shown: what stands in a query, or before an @, is a secret.
        raise ConfigurationError(
            "The endpoint is not the URL of a service.",
            hint="Write https://host, without a user, a query or a signature.",
        )


class _S3Bucket:
    """``Bucket`` over the client that s3fs makes; repeating is left to the tree."""

    def __init__(self, target: S3TreeTarget) -> None:
        self._files = _filesystem(target)
        self.loop = self._files.loop
        self._bucket = target.bucket

    async def page(self, prefix: str, token: str) -> Page:
        client = await self._files.set_session()
        more = {"ContinuationToken": token} if token else {}
        answer = await client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/", **more)
        following = answer.get("NextContinuationToken", "") if answer.get("IsTruncated") else ""
        if answer.get("IsTruncated") and following in ("", token):
            raise SourceError(
                f"The listing of s3://{self._bucket} says that it goes on, and not where.",
                hint="This service does not speak S3 as it should; nothing of it is backed up.",
            )
        return Page(
            folders=[folder["Prefix"] for folder in answer.get("CommonPrefixes", ())],
            objects=[
                _found(item["Key"], item["Size"], item["LastModified"], item["ETag"])
                for item in answer.get("Contents", ())
            ],
            token=following,
        )

    async def find(self, key: str) -> Found | None:
        client = await self._files.set_session()
        try:
            answer = await client.head_object(Bucket=self._bucket, Key=key)
        except Exception as error:
            refusal = self.refusal(error)
            if refusal is not None and refusal.status == 404:
                return None
            raise
        return _found(key, answer["ContentLength"], answer["LastModified"], answer["ETag"])

    async def read(self, key: str, begin: int, length: int, etag: str) -> bytes:
        client = await self._files.set_session()
        answer = await client.get_object(
            Bucket=self._bucket,
            Key=key,
            Range=f"bytes={begin}-{begin + length - 1}",
            IfMatch=f'"{etag}"',
        )
        async with answer["Body"] as body:
            if _bare(answer["ETag"]) != etag:  # a service that overlooks If-Match
                raise Overwritten
            data = bytearray()
            # One byte more than asked for shows a service that overlooks Range; it is never read to its end.
            while len(data) <= length and (piece := await body.read(length + 1 - len(data))):
                data += piece
        return bytes(data)

    async def close(self) -> None:
        client = await self._files.set_session()
        await client.close()

    def refusal(self, error: BaseException) -> Answer | None:
        return _refusal(error)


def _filesystem(target: S3TreeTarget) -> S3FileSystem:
    try:
        from s3fs import S3FileSystem
    except ImportError:
        raise ConfigurationError(
            "Trees in S3 need s3fs, which is not installed.",
            hint="Install Lifeboat with its extra `s3`: pip install 'lifeboat[s3]'",
        ) from None
    return S3FileSystem(
        key=target.access_key,
        secret=target.secret_key,
        endpoint_url=target.endpoint or None,
        client_kwargs={"region_name": target.region, "verify": target.ca_file or None},
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": target.patience.silence,
            "retries": {"mode": "standard", "total_max_attempts": 1},
            # Not every service that speaks S3 knows Amazon's newer checksums.
            "response_checksum_validation": "when_required",
            # An environment variable of the worker must not send the key elsewhere.
            "ignore_configured_endpoint_urls": True,
        },
        # Otherwise whoever asks with the same options would be given this one, after its end too.
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def _found(key: str, size: int, modified: Any, etag: str) -> Found:  # noqa: ANN401 - a datetime of botocore's
    return Found(key, size, int(modified.timestamp()), _bare(etag))


def _bare(etag: str) -> str:
    return etag.strip('"')


def _refusal(error: BaseException) -> Answer | None:
    import botocore.exceptions as told
    from aiohttp import ClientError as TransportError
    from botocore.parsers import ResponseParserError

    if isinstance(error, told.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Answer(int(status), str(error.response.get("Error", {}).get("Code", "")))
    broken = (told.ConnectionError, told.HTTPClientError, told.IncompleteReadError, ResponseParserError)
    return Answer(0, type(error).__name__) if isinstance(error, (*broken, TransportError, OSError)) else None

"""Trees of objects to back up, by the policy's URL and the source's block."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from blocks.azure_blobs import AzureBlobs
from blocks.checked import load_block, source_block
from blocks.s3_bucket import S3Bucket
from lifeboat.adapters.tree import TreeTarget
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_sources import FilesSource


def load_object_tree(
    environment_name: str, service: str, source_name: str, source: FilesSource
) -> TreeTarget:
    """Where the objects of a source at ``s3://`` or ``abfs://`` are, from the block that the policy names or
    ``<environment>-<service>-<source>``.

    Raises ``ConfigurationError`` that names the block. Nothing is asked of the service yet.
    """
    name = source_block(environment_name, service, source_name, source)
    # A number sign is one of the key's. Not url.hostname, which is in small letters. The path is taken as it is
    # written, but for its ends: in a key, two slashes are not one.
    url = urlsplit(source.url, allow_fragments=False)
    folder = unquote(url.path).strip("/")
    selection = Selection(source.include, source.exclude)
    if url.scheme == "s3":
        return load_block(S3Bucket, name).tree(url.netloc, folder, selection)
    return load_block(AzureBlobs, name).tree(url.netloc, folder, selection)

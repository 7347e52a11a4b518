"""Nouns with connection settings and secrets: one block type per file; ``harbour`` loads them by name.

A block gives the plain value that the stages work with, and decides nothing. There is deliberately no block
for an age identity that opens parts: whoever holds the API's one credential reads every block.
``prefect block register -m blocks`` registers every block class that is visible here, so only ours are.
"""

from blocks.azure_blobs import AzureBlobs
from blocks.azure_file_shares import AzureFileShares
from blocks.http_export import HttpExport
from blocks.index_identity import IndexIdentity
from blocks.local_store import LocalStore
from blocks.nas_store import NasStore
from blocks.postgres_server import PostgresServer
from blocks.recipients import Recipients
from blocks.s3_bucket import S3Bucket
from blocks.sftp_account import SftpAccount
from blocks.signing_key import SigningKey
from blocks.signing_public_keys import SigningPublicKeys

__all__ = [
    "AzureBlobs",
    "AzureFileShares",
    "HttpExport",
    "IndexIdentity",
    "LocalStore",
    "NasStore",
    "PostgresServer",
    "Recipients",
    "S3Bucket",
    "SftpAccount",
    "SigningKey",
    "SigningPublicKeys",
]

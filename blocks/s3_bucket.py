"""The right to read a bucket in S3, or in what speaks like it."""

from __future__ import annotations

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters.tree_s3 import S3TreeTarget
from lifeboat.model.patterns import Selection


class S3Bucket(CheckedBlock):
    """The key for a bucket, and where it lies; bucket and folder stand in the policy.

    Attributes:
        access_key: The public half of the key.
        endpoint: URL of the service, if it is not Amazon's.

    Example:
        Reach the folder of a source:
        ```python
        from blocks import S3Bucket

        tree = S3Bucket.load("BLOCK_NAME").tree("documents", "invoices")
        ```
    """

    _block_type_name = "S3 Bucket"
    _block_type_slug = "s3-bucket"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("filesystem")

    access_key: str = Field(
        min_length=1, description="Id of the access key; it needs to list and to read, nothing else."
    )
    secret_key: SecretStr = Field(description="The secret that belongs to it.")
    endpoint: str | None = Field(
        default=None,
        description="URL of the service, `https://fra1.digitaloceanspaces.com` for Spaces; Amazon's when empty.",
    )
    region: str = Field(
        default="us-east-1",
        min_length=1,
        description="Where Amazon keeps the bucket; Spaces wants the default.",
    )
    ca_file: str | None = Field(
        default=None,
        description="Path on the worker of the certificates to trust; the host's own when empty.",
    )

    def tree(self, bucket: str, folder: str, selection: Selection | None = None) -> S3TreeTarget:
        """The objects below a folder of a bucket, or all of it if ``folder`` is empty."""
        return S3TreeTarget(
            bucket=bucket,
            folder=folder,
            access_key=self.access_key,
            secret_key=self.secret_key.get_secret_value(),
            endpoint=self.endpoint or "",
            region=self.region,
            ca_file=self.ca_file or "",
            selection=selection or Selection(),
        )

    def _check(self) -> None:
        if not self.secret_key.get_secret_value():
            raise ValueError("the secret key is empty")
        self.tree("bucket", "")

"""The right to read the containers of an Azure storage account."""

from __future__ import annotations

from pydantic import Field, SecretStr

from blocks.azure_credential import Authentication, azure_credential, check_given
from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters.tree_blob import BlobTreeTarget
from lifeboat.model.patterns import Selection


class AzureBlobs(CheckedBlock):
    """A storage account, and the credential for its blobs; container and folder stand in the policy.

    Attributes:
        account: The storage account.
        authentication: By account key, shared access signature, or Microsoft Entra.

    Example:
        Reach the folder of a source:
        ```python
        from blocks import AzureBlobs

        tree = AzureBlobs.load("BLOCK_NAME").tree("documents", "invoices")
        ```
    """

    _block_type_name = "Azure Blobs"
    _block_type_slug = "azure-blobs"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("filesystem")

    account: str = Field(pattern=r"^[a-z0-9]{3,24}$", description="The storage account.")
    authentication: Authentication = Field(
        default="entra",
        description="`entra` (role Storage Blob Data Reader), `sas` (rights rl on containers and objects), "
        "or `key`, which may do everything in the account.",
    )
    key: SecretStr | None = Field(default=None, description="The account key; with `key` only.")
    sas: SecretStr | None = Field(
        default=None, description="The token from `sv=` to `sig=…`; with `sas` only."
    )
    endpoint: str | None = Field(
        default=None,
        description="URL of the blob service, if it is not https://<account>.blob.core.windows.net.",
    )
    ca_file: str | None = Field(
        default=None,
        description="Path on the worker of the certificates to trust; the host's own when empty.",
    )

    def tree(self, container: str, folder: str, selection: Selection | None = None) -> BlobTreeTarget:
        """The blobs below a folder of a container, or all of it if ``folder`` is empty."""
        return BlobTreeTarget(
            account=self.account,
            container=container,
            folder=folder,
            credential=azure_credential(self.account, self.key, self.sas),
            endpoint=self.endpoint or "",
            ca_file=self.ca_file or "",
            selection=selection or Selection(),
        )

    def _check(self) -> None:
        check_given(self.authentication, self.key, self.sas)
        self.tree("container", "")

"""The right to read an Azure storage account's file shares."""

from __future__ import annotations

from pydantic import Field, SecretStr

from blocks.azure_credential import Authentication, azure_credential, check_given
from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters.azure_files_share import AzureShare


class AzureFileShares(CheckedBlock):
    """The credential for the file shares of a storage account; account and shares stand in the policy.

    Attributes:
        authentication: By account key, shared access signature, or Microsoft Entra.

    Example:
        Reach a share of a source:
        ```python
        from blocks import AzureFileShares

        share = AzureFileShares.load("BLOCK_NAME").share("exampleaccount", "documents")
        ```
    """

    _block_type_name = "Azure File Shares"
    _block_type_slug = "azure-file-shares"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    authentication: Authentication = Field(
        default="entra",
        description="`entra` (role Storage File Data Privileged Reader), `sas` (rights rl; cd for own snapshots), "
        "or `key`, which may do everything in the account.",
    )
    key: SecretStr | None = Field(default=None, description="The account key; with `key` only.")
    sas: SecretStr | None = Field(
        default=None, description="The token from `sv=` to `sig=…`; with `sas` only."
    )
    endpoint: str | None = Field(
        default=None,
        description="URL of the file service, if it is not https://<account>.file.core.windows.net.",
    )
    ca_file: str | None = Field(
        default=None,
        description="Path on the worker of the certificates to trust; the host's own when empty.",
    )

    environment: str | None = Field(
        default=None,
        description="The environment that it belongs to, for a target of restores whose block is not called after it.",
    )

    def share(self, account: str, name: str) -> AzureShare:
        """One live share of the account."""
        url = self.endpoint or f"https://{account}.file.core.windows.net"
        credential = azure_credential(account, self.key, self.sas)
        return AzureShare(url, name, credential, ca_file=self.ca_file or "")

    def _check(self) -> None:
        check_given(self.authentication, self.key, self.sas)
        self.share("account", "share")

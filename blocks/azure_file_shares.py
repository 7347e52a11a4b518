"""The right to read an Azure storage account's file shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters.azure_files_share import (
    AccountKey,
    AzureShare,
    Credential,
    EntraCredential,
    SharedAccessSignature,
)


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

    authentication: Literal["key", "sas", "entra"] = Field(
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

    def share(self, account: str, name: str) -> AzureShare:
        """One live share of the account."""
        url = self.endpoint or f"https://{account}.file.core.windows.net"
        return AzureShare(url, name, self._credential(account), ca_file=self.ca_file or "")

    def _credential(self, account: str) -> Credential:
        if self.key is not None:
            return AccountKey(account, self.key.get_secret_value())
        if self.sas is not None:
            return SharedAccessSignature(self.sas.get_secret_value())
        return EntraCredential()

    def _check(self) -> None:
        wanted = set() if self.authentication == "entra" else {self.authentication}
        given = {name for name in ("key", "sas") if getattr(self, name) is not None}
        if missing := wanted - given:
            raise ValueError(f"authentication by {self.authentication} lacks {missing.pop()}")
        if extra := sorted(given - wanted):
            raise ValueError(f"authentication by {self.authentication} and {extra[0]} exclude each other")
        self.share("account", "share")

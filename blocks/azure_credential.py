"""What the blocks of an Azure storage account have in common: the three ways to show who asks."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from lifeboat.adapters.azure_files_share import AccountKey, EntraCredential, SharedAccessSignature

Authentication = Literal["key", "sas", "entra"]


def azure_credential(
    account: str, key: SecretStr | None, sas: SecretStr | None
) -> AccountKey | SharedAccessSignature | EntraCredential:
    """The one that is given; the worker's own identity of Microsoft Entra otherwise."""
    if key is not None:
        return AccountKey(account, key.get_secret_value())
    if sas is not None:
        return SharedAccessSignature(sas.get_secret_value())
    return EntraCredential()


def check_given(authentication: Authentication, key: SecretStr | None, sas: SecretStr | None) -> None:
    """Raises ``ValueError`` unless exactly what ``authentication`` needs is given."""
    wanted = set() if authentication == "entra" else {authentication}
    given = {name for name, value in (("key", key), ("sas", sas)) if value is not None}
    if missing := wanted - given:
        raise ValueError(f"authentication by {authentication} lacks {missing.pop()}")
    if extra := sorted(given - wanted):
        raise ValueError(f"authentication by {authentication} and {extra[0]} exclude each other")

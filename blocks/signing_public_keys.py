"""Whose signatures count."""

from __future__ import annotations

from pydantic import Field

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.model.signed import TrustedKeys


class SigningPublicKeys(CheckedBlock):
    """The public keys whose signatures count in an environment: all that reading and restoring need.

    Attributes:
        public_keys: The present key and those before it.

    Example:
        Check signatures:
        ```python
        from blocks import SigningPublicKeys

        trusted = SigningPublicKeys.load("BLOCK_NAME").trusted()
        ```
    """

    _block_type_name = "Signing Public Keys"
    _block_type_slug = "signing-public-keys"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    public_keys: list[str] = Field(
        description="Ed25519 public keys in PEM, printed by `lifeboat keygen signing`; each is kept as long as a "
        "backup or record that it signed."
    )

    def trusted(self) -> TrustedKeys:
        """The keys whose signatures count."""
        return TrustedKeys.from_pems(*self.public_keys)

    def _check(self) -> None:
        if not self.trusted().keys:
            raise ValueError("without a public key no backup could be trusted; name one or more")

"""The key that signs manifests and prune records."""

from __future__ import annotations

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.model.signed import Signer


class SigningKey(CheckedBlock):
    """The Ed25519 key that signs an environment's manifests; whom to trust is in signing-public-keys.

    Attributes:
        private_key: The key.

    Example:
        Find out under which id it signs:
        ```python
        from blocks import SigningKey

        key_id = SigningKey.load("BLOCK_NAME").signer().key_id
        ```
    """

    _block_type_name = "Signing Key"
    _block_type_slug = "signing-key"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    private_key: SecretStr = Field(
        description="Ed25519 private key in PEM, made by `lifeboat keygen signing`."
    )

    def signer(self) -> Signer:
        """What signs new manifests and prune records."""
        return Signer.from_pem(self.private_key.get_secret_value())

    def _check(self) -> None:
        self.signer()

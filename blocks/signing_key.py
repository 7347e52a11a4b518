"""The key that signs manifests and prune records."""

from __future__ import annotations

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.model.signed import Signer, TrustedKeys


class SigningKey(CheckedBlock):
    """The Ed25519 key that signs an environment's manifests, and the public keys of those before it.

    Attributes:
        private_key: The present key.
        earlier_public_keys: Those in use before.

    Example:
        Check signatures:
        ```python
        from blocks import SigningKey

        trusted = SigningKey.load("BLOCK_NAME").trusted()
        ```
    """

    _block_type_name = "Signing Key"
    _block_type_slug = "signing-key"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    private_key: SecretStr = Field(
        description="Ed25519 private key in PEM, made by `lifeboat keygen signing`."
    )
    earlier_public_keys: list[str] = Field(
        default_factory=list,
        description="Public keys in PEM that signed before; kept as long as a backup or record they signed.",
    )

    def signer(self) -> Signer:
        """What signs new manifests and prune records."""
        return Signer.from_pem(self.private_key.get_secret_value())

    def trusted(self) -> TrustedKeys:
        """The keys whose signatures count: the present one and the earlier ones."""
        return TrustedKeys.from_pems(self.signer().public_pem, *self.earlier_public_keys)

    def _check(self) -> None:
        self.trusted()

"""The worker's own identity, for indexes only."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pyrage import IdentityError, x25519

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo


class IndexIdentity(CheckedBlock):
    """The age identity with which a worker opens the indexes of its own backups, and no part of them.

    Attributes:
        identity: The identity.

    Example:
        Find out which recipient the indexes are sealed for:
        ```python
        from blocks import IndexIdentity

        recipient = IndexIdentity.load("BLOCK_NAME").recipient()
        ```
    """

    _block_type_name = "Index Identity"
    _block_type_slug = "index-identity"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    identity: SecretStr = Field(
        description="age identity (`AGE-SECRET-KEY-1…`), made for this alone; never one that opens parts."
    )

    @field_validator("identity")
    @classmethod
    def _without_comments(cls, identity: SecretStr) -> SecretStr:
        """An identity file of age-keygen begins with comments."""
        lines = [line.strip() for line in identity.get_secret_value().splitlines()]
        return SecretStr("\n".join(line for line in lines if line and not line.startswith("#")))

    def recipient(self) -> str:
        """The public key that belongs to the identity."""
        return str(x25519.Identity.from_str(self.identity.get_secret_value()).to_public())

    def _check(self) -> None:
        try:
            self.recipient()
        except IdentityError:
            raise ValueError("the identity is not an age identity (AGE-SECRET-KEY-1…)") from None

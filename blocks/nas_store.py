"""A NAS over SFTP, and one account on it."""

from __future__ import annotations

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, plain, prefect_logo
from lifeboat.adapters.store_sftp import SftpTarget


class NasStore(CheckedBlock):
    """A folder on a NAS over SFTP, reached with one account: that which uploads, or that which deletes.

    Attributes:
        host: Host name or address.
        host_key: The NAS's public key.

    Example:
        List what an environment's store holds:
        ```python
        from blocks import NasStore

        target = NasStore.load("BLOCK_NAME").target()
        with target.connect() as store:
            names = [found.name for found in store.list()]
        ```
    """

    _block_type_name = "NAS Store"
    _block_type_slug = "nas-store"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("filesystem")

    host: str = Field(min_length=1, description="Host name or address.")
    port: int = Field(default=22, ge=1, le=65535, description="Port of the SSH server.")
    user: str = Field(min_length=1, description="Account to sign in with.")
    folder: str = Field(min_length=1, description="The environment's folder, as this account sees it.")
    host_key: str = Field(
        min_length=1,
        description="The NAS's public key, `ssh-ed25519 AAAA…` as its own screen shows it; "
        "several, a line each, while it is being changed.",
    )
    private_key: SecretStr | None = Field(
        default=None, description="Private key of the account, in OpenSSH or PEM format."
    )
    passphrase: SecretStr | None = Field(default=None, description="Passphrase of the private key.")
    password: SecretStr | None = Field(
        default=None, description="Password of the account, where the NAS takes no keys."
    )

    def target(self) -> SftpTarget:
        """The store as the stages know it; each of its sessions checks the pinned host key (F19)."""
        return SftpTarget(
            host=self.host,
            port=self.port,
            user=self.user,
            folder=self.folder,
            host_key=self.host_key,
            private_key=plain(self.private_key),
            passphrase=plain(self.passphrase),
            password=plain(self.password),
        )

    def _check(self) -> None:
        self.target()

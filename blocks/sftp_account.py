"""An account that reads files from an SSH server."""

from __future__ import annotations

from dataclasses import fields

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, plain, prefect_logo
from lifeboat.adapters.sftp_account import SftpAccount as SftpAccountSettings
from lifeboat.adapters.target_sftp import SftpRestoreTarget
from lifeboat.adapters.tree_sftp import SftpTreeTarget
from lifeboat.model.patterns import Selection


class SftpAccount(CheckedBlock):
    """The credential for a tree of files over SFTP, and who may answer; server and folder stand in the policy.

    Attributes:
        user: Account to sign in with.
        host_key: The server's public key.

    Example:
        Reach the folder of a source:
        ```python
        from blocks import SftpAccount

        tree = SftpAccount.load("BLOCK_NAME").tree("files.example", None, "/srv/documents")
        ```
    """

    _block_type_name = "SFTP Account"
    _block_type_slug = "sftp-account"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("filesystem")

    user: str = Field(min_length=1, description="Account to sign in with; it needs to read, nothing else.")
    host_key: str = Field(
        min_length=1,
        description="The server's public key, `ssh-ed25519 AAAA…` as it stands on the server itself; "
        "several, a line each, while it is being changed.",
    )
    private_key: SecretStr | None = Field(
        default=None, description="Private key of the account, in OpenSSH or PEM format."
    )
    passphrase: SecretStr | None = Field(default=None, description="Passphrase of the private key.")
    password: SecretStr | None = Field(
        default=None, description="Password of the account, where the server takes no keys."
    )

    environment: str | None = Field(
        default=None,
        description="The environment that it belongs to, for a target of restores whose block is not called after it.",
    )

    def tree(
        self, host: str, port: int | None, folder: str, selection: Selection | None = None
    ) -> SftpTreeTarget:
        """A folder of the server with what is taken of it; each session checks the pinned host key (F19)."""
        return SftpTreeTarget(
            host=host,
            port=port or 22,
            user=self.user,
            folder=folder,
            host_key=self.host_key,
            private_key=plain(self.private_key),
            passphrase=plain(self.passphrase),
            password=plain(self.password),
            selection=selection or Selection(),
        )

    def restore_target(self, host: str, port: int | None, folder: str) -> SftpRestoreTarget:
        """A new folder of the server, to restore into; the account must be allowed to write there."""
        tree = self.tree(host, port, folder)
        return SftpRestoreTarget(
            **{each.name: getattr(tree, each.name) for each in fields(SftpAccountSettings)}
        )

    def _check(self) -> None:
        self.tree("server", None, "/")

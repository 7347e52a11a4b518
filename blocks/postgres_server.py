"""A PostgreSQL server and the account that reads from it, or restores into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters import postgres
from lifeboat.adapters.entra import EntraPassword


class PostgresServer(CheckedBlock):
    """A PostgreSQL server with one account: that of the backup, or that of a restore.

    Attributes:
        host: Host name or address.
        port: The server's own port, never a pooler's.
        user: Role that signs in.

    Example:
        Reach the server of a source:
        ```python
        from blocks import PostgresServer

        server = PostgresServer.load("BLOCK_NAME").server()
        ```
    """

    _block_type_name = "PostgreSQL Server"
    _block_type_slug = "postgres-server"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    host: str = Field(min_length=1, description="Host name or address.")
    port: int = Field(
        default=5432,
        ge=1,
        le=65535,
        description="The server's own port (DigitalOcean: 25060); PgBouncer's 6432 and 25061 are refused.",
    )
    user: str = Field(min_length=1, description="Role that signs in.")
    authentication: Literal["password", "entra"] = Field(
        default="password",
        description="`password`, or `entra` for a fresh Microsoft Entra token at every sign-in.",
    )
    password: SecretStr | None = Field(default=None, description="Password of the role; none with `entra`.")
    tls_mode: Literal["verify-full", "verify-ca", "require", "disable"] = Field(
        default="verify-full",
        description="How the server's certificate is checked; less than `verify-full` can be impersonated.",
    )
    tls_ca_file: str | None = Field(
        default=None,
        description="Path on the worker of the certificates to trust, or `system` for the host's own.",
    )
    programs: str | None = Field(
        default=None,
        description="Folder of pg_dump and pg_dumpall on the worker; found by the server's version when empty.",
    )
    maintenance_database: str = Field(
        default="postgres",
        min_length=1,
        description="Database to connect to for what concerns the whole server.",
    )

    environment: str | None = Field(
        default=None,
        description="The environment that it belongs to, for a target of restores whose block is not called after it.",
    )

    def server(self) -> postgres.PostgresServer:
        """The server as the stages know it; they ask for its password at every sign-in (sources §4.13)."""
        return postgres.PostgresServer(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self._password_source(),
            tls_mode=self.tls_mode,
            tls_ca_file=self.tls_ca_file,
            maintenance_database=self.maintenance_database,
            programs=self.programs,
        )

    def _password_source(self) -> Callable[[], str]:
        return EntraPassword() if self.password is None else self.password.get_secret_value

    def _check(self) -> None:
        if self.authentication == "password" and self.password is None:
            raise ValueError("the password is missing; without one, set authentication to entra")
        if self.authentication == "entra" and self.password is not None:
            raise ValueError(
                "a password and authentication by entra exclude each other; take one of them out"
            )
        self.server()

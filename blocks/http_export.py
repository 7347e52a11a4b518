"""The account that asks a side service for its export over HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters.http_session import BearerToken, Endpoint, UserPassword


class HttpExport(CheckedBlock):
    """The credential for an export over HTTP; its address stands in the policy.

    Attributes:
        authentication: How the account is shown: by user and password, by a token, or not at all.
        user: Name of the account.

    Example:
        Reach the service of a source:
        ```python
        from blocks import HttpExport

        endpoint = HttpExport.load("BLOCK_NAME").endpoint("https://rabbitmq.example")
        ```
    """

    _block_type_name = "HTTP Export"
    _block_type_slug = "http-export"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    authentication: Literal["password", "token", "none"] = Field(
        default="password",
        description="`password` with a user, `token` (a service account's), or `none` for an open service.",
    )
    user: str | None = Field(default=None, description="Name of the account; with `password` only.")
    password: SecretStr | None = Field(default=None, description="Its password; with `password` only.")
    token: SecretStr | None = Field(default=None, description="The bearer token; with `token` only.")
    ca_file: str | None = Field(
        default=None,
        description="Path on the worker of the certificates to trust; the host's own when empty.",
    )

    environment: str | None = Field(
        default=None,
        description="The environment that it belongs to, for a target of restores whose block is not called after it.",
    )

    def endpoint(self, url: str) -> Endpoint:
        """How to ask the service at ``url``."""
        return Endpoint(url=url, credential=self._credential(), ca_file=self.ca_file)

    def _credential(self) -> UserPassword | BearerToken | None:
        if self.token is not None:
            return BearerToken(self.token.get_secret_value())
        if self.password is not None:
            return UserPassword(self.user or "", self.password.get_secret_value())
        return None

    def _check(self) -> None:
        wanted = {"password": {"user", "password"}, "token": {"token"}, "none": set[str]()}
        given = {name for name in ("user", "password", "token") if getattr(self, name) is not None}
        needed = wanted[self.authentication]
        if missing := sorted(needed - given):
            raise ValueError(f"authentication by {self.authentication} lacks {' and '.join(missing)}")
        if extra := sorted(given - needed):
            raise ValueError(
                f"authentication {self.authentication} has no {' and no '.join(extra)}; take it out"
            )
        self._credential()

"""What all our blocks share: one that could not give its value is refused when made, and when loaded.

The UI knows only a block's JSON Schema, so a document that nobody can use may well lie on the server.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Self, TypeVar, cast

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import ConfigDict, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from lifeboat.errors import ConfigurationError
from lifeboat.model.manifest import chain_name
from lifeboat.model.policy_sources import Source

DOCUMENTATION = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
"""What a block is; ours are described in ``docs/how-to/blocks.md``."""

_LOGOS = "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/"


def prefect_logo(name: str) -> HttpUrl:
    """The address of a logo among Prefect's own; only a browser that shows the UI ever fetches it."""
    return HttpUrl(f"{_LOGOS}{name}.png")


class CheckedBlock(Block):
    """A block whose fields are checked by what is made of them; its errors never quote the values (F50)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    @abstractmethod
    def _check(self) -> None:
        """Raise ``ConfigurationError`` or ``ValueError`` if the block cannot give what it is for."""

    @model_validator(mode="after")
    def _refuse_unusable(self) -> Self:
        try:
            self._check()
        except ConfigurationError as error:
            # pydantic collects only ValueError; the message comes from the one place that decides.
            raise ValueError(f"{error.message} {error.hint}".rstrip()) from None
        return self


AnyBlock = TypeVar("AnyBlock", bound=CheckedBlock)


found_offline: ContextVar[Mapping[tuple[type[CheckedBlock], str], CheckedBlock] | None] = ContextVar(
    "found_offline", default=None
)
"""Blocks that were read from a file, by kind and name; then no server is asked."""


def find_block(kind: type[AnyBlock], name: str) -> AnyBlock | None:
    """The block of that kind and name, or None if the server has none.

    Raises ``ConfigurationError`` when there is one that cannot be used, with every reason.
    """
    offline = found_offline.get()
    if offline is not None:
        return cast(AnyBlock | None, offline.get((kind, name)))
    try:
        # In a synchronous caller, as all of ours are, load() returns no coroutine.
        return cast(AnyBlock, kind.load(name))
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise
    except RuntimeError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        mistakes = "; ".join(_described(mistake) for mistake in error.__cause__.errors(include_input=False))
        raise ConfigurationError(
            f"The {kind.get_block_type_slug()} block {name!r} cannot be used: {mistakes}.",
            hint="Mend it in its file, then: lifeboat blocks apply FILE",
        ) from None


def source_block(environment_name: str, service: str, source_name: str, source: Source) -> str:
    """The name of a source's block: what the policy says, or ``<environment>-<service>-<source>``."""
    return source.block or f"{environment_name}-{chain_name(service, source_name)}"


def load_block(kind: type[AnyBlock], name: str) -> AnyBlock:
    """The block of that kind and name. Raises ``ConfigurationError`` when there is none that can be used."""
    block = find_block(kind, name)
    if block is None:
        raise ConfigurationError(
            f"There is no {kind.get_block_type_slug()} block {name!r}.",
            hint="Write it into a file as docs/how-to/blocks.md shows, then: lifeboat blocks apply FILE",
        )
    return block


def plain(secret: SecretStr | None) -> str | None:
    """What a secret field holds, for the value that the stages work with."""
    return secret.get_secret_value() if secret else None


def _described(mistake: ErrorDetails) -> str:
    text = mistake["msg"].removeprefix("Value error, ").rstrip(".")
    field = ".".join(map(str, mistake["loc"]))
    return f"{field}: {text}" if field else text

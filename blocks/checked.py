"""What all our blocks share: one that could not give its value is refused when made, and when loaded.

The UI knows only a block's JSON Schema, so a document that nobody can use may well lie on the server.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from prefect.blocks.core import Block
from pydantic import ConfigDict, HttpUrl, model_validator

from lifeboat.errors import ConfigurationError

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

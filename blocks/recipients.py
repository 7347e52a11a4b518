"""Who can open an environment's backups."""

from __future__ import annotations

from pydantic import Field
from pyrage import RecipientError, x25519

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo

FEWEST = 2


class Recipients(CheckedBlock):
    """The age public keys that every part of an environment's backups is sealed for (P6, F33).

    Attributes:
        recipients: Two public keys or more.

    Example:
        Show whom backups are sealed for:
        ```python
        from blocks import Recipients

        block = Recipients.load("BLOCK_NAME")
        print(block.recipients)
        ```
    """

    _block_type_name = "Recipients"
    _block_type_slug = "recipients"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("process")

    recipients: list[str] = Field(
        description="age public keys (`age1…`) of two or more identities, kept by different people."
    )

    def _check(self) -> None:
        for key in self.recipients:
            _refuse_unless_public(key)
        if len(set(self.recipients)) < len(self.recipients):
            raise ValueError("a recipient stands here twice")
        if len(self.recipients) < FEWEST:
            raise ValueError(
                "one recipient is not enough: with its identity lost, every backup is; name two or more"
            )


def _refuse_unless_public(key: str) -> None:
    if key.upper().startswith("AGE-SECRET-KEY"):
        raise ValueError(
            "this is an identity, which opens backups; recipients begin with age1. Whoever reads this has it: "
            "make a new one"
        )
    try:
        x25519.Recipient.from_str(key)
    except RecipientError:
        raise ValueError(f"{key[:12]!r}… is not an age recipient: age1 and 58 more characters") from None

"""An index inside age: sealed for the recipients and for the worker's own index identity."""

from __future__ import annotations

from collections.abc import Sequence

import pyrage

from lifeboat.errors import SealingFailed


def seal_index(packed: bytes, recipients: Sequence[str], index_identity: str) -> bytes:
    """The index inside age, opened again with the index identity before it counts."""
    sealed: bytes = pyrage.encrypt(
        packed, [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    )
    if open_index(sealed, index_identity) != packed:
        raise SealingFailed("The sealed index does not open to what was sealed.")
    return sealed


def open_index(sealed: bytes, identity: str) -> bytes:
    """The zstd frame of an index. Raises ``pyrage.DecryptError`` when the identity does not open it."""
    packed: bytes = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    return packed

"""An index inside age: sealed for the recipients and for the worker's own index identity."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence

import pyrage

from lifeboat.adapters.piece_reader import PieceReader
from lifeboat.errors import SealingFailed


def seal_index(packed: Iterable[bytes], recipients: Sequence[str], index_identity: str) -> bytes:
    """The index inside age, opened again with the index identity before it counts. Raises what ``packed`` raises.

    ``packed`` are the pieces of its zstd frame. Of a million files that is 60 MB, so it is never whole in memory.
    """
    handed_over, sealed, opened = hashlib.sha256(), io.BytesIO(), _Digest()

    def pieces() -> Iterator[bytes]:
        for piece in packed:
            handed_over.update(piece)
            yield piece

    reader = PieceReader(pieces())
    try:
        pyrage.encrypt_io(
            reader, sealed, [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
        )
    except pyrage.EncryptError as error:
        raise reader.error or error from None
    sealed.seek(0)
    pyrage.decrypt_io(sealed, opened, [pyrage.x25519.Identity.from_str(index_identity)])
    if opened.digest.digest() != handed_over.digest():
        raise SealingFailed("The sealed index does not open to what was sealed.")
    return sealed.getvalue()


def open_index(sealed: bytes, identity: str) -> bytes:
    """The zstd frame of an index. Raises ``pyrage.DecryptError`` when the identity does not open it."""
    packed = io.BytesIO()  # one copy of it in memory, where ``pyrage.decrypt`` holds two at its end
    try:
        pyrage.decrypt_io(io.BytesIO(sealed), packed, [pyrage.x25519.Identity.from_str(identity)])
    except OSError as error:  # a chunk that is not authentic
        raise pyrage.DecryptError(str(error)) from None
    return packed.getvalue()


class _Digest:
    """What age writes to."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here; age calls it."""

"""An index inside age: sealed for the recipients and for the worker's own index identity."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence

import pyrage

from lifeboat.errors import SealingFailed


def seal_index(packed: Iterable[bytes], recipients: Sequence[str], index_identity: str) -> bytes:
    """The index inside age, opened again with the index identity before it counts. Raises what ``packed`` raises.

    ``packed`` are the pieces of its zstd frame. Of a million files that is 60 MB, so it is never whole in memory.
    """
    pieces, sealed, opened = _Pieces(packed), io.BytesIO(), _Digest()
    try:
        pyrage.encrypt_io(
            pieces, sealed, [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
        )
    except pyrage.EncryptError as error:
        raise pieces.error or error from None
    sealed.seek(0)
    pyrage.decrypt_io(sealed, opened, [pyrage.x25519.Identity.from_str(index_identity)])
    if opened.digest.digest() != pieces.digest.digest():
        raise SealingFailed("The sealed index does not open to what was sealed.")
    return sealed.getvalue()


def open_index(sealed: bytes, identity: str) -> bytes:
    """The zstd frame of an index. Raises ``pyrage.DecryptError`` when the identity does not open it."""
    packed: bytes = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    return packed


class _Pieces:
    """What age reads from; ``error`` is what really ended it, which age would call an ``EncryptError``."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._ready = b""
        self.digest = hashlib.sha256()
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        while not self._ready:
            try:
                piece = next(self._pieces, None)
            except Exception as error:
                self.error = error
                raise
            if piece is None:
                return b""
            self.digest.update(piece)
            self._ready = piece
        out, self._ready = self._ready[:size], self._ready[size:]
        return out


class _Digest:
    """What age writes to."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here; age calls it."""

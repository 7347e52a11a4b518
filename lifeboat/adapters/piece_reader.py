"""Pieces of bytes, as they come, as the file that age reads from."""

from __future__ import annotations

from collections.abc import Iterator


class PieceReader:
    """Hands out pieces of any length 8 KiB at a time, as age asks for them.

    age reports whatever ends its reading as an error of its own: ``error`` is the real one. ``finished`` once it was
    told that there is no more.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ready = memoryview(b"")
        self.error: Exception | None = None
        self.finished = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size``; nothing at the end."""
        while not self._ready:
            try:
                piece = next(self._pieces, None)
            except Exception as error:
                self.error = error
                raise
            if piece is None:
                self.finished = True
                return b""
            self._ready = memoryview(piece)
        out = self._ready[:size] if size >= 0 else self._ready
        self._ready = self._ready[len(out) :]
        return bytes(out)

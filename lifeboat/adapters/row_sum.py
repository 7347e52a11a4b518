"""A digest of rows whatever their order: the sum of the SHA-256 of each line of a COPY stream, modulo 2²⁵⁶.

Physical order may differ after a restore: a row that did not fit a page leaves room that a later, smaller one takes
(design §3). Two streams with equal sums hold the same rows as often; nobody makes another set by chance.
"""

from __future__ import annotations

import hashlib

_MODULUS = 2**256


class RowSum:
    """Takes a stream in pieces; in COPY's text format a line feed always ends a row."""

    def __init__(self) -> None:
        self._sum = 0
        self._rest = b""

    def add(self, piece: bytes | bytearray | memoryview) -> None:
        *lines, self._rest = (self._rest + bytes(piece)).split(b"\n")
        self._sum += sum(int.from_bytes(hashlib.sha256(line).digest(), "big") for line in lines)

    def hexdigest(self) -> str:
        return f"{self._sum % _MODULUS:064x}"

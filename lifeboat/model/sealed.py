"""What a sealed part must look like from the outside: the arithmetic of the age format (age-encryption.org/v1)."""

from __future__ import annotations

from dataclasses import dataclass

AGE_CHUNK = 65_536
_TAG = 16
_NONCE = 16


@dataclass(frozen=True)
class AgeHeader:
    """``length`` in bytes up to and with the line feed after the MAC; grease stanzas are not counted."""

    length: int
    x25519_stanzas: int


def parse_age_header(head: bytes) -> AgeHeader:
    """Read the header at the beginning of an age file. Raises ``ValueError`` if there is none."""
    if not head.startswith(b"age-encryption.org/v1\n"):
        raise ValueError("not an age file")
    mark = head.find(b"\n--- ")
    end = head.find(b"\n", mark + 5) if mark >= 0 else -1
    if end < 0:
        raise ValueError("the age header has no end")
    stanzas = sum(line.startswith(b"-> X25519 ") for line in head[:mark].split(b"\n"))
    return AgeHeader(end + 1, stanzas)


def age_length(header_length: int, payload: int) -> int:
    """Bytes of an age file with ``payload`` bytes inside (reliability §3.3)."""
    chunks = max(1, -(-payload // AGE_CHUNK))
    return header_length + _NONCE + payload + _TAG * chunks

"""Two scripts of SQL as sets of statements: what one says and the other does not, whatever the order."""

from __future__ import annotations

import re
from collections import Counter

# A header of pg_dump names an entry; what follows it, up to the next one, is what makes it.
_HEADER = re.compile(r"^-- Name: .*$", re.MULTILINE)
_NOISE = re.compile(r"--.*|SET [a-z_]+ = .*;|SELECT pg_catalog\.set_config\(.*|\\(?:un)?restrict .*|\s*")


def entries_of(script: str) -> Counter[str]:
    """Each entry of a script of pg_dump or pg_restore, without comments and session settings, and how often."""
    pieces = _HEADER.split(script)[1:]
    texts = (_without_noise(piece) for piece in pieces)
    return Counter(text for text in texts if text)


def _without_noise(piece: str) -> str:
    """Without what stands before and after the statements; what is inside, like a function's body, stays as it is."""
    lines = piece.split("\n")
    while lines and _NOISE.fullmatch(lines[0]):
        lines.pop(0)
    while lines and _NOISE.fullmatch(lines[-1]):
        lines.pop()
    return "\n".join(lines)


def differences(expected: Counter[str], found: Counter[str]) -> tuple[list[str], list[str]]:
    """What is missing, and what is there besides; each entry cut to a line that a person can read."""
    return [_line(text) for text in expected - found], [_line(text) for text in found - expected]


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else f"{text[:160]}…"

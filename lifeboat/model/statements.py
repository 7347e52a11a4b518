"""Two scripts of SQL as sets of statements: what one says and the other does not, whatever the order."""

from __future__ import annotations

import re
from collections import Counter

# A header of pg_dump names an entry; what follows it, up to the next one, is what makes it.
_HEADER = re.compile(r"^-- Name: .*$", re.MULTILINE)
_NOISE = re.compile(
    r"^(?:--.*|SET .*|SELECT pg_catalog\.set_config\(.*|\\(?:un)?restrict .*)?$\n?", re.MULTILINE
)


def entries_of(script: str) -> Counter[str]:
    """Each entry of a script of pg_dump or pg_restore, without comments and session settings, and how often."""
    pieces = _HEADER.split(script)[1:]
    texts = (" ".join(_NOISE.sub("", piece).split()) for piece in pieces)
    return Counter(text for text in texts if text)


def differences(expected: Counter[str], found: Counter[str]) -> tuple[list[str], list[str]]:
    """What is missing, and what is there besides; each entry cut to a line that a person can read."""
    return [_line(text) for text in expected - found], [_line(text) for text in found - expected]


def _line(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"

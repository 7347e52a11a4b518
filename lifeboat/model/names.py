r"""File names are bytes; JSON, logs and tables hold text. One reversible spelling for all of them.

A name that is UTF-8 and printable stands as it is. Everything else is written as GNU tar writes it and reads it back
(``--files-from`` unquotes): a backslash as ``\\``, any other byte as ``\ooo``.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"\\(\\|[0-7]{3})")


def name_text(name: bytes) -> str:
    """Text for a name, one line, safe for a terminal; ``name_bytes`` undoes it."""
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_spelled(character) for character in text)


def _spelled(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def name_bytes(text: str) -> bytes:
    """The name that ``name_text`` spelled."""
    raw = text.encode()
    if b"\\" not in raw:
        return raw
    return _ESCAPED.sub(lambda match: b"\\" if match[1] == b"\\" else bytes([int(match[1], 8)]), raw)

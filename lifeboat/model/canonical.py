"""Canonical JSON: one text per value, so that a signature can be checked by anybody.

Sorted keys, no white space, UTF-8 unescaped, integers only: exactly what ``jq -cSj .`` prints, which is how
``recovery/`` checks signatures without any code of ours.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_bytes(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """The one encoding of a JSON value.

    Raises ``ValueError`` for floats (their text differs between tools), integers beyond 2**53, control
    characters, and keys that are not strings.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def parse_canonical(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Parse ``raw`` and insist that it is the canonical encoding of what it says; else ``ValueError``."""
    try:
        value = json.loads(raw.decode("utf-8"))
        same = canonical_bytes(value) == raw
    except RecursionError:
        raise ValueError("nested without end") from None
    if not same:
        raise ValueError("not canonical JSON")
    return value


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check(value: Any) -> None:  # noqa: ANN401 - any JSON value
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) > 2**53:
            raise ValueError(f"integer {value} is beyond what every JSON reader keeps")
    elif isinstance(value, str):
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise ValueError(f"control character in {value!r}")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"key {key!r} is not a string")
            _check(key)
            _check(item)
    else:
        raise ValueError(f"{type(value).__name__} has no canonical JSON")

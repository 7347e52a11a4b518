r"""Which names of a tree an Azure file share cannot hold, found before anything is written (F43).

Rules: Microsoft, *Naming and referencing shares, directories, files, and metadata*. Names that end in a dot or a space
are refused too: over REST a share takes them, but Windows clients cannot open them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lifeboat.model.names import name_text

_FORBIDDEN: Final = frozenset('"\\:|<>*?')
_LONGEST_NAME, _LONGEST_PATH, _DEEPEST = 255, 2048, 250
_RESERVED: Final = frozenset(
    (
        "CON",
        "PRN",
        "AUX",
        "NUL",
        "CLOCK$",
        *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)),
    )
)


class ShareNames:
    """Takes paths in walk order; ``problem`` says what is wrong with one, relative to ``above`` in the share.

    Remembers the names of the folders on the way down to the last path, to find two that differ by case only.
    """

    def __init__(self, above: str = "") -> None:
        self._above = above
        self._open: list[tuple[bytes, dict[str, bytes]]] = [(b"", {})]

    def problem(self, path: bytes) -> str:
        """Why a share cannot hold the path, as a phrase; empty when it can."""
        folder, _, name = path.rpartition(b"/")
        while (top := self._open[-1][0]) and folder != top and not folder.startswith(top + b"/"):
            self._open.pop()
        if self._open[-1][0] != folder:
            self._open.append((folder, {}))
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return "is no UTF-8"
        twin = self._open[-1][1].setdefault(text.casefold(), name)
        if twin != name:
            return f"differs from '{name_text(twin)}' by case only"
        return _of_name(text) or self._of_path(path.decode())

    def _of_path(self, path: str) -> str:
        whole = f"{self._above}/{path}".lstrip("/")
        if len(whole) > _LONGEST_PATH:
            return f"has a path of more than {_LONGEST_PATH} characters"
        return f"lies deeper than {_DEEPEST} folders" if whole.count("/") >= _DEEPEST else ""


def _of_name(name: str) -> str:
    if bad := sorted(_FORBIDDEN & set(name)):
        return f"holds {''.join(bad)}"
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
        return "holds a control character"
    if name.endswith((".", " ")):
        return "ends in a dot or a space"
    if name.upper() in _RESERVED:
        return "is a name reserved by Windows"
    # The service counts UTF-16 units.
    return (
        f"is longer than {_LONGEST_NAME} characters"
        if len(name.encode("utf-16-le")) // 2 > _LONGEST_NAME
        else ""
    )


def listed_problems(found: Iterable[tuple[bytes, str]], limit: int) -> tuple[int, str]:
    """How many there are, and the first ``limit`` as text, a line each."""
    problems = list(found)
    return len(problems), "\n".join(f"  '{name_text(path)}' {why}" for path, why in problems[:limit])

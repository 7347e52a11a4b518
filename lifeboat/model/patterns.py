"""Which names of a file tree the policy's include and exclude patterns take: pure matching of glob patterns.

``*`` and ``?`` stay within a name, ``[a-z]`` and ``[!a-z]`` are one character, ``**`` as a whole name is any
number of names, also none. A pattern that matches a folder takes everything below it; an exclude wins over an
include. Names are bytes: what is no UTF-8 counts as one character for each such byte, so ``*`` matches all names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

_ANY_NAMES: Final = "**"
_ANY_NAME: Final = "*"

_Names = tuple[str, ...]
"""What is left of a pattern, name by name; empty once it has matched."""


@dataclass(frozen=True)
class Selection:
    """The names that a source takes. The defaults take everything."""

    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether it leaves nothing out."""
        return _ANY_NAMES in self.include and not self.exclude

    def top(self) -> Scope:
        """The state of matching at the top of the tree."""
        return Scope(frozenset(map(_names, self.include)), frozenset(map(_names, self.exclude)))

    def takes(self, path: bytes) -> bool:
        """Whether the entry at ``path``, relative to the top and no folder, belongs to the source."""
        *folders, name = path.split(b"/")
        scope: Scope | None = self.top()
        for folder in folders:
            scope = scope.below(folder) if scope else None
        return scope is not None and scope.takes(name)


@dataclass(frozen=True)
class Scope:
    """Matching, arrived at one folder: a walk takes it along, so that no name is looked at twice."""

    _included: frozenset[_Names]
    _excluded: frozenset[_Names]
    _everything: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_everything", () in self._included and not self._excluded)

    def takes(self, name: bytes) -> bool:
        """Whether a file of that name in this folder belongs to the source."""
        if self._everything:
            return True
        text = _text(name)
        return () in _advanced(self._included, text) and () not in _advanced(self._excluded, text)

    def keeps(self, name: bytes) -> bool:
        """Whether the folder of that name in this one belongs to the source, itself if nothing else.

        That is any folder that an include reaches: those above what is wanted come along, with their modes.
        """
        if self._everything:
            return True
        text = _text(name)
        return bool(_advanced(self._included, text)) and () not in _advanced(self._excluded, text)

    def below(self, name: bytes) -> Scope | None:
        """The state in that folder; None if nothing in there can be taken, so that nobody needs to look."""
        if self._everything:
            return self
        text = _text(name)
        included, excluded = _advanced(self._included, text), _advanced(self._excluded, text)
        if not included or any(map(_covers_all, excluded)):
            return None
        return Scope(included, excluded)


def _names(pattern: str) -> _Names:
    return tuple(name for name in pattern.split("/") if name not in ("", "."))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _covers_all(rest: _Names) -> bool:
    """Whether ``rest`` matches every name, whatever it is and whatever lies below."""
    # ``*/**`` leaves what lies right here: its last name is one further down.
    return all(name == _ANY_NAMES for name in rest[:-1]) and (not rest or rest[-1] in (_ANY_NAMES, _ANY_NAME))


def _advanced(states: Iterable[_Names], name: str) -> frozenset[_Names]:
    """What is left of the patterns in ``states`` after one more name."""
    found: set[_Names] = set()
    for rest in states:
        while rest and rest[0] == _ANY_NAMES:
            found.add(rest)
            rest = rest[1:]
        if not rest:
            found.add(())  # matched before, and all below with it; or it ends in **
        elif rest[0] == _ANY_NAME or _expression(rest[0]).fullmatch(name):
            found.add(rest[1:])
    return frozenset(found)


@cache
def _expression(glob: str) -> re.Pattern[str]:
    """A regular expression that never tries a piece of the name twice: no pattern takes longer than its length."""
    first, *others = _pieces(glob)
    *middle, last = others or [""]
    text = first + "".join(f"(?>.*?{piece})" for piece in middle) + (f".*{last}" if others else "")
    return re.compile(text, re.DOTALL)


def _pieces(glob: str) -> list[str]:
    """What stands between the stars, as regular expressions of a fixed length."""
    pieces = [""]
    position = 0
    while position < len(glob):
        character = glob[position]
        end = _end_of_set(glob, position) if character == "[" else -1
        if character == "*":
            pieces.append("")
        elif end > 0:
            pieces[-1] += _character_set(glob[position + 1 : end])
            position = end
        else:
            pieces[-1] += "." if character == "?" else re.escape(character)
        position += 1
    return pieces


def _end_of_set(glob: str, begin: int) -> int:
    """Where the ``]`` of a ``[`` is, or -1: then the bracket means itself. The first one inside is a member."""
    first = begin + 2 if glob[begin + 1 : begin + 2] == "!" else begin + 1
    return glob.find("]", first + 1)


def _character_set(members: str) -> str:
    negated, members = members.startswith("!"), members.removeprefix("!")
    ranges = []
    position = 0
    while position < len(members):
        low = high = members[position]
        if members[position + 1 : position + 2] == "-" and position + 2 < len(members):
            high = members[position + 2]
            position += 2
        position += 1
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(ranges)}]"

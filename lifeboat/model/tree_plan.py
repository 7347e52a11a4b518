"""Which entries of a backup a restore brings where, found in one walk over the index. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from lifeboat.model.listing import LinePacker, PackedLines
from lifeboat.model.names import name_bytes
from lifeboat.model.tree import EntryKind, Member
from lifeboat.model.tree_index import TreeIndex
from lifeboat.model.tree_target import HARD_LINKS, MODES, SYMLINKS, Keeps

Wanted = Callable[[bytes], bool]
"""Whether a path is to be restored; the folders above it come along."""


class NameProblems(Protocol):
    """Asked for each path, in walk order."""

    def problem(self, path: bytes) -> str:
        """Why the target cannot hold the path, as a phrase; empty when it can."""


@dataclass
class Held:
    """What a folder must hold before links are made: folders and files, and bytes of the files."""

    entries: int = 0
    size: int = 0


@dataclass
class TreePlan:
    """Lines of the index by what is done with them, in walk order: a million entries take some 30 MB.

    ``digest`` stands for all of it: two restores of one backup with the same digest are the same.
    """

    folders: PackedLines
    links: PackedLines
    parts: dict[int, PackedLines]
    digest: str
    counts: Counter[EntryKind] = field(default_factory=Counter)
    size: int = 0
    held: dict[bytes, Held] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    unholdable: list[tuple[bytes, str]] = field(default_factory=list)
    """Paths the target cannot hold, and why."""
    without_first: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Further names of files whose first name, the second here, is not wanted: their content is nowhere."""


def plan_tree(index: TreeIndex, wanted: Wanted, keeps: Keeps, names: NameProblems | None) -> TreePlan:
    """``names`` finds what the target cannot hold; None where it holds every name."""
    builder = _Builder(wanted, keeps, names)
    for line, told, path in matching(index, wanted):
        builder.take(line, told, path)
    return builder.plan()


Row = tuple[str, dict[str, Any], bytes]


def matching(index: TreeIndex, wanted: Wanted) -> Iterator[Row]:
    """Wanted members and the directories above them, in walk order: the line, what it says, and the path."""
    above: list[Row] = []
    for line in index.lines():
        told = orjson.loads(line)
        path = name_bytes(told["path"])
        while above and not path.startswith(above[-1][2] + b"/"):
            above.pop()
        if wanted(path):
            yield from above
            above = []
            yield line, told, path
        elif told["kind"] == "directory":
            above.append((line, told, path))


class _Builder:
    def __init__(self, wanted: Wanted, keeps: Keeps, names: NameProblems | None) -> None:
        self._wanted = wanted
        self._keeps = keeps
        self._names = names
        self._digest = hashlib.sha256()
        self._folders, self._links = LinePacker(), LinePacker()
        self._parts: dict[int, LinePacker] = {}
        self._made = TreePlan(PackedLines(b"", 0), PackedLines(b"", 0), {}, "")
        self._made.held[b""] = Held()

    def take(self, line: str, told: dict[str, Any], path: bytes) -> None:
        kind = told["kind"]
        self._digest.update(line.encode())
        if kind == "file":
            self._file(line, told, path)
        elif kind == "directory":
            self._folders.add(line)
            self._made.held[path] = Held()
            self._made.held[path.rpartition(b"/")[0]].entries += 1
        elif not self._link(line, told, path):
            return
        made = self._made
        made.counts[EntryKind(kind)] += 1
        if not self._keeps.modes and "mode" in told:
            made.losses[MODES] += 1
        if self._names is not None and (why := self._names.problem(path)):
            made.unholdable.append((path, why))

    def _file(self, line: str, told: dict[str, Any], path: bytes) -> None:
        number = told["part"]
        packer = self._parts.get(number)
        if packer is None:
            packer = self._parts[number] = LinePacker()
        packer.add(line)
        self._made.size += told["length"]
        held = self._made.held[path.rpartition(b"/")[0]]
        held.entries += 1
        held.size += told["length"]

    def _link(self, line: str, told: dict[str, Any], path: bytes) -> bool:
        """Whether the target has it."""
        hard = told["kind"] == "hardlink"
        if hard and not self._wanted(first := name_bytes(told["target"])):
            self._made.without_first.append((path, first))
        if not (self._keeps.hard_links if hard else self._keeps.symlinks):
            self._made.losses[HARD_LINKS if hard else SYMLINKS] += 1
            return False
        self._links.add(line)
        return True

    def plan(self) -> TreePlan:
        made = self._made
        made.folders, made.links = self._folders.packed(), self._links.packed()
        made.parts = {number: packer.packed() for number, packer in sorted(self._parts.items())}
        made.digest = self._digest.hexdigest()
        return made


def members_of(lines: PackedLines) -> Iterator[Member]:
    """The members again, as often as one likes."""
    return (Member.from_line(line) for line in lines)

"""What tells a restored tree from its backup. Pure; content is compared by whoever can read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lifeboat.model.tree import Entry, EntryKind

KEPT: Final = 1000
"""Paths of each sort that are named; all are counted."""


@dataclass
class Paths:
    """``count`` paths; the first ``KEPT`` are ``named``, each with what is wrong, where there is more to say."""

    count: int = 0
    named: list[tuple[bytes, str]] = field(default_factory=list)

    def add(self, path: bytes, why: str = "") -> None:
        self.count += 1
        if len(self.named) < KEPT:
            self.named.append((path, why))


@dataclass
class TreeDifferences:
    """``read`` is bytes of content that were read back; ``files`` how many files were."""

    missing: Paths = field(default_factory=Paths)
    different: Paths = field(default_factory=Paths)
    additional: Paths = field(default_factory=Paths)
    files: int = 0
    read: int = 0

    @property
    def count(self) -> int:
        """0: the tree is what was backed up."""
        return self.missing.count + self.different.count + self.additional.count


def unlike(wanted: Entry, found: Entry) -> str:
    """What is different about an entry besides its content, as a phrase; empty when nothing is.

    Where a tree tells no hard links, a further name of a file is a file. Modes are compared where both sides have one,
    mtimes as fine as the found side tells them, those of symbolic links not at all: many systems cannot set them.
    """
    kind = wanted.kind
    if found.kind is not kind and not (kind is EntryKind.HARDLINK and found.kind is EntryKind.FILE):
        return f"is a {found.kind}, was a {kind}"
    if kind is EntryKind.FILE and found.size != wanted.size:
        return f"has {found.size} bytes, had {wanted.size}"
    if found.kind in (EntryKind.SYMLINK, EntryKind.HARDLINK) and found.target != wanted.target:
        return "points elsewhere"
    if kind in (EntryKind.SYMLINK, EntryKind.HARDLINK):
        return ""
    if wanted.mode is not None and found.mode is not None and wanted.mode != found.mode:
        return f"has mode {found.mode:o}, had {wanted.mode:o}"
    return "" if _same_moment(wanted.mtime_ns, found.mtime_ns) else "has another mtime"


def _same_moment(wanted: int, found: int) -> bool:
    return any(found == wanted // unit * unit for unit in (1, 100, 1000, 10**9))

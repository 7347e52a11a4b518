"""A tree where something happens to one file in the moment in which it is opened (F46)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeboat.adapters.tree import Entry, OpenFile, Tree
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import SourceDenied, SourceUnreachable


@dataclass(frozen=True)
class Troubled:
    """The ship's tree, where something happens to one file when it is opened."""

    target: LocalTreeTarget
    path: bytes
    trouble: str
    times: int = 1

    @property
    def label(self) -> str:
        return self.target.label

    @contextlib.contextmanager
    def connect(self) -> Iterator[TroubledTree]:
        with self.target.connect() as tree:
            yield TroubledTree(self, tree)


@dataclass
class TroubledTree:
    target: Troubled
    tree: Tree
    opened: int = 0

    def walk(self) -> Iterator[Entry]:
        return self.tree.walk()

    def look_again(self, path: bytes) -> Entry | None:
        return self.tree.look_again(path)

    def open(self, entry: Entry) -> OpenFile:
        path = Path(self.target.target.folder) / os.fsdecode(entry.path)
        if entry.path == self.target.path and self.opened < self.target.times:
            self.opened += 1
            TROUBLES[self.target.trouble](path)
        return self.tree.open(entry)


def deny(path: Path) -> None:
    raise SourceDenied(f"{path.name} may not be read.")


def lose(_: Path) -> None:
    raise SourceUnreachable("The share does not answer.")


TROUBLES: dict[str, Callable[[Path], Any]] = {
    "denied": deny,
    "unreachable": lose,
    "vanishes": Path.unlink,
    "grows": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "shrinks": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "becomes a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "becomes a link": lambda path: (path.unlink(), path.symlink_to("/etc/shadow")),
}

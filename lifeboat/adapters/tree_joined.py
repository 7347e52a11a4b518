"""Several trees as one, each below a top folder of its own: the shares of an Azure source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lifeboat.adapters.tree import Entry, EntryKind, OpenFile, Tree, TreeTarget, shown_path
from lifeboat.errors import EntryMissing


@dataclass(frozen=True)
class JoinedTreeTarget:
    """``trees`` by the name of the top folder they appear in.

    Raises ``ValueError`` for a name that no folder can have.
    """

    trees: Mapping[bytes, TreeTarget]
    label: str

    def __post_init__(self) -> None:
        for name in self.trees:
            if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
                raise ValueError(f"{shown_path(name)} is no name of a folder")

    @contextmanager
    def connect(self) -> Iterator[JoinedTree]:
        """Connects to all before any is walked; closes all, also when closing one of them fails."""
        with ExitStack() as stack:
            yield JoinedTree({name: stack.enter_context(tree.connect()) for name, tree in self.trees.items()})


class JoinedTree:
    """``Tree`` over open ones."""

    def __init__(self, trees: Mapping[bytes, Tree]) -> None:
        self._trees = trees

    def walk(self) -> Iterator[Entry]:
        for name in sorted(self._trees):
            yield _top(name)
            for entry in self._trees[name].walk():
                yield _within(name, entry)

    def open(self, entry: Entry) -> OpenFile:
        tree, path = self._member(entry.path)
        # A target is a path only of a hard link, and those are never opened.
        return tree.open(entry._replace(path=path))

    def look_again(self, path: bytes) -> Entry | None:
        name, _, rest = path.partition(b"/")
        if name not in self._trees:
            return None
        if not rest:
            return _top(name)
        found = self._trees[name].look_again(rest)
        return None if found is None else _within(name, found)

    def _member(self, path: bytes) -> tuple[Tree, bytes]:
        name, _, rest = path.partition(b"/")
        if name not in self._trees or not rest:
            raise EntryMissing(f"{shown_path(path)} is no file of this tree.")
        return self._trees[name], rest


def _top(name: bytes) -> Entry:
    return Entry(name, EntryKind.DIRECTORY)


def _within(name: bytes, entry: Entry) -> Entry:
    path = name + b"/" + entry.path
    if entry.kind is EntryKind.HARDLINK:
        # Its target counts from the top; that of a symlink is whatever stands in it.
        return entry._replace(path=path, target=name + b"/" + entry.target)
    return entry._replace(path=path)

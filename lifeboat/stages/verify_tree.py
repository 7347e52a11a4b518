"""Verify a restored tree: every entry beside the index, every byte of every file read back and hashed."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from lifeboat.adapters.tree import Tree, TreeTarget
from lifeboat.errors import EntryChanged, EntryMissing
from lifeboat.model.tree import Entry, EntryKind, Member, walk_order
from lifeboat.model.tree_differences import TreeDifferences, unlike
from lifeboat.model.tree_index import TreeIndex
from lifeboat.model.tree_plan import Wanted, matching
from lifeboat.model.tree_target import Keeps

_FILES, _BYTES = 64, 16 * 2**20
"""A thread takes so many files at once, or a file of so many bytes or more."""
_AHEAD = 4
"""Batches per thread that wait for one: with them the walk's lead is bounded, and memory with it."""
_CHUNK = 2**20


def verify_tree(
    index: TreeIndex,
    target: TreeTarget,
    wanted: Wanted = lambda _: True,
    *,
    keeps: Keeps | None = None,
    jobs: int = 2,
) -> TreeDifferences:
    """How the tree differs from the wanted entries of the backup and the directories above them.

    ``keeps`` is what the place can hold: what it cannot is not missed. Raises the ``SourceError`` family when the tree
    cannot be read. Each of ``jobs`` threads has a connection of its own.
    """
    keeps = keeps or Keeps()
    firsts = _firsts(index)
    found = TreeDifferences()
    with ExitStack() as stack:
        tree = stack.enter_context(target.connect())
        readers = stack.enter_context(_Readers(target, jobs, found))
        entries = tree.walk()
        entry = next(entries, None)
        for member in _members(index, wanted, keeps):
            place = walk_order(member.entry.path)
            while entry is not None and walk_order(entry.path) < place:
                found.additional.add(entry.path)
                entry = next(entries, None)
            if entry is None or entry.path != member.entry.path:
                found.missing.add(member.entry.path)
                continue
            if why := unlike(member.entry, entry):
                found.different.add(entry.path, why)
            elif entry.kind is EntryKind.FILE:
                readers.take(entry, member.sha256 or firsts.get(member.entry.target, ""))
            entry = next(entries, None)
        while entry is not None:
            found.additional.add(entry.path)
            entry = next(entries, None)
        readers.finish()
    return found


def _members(index: TreeIndex, wanted: Wanted, keeps: Keeps) -> Iterator[Member]:
    for line, told, _ in matching(index, wanted):
        kind = told["kind"]
        if (kind != "symlink" or keeps.symlinks) and (kind != "hardlink" or keeps.hard_links):
            yield Member.from_line(line)


def _firsts(index: TreeIndex) -> dict[bytes, str]:
    """SHA-256 of the files that have further names."""
    named = {member.entry.target for member in index.members() if member.entry.kind is EntryKind.HARDLINK}
    if not named:
        return {}
    return {member.entry.path: member.sha256 for member in index.members() if member.entry.path in named}


Batch = list[tuple[Entry, str]]


@dataclass
class _Readers:
    """Threads that read files back. Differences are noted by the walking thread alone."""

    target: TreeTarget
    jobs: int
    found: TreeDifferences
    _batch: Batch = field(default_factory=list)
    _size: int = 0
    _under_way: deque[Future[list[tuple[bytes, str]]]] = field(default_factory=deque)

    def __enter__(self) -> _Readers:
        self._stack = ExitStack()
        self._own = threading.local()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.jobs)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def take(self, entry: Entry, sha256: str) -> None:
        self._batch.append((entry, sha256))
        self._size += entry.size
        self.found.files += 1
        self.found.read += entry.size
        if len(self._batch) >= _FILES or self._size >= _BYTES:
            self._send()

    def finish(self) -> None:
        self._send()
        while self._under_way:
            self._gather()

    def _send(self) -> None:
        if len(self._under_way) >= self.jobs * _AHEAD:
            self._gather()
        self._under_way.append(self._pool.submit(self._read, self._batch))
        self._batch, self._size = [], 0

    def _gather(self) -> None:
        for path, why in self._under_way.popleft().result():
            self.found.different.add(path, why)

    def _read(self, batch: Batch) -> list[tuple[bytes, str]]:
        tree = self._connected()
        return [(entry.path, why) for entry, sha256 in batch if (why := _content(tree, entry, sha256))]

    def _connected(self) -> Tree:
        if not hasattr(self._own, "tree"):
            with self._lock:
                self._own.tree = self._stack.enter_context(self.target.connect())
        tree: Tree = self._own.tree
        return tree


def _content(tree: Tree, entry: Entry, sha256: str) -> str:
    digest = hashlib.sha256()
    try:
        with closing(tree.open(entry)) as file:
            read: Callable[[], bytes] = lambda: file.read(_CHUNK)  # noqa: E731 - as iter wants it
            for piece in iter(read, b""):
                digest.update(piece)
    except (EntryMissing, EntryChanged) as error:
        return error.message
    return "" if digest.hexdigest() == sha256 else "has other content"

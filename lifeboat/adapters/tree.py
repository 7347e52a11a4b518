"""A file tree to back up, wherever it lies: the narrow interface that packing needs.

Names are bytes, as the system has them, relative to the top and joined by ``/``; nothing here follows a link.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lifeboat.model.tree import Entry, EntryKind, walk_order

if TYPE_CHECKING:
    # Only named here: children that pack and unpack files need none of the models, which take 0.2 s to import.
    from lifeboat.model.index import IndexFinding

__all__ = [
    "Entry",
    "EntryKind",
    "FrozenView",
    "LiveTree",
    "OpenFile",
    "Tree",
    "TreeOrigin",
    "TreeTarget",
    "walk_order",
]


def shown_path(path: bytes) -> str:
    """The path quoted for a message: nothing in it reaches a terminal as it is (F43)."""
    return repr(path.decode("utf-8", "surrogateescape"))


class OpenFile(Protocol):
    """A file that is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end. Raises ``SourceError`` when the source fails."""

    def close(self) -> None: ...


class Tree(Protocol):
    """An open tree. Errors are those of ``lifeboat.errors``: ``SourceUnreachable``, ``SourceDenied`` …"""

    def walk(self) -> Iterator[Entry]:
        """Every entry below the top, in ``walk_order``, the top itself not; memory grows with one directory only."""

    def open(self, entry: Entry) -> OpenFile:
        """Raises ``EntryMissing`` when it is gone, ``SourceDenied`` when it may not be read; follows no link."""

    def look_again(self, path: bytes) -> Entry | None:
        """The entry as it is now; None when it is gone."""


class TreeTarget(Protocol):
    """How to reach a tree. It crosses to child processes by pickle, and shows no secret in its repr."""

    @property
    def label(self) -> str:
        """What people call it: a URL without secrets."""

    def connect(self) -> AbstractContextManager[Tree]: ...


@dataclass(frozen=True)
class FrozenView:
    """What of an origin is read: a target that gives the same tree in every process that connects to it.

    ``data_timestamp`` (aware) is the moment it was frozen at, by the source's own clock; None where nobody says.
    """

    target: TreeTarget
    data_timestamp: dt.datetime | None = None
    findings: tuple[IndexFinding, ...] = ()


class TreeOrigin(Protocol):
    """Where a tree comes from: what must be done so that it holds still while it is read, and undone afterwards."""

    @property
    def label(self) -> str: ...

    def frozen(self) -> AbstractContextManager[FrozenView]:
        """Raises the ``SourceError`` family. What was made for the view is gone at the end, whatever happens."""


@dataclass(frozen=True)
class LiveTree:
    """A tree that is read as it is."""

    target: TreeTarget

    @property
    def label(self) -> str:
        return self.target.label

    @contextmanager
    def frozen(self) -> Iterator[FrozenView]:
        yield FrozenView(self.target)

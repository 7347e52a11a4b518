"""Where a tree is restored to, wherever that lies: the narrow interface that a restore needs.

Paths are bytes relative to the folder in which the target will have its name. A restore writes into a folder beside it
that it alone has, so nothing here needs to be safe against others who write there: only links that were there before
must never be followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

from lifeboat.model.tree import Entry, EntryKind
from lifeboat.model.tree_target import Keeps

if TYPE_CHECKING:
    # Nothing that needs pydantic: a loading child begins twice as fast without it.
    from lifeboat.adapters.tree import TreeTarget
    from lifeboat.model.tree_plan import NameProblems

Losses = Counter[str]
"""How many entries lost what, by the codes of ``model.tree_target``."""
TREE: Final = b"tree"
"""The folder of the restored entries inside the incomplete one, beside the notes."""


class NewFiles(Protocol):
    """Files that are written one after the other, inside a loading child. Their folders exist."""

    def begin(self, file: Mapping[str, Any]) -> None:
        """A new file; ``file`` is its member of the index as JSON. Raises ``RestoreFailed`` when the name is taken."""

    def write(self, piece: memoryview) -> None:
        """Bytes of the file; the buffer may be another's afterwards."""

    def end(self) -> None:
        """The file is whole and what the index says. It may get to its place later, at ``finish`` at the latest."""

    def finish(self) -> Losses:
        """Everything is in its place, with mode, owner and mtime, and stays there if the target's host ends now."""

    def close(self) -> None:
        """Let go of everything, also in the middle of a file."""


class TargetSession(Protocol):
    """An open target. Errors are ``RestoreFailed`` and those below it."""

    @property
    def keeps(self) -> Keeps: ...

    @property
    def epoch(self) -> str:
        """What was written is there as long as this stays the same, also after a crash of whoever wrote it."""

    def look(self, path: bytes) -> EntryKind | None:
        """What has this name, links not followed; None when nothing has."""

    def names(self, folder: bytes) -> list[bytes]:
        """What is in a folder, the folder above the target if empty."""

    def measure(self, folder: bytes, *, sizes: bool) -> tuple[int, int | None]:
        """How many entries a folder holds, and bytes of its files; None where they cost extra and nobody wants
        ``sizes``."""

    def read(self, path: bytes) -> bytes:
        """A small file."""

    def write(self, path: bytes, data: bytes) -> None:
        """A small new file: wholly there, or not at all."""

    def make_folder(self, path: bytes, *, again: bool) -> None:
        """A private folder. With ``again`` it may be there already, and becomes private again."""

    def symlink(self, path: bytes, entry: Entry) -> None:
        """A new link as it was, with owner and mtime where that can be."""

    def hard_link(self, path: bytes, first: bytes) -> None:
        """A new, further name of ``first``."""

    def settle(self, path: bytes, entry: Entry) -> None:
        """Owner, mode and mtime of a folder."""

    def remove(self, path: bytes) -> None:
        """A file, or a folder that is empty. Raises ``RestoreFailed`` for one that is not."""

    def rename(self, old: bytes, new: bytes) -> None:
        """In one step. Raises ``RestoreRefused`` when something that is not an empty folder has the name."""

    def seize(self, folder: bytes, other: bytes) -> bytes | None:
        """Take an incomplete folder for this process alone, None if another works on it.

        Where there are locks, it keeps its name; else it gets the ``other``, and whoever had it no longer finds it.
        """

    def files(self, folder: bytes, *, again: bool) -> NewFiles:
        """Files below a folder; with ``again``, instead of those that an earlier attempt left."""

    @property
    def losses(self) -> Losses:
        """What folders and links lost so far."""


class RestoreTarget(Protocol):
    """How to reach the place of a restored tree. It crosses to child processes by pickle, its repr shows no secret."""

    @property
    def label(self) -> str:
        """What people call it: a path, or a URL without secrets."""

    @property
    def name(self) -> bytes:
        """The target's own name in the folder above it."""

    def name_problems(self) -> NameProblems | None:
        """What finds names that the target cannot hold; None where it holds every name of a tree."""

    def tree(self) -> TreeTarget:
        """The restored tree, to be read back."""

    def connect(self) -> AbstractContextManager[TargetSession]: ...

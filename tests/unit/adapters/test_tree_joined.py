"""Several trees as one: order, names, links, and what happens when one of them cannot be opened or closed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lifeboat.adapters.tree import Entry, EntryKind, Tree, walk_order
from lifeboat.adapters.tree_joined import JoinedTreeTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import EntryMissing, SourceMissing


def put(path: Path, content: bytes = b"content") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def joined(tmp_path: Path) -> JoinedTreeTarget:
    put(tmp_path / "one/a/file", b"first")
    put(tmp_path / "one/z")
    put(tmp_path / "two/a/file", b"second")
    (tmp_path / "two/link").symlink_to("a/file")
    os.link(tmp_path / "two/a/file", tmp_path / "two/other name")
    (tmp_path / "empty").mkdir()
    return JoinedTreeTarget(
        {
            b"docs-old": LocalTreeTarget(tmp_path / "two"),
            b"docs": LocalTreeTarget(tmp_path / "one"),
            b"empty": LocalTreeTarget(tmp_path / "empty"),
        },
        "three folders",
    )


def test_walk_goes_through_all_in_walk_order_below_a_folder_for_each(joined: JoinedTreeTarget) -> None:
    with joined.connect() as tree:
        entries = list(tree.walk())
    paths = [entry.path for entry in entries]
    assert paths == [
        b"docs",
        b"docs/a",
        b"docs/a/file",
        b"docs/z",
        b"docs-old",
        b"docs-old/a",
        b"docs-old/a/file",
        b"docs-old/link",
        b"docs-old/other name",
        b"empty",
    ]
    assert paths == sorted(paths, key=walk_order)
    assert [entry.path for entry in entries if entry.kind is EntryKind.DIRECTORY] == [
        b"docs",
        b"docs/a",
        b"docs-old",
        b"docs-old/a",
        b"empty",
    ]


def test_target_of_a_hard_link_counts_from_the_top_and_that_of_a_symlink_is_as_it_stands(
    joined: JoinedTreeTarget,
) -> None:
    with joined.connect() as tree:
        targets = {entry.path: entry.target for entry in tree.walk() if entry.target}
    assert targets == {b"docs-old/link": b"a/file", b"docs-old/other name": b"docs-old/a/file"}


def test_files_open_in_the_tree_they_belong_to_also_after_pickling(joined: JoinedTreeTarget) -> None:
    with pickle.loads(pickle.dumps(joined)).connect() as tree:
        found = {
            entry.path: tree.open(entry).read(100) for entry in tree.walk() if entry.kind is EntryKind.FILE
        }
    assert found == {b"docs/a/file": b"first", b"docs/z": b"content", b"docs-old/a/file": b"second"}


def test_looking_again_gives_what_the_walk_gave(joined: JoinedTreeTarget) -> None:
    with joined.connect() as tree:
        entries = [entry for entry in tree.walk() if entry.kind is not EntryKind.HARDLINK]
        assert [tree.look_again(entry.path) for entry in entries] == entries
        assert [tree.look_again(path) for path in (b"docs/gone", b"gone", b"gone/file")] == [None] * 3
        for path in (b"gone/file", b"docs"):
            with pytest.raises(EntryMissing):
                tree.open(Entry(path, EntryKind.FILE))


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0"])
def test_name_that_no_folder_can_have_is_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(ValueError, match="no name of a folder"):
        JoinedTreeTarget({name: LocalTreeTarget(tmp_path)}, "a folder")


@dataclass(frozen=True)
class Watched:
    """A folder that notes when it is opened and closed, and may fail when it is closed."""

    target: LocalTreeTarget
    noted: list[str] = field(default_factory=list)
    stuck: bool = False

    @property
    def label(self) -> str:
        return self.target.label

    @contextmanager
    def connect(self) -> Iterator[Tree]:
        with self.target.connect() as tree:
            self.noted.append(f"opened {self.target.folder.name}")
            try:
                yield tree
            finally:
                self.noted.append(f"closed {self.target.folder.name}")
                if self.stuck:
                    raise OSError(f"{self.target.folder.name} is stuck")


def watched(tmp_path: Path, *names: str, stuck: tuple[str, ...] = ()) -> tuple[JoinedTreeTarget, list[str]]:
    noted: list[str] = []
    for name in names:
        (tmp_path / name).mkdir()
    trees = {
        name.encode(): Watched(LocalTreeTarget(tmp_path / name), noted, name in stuck)
        for name in (*names, *stuck)
    }
    return JoinedTreeTarget(trees, "folders"), noted


def test_all_are_open_before_anything_is_walked_and_closed_at_the_end(tmp_path: Path) -> None:
    joined, noted = watched(tmp_path, "a", "b")
    with joined.connect() as tree:
        assert noted == ["opened a", "opened b"]
        list(tree.walk())
    assert noted == ["opened a", "opened b", "closed b", "closed a"]


def test_one_that_cannot_be_closed_does_not_keep_the_others_open(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    joined, noted = watched(tmp_path, "a", "b", stuck=("c",))
    with pytest.raises(OSError, match="c is stuck"), joined.connect():
        pass
    assert noted[3:] == ["closed c", "closed b", "closed a"]


def test_one_that_cannot_be_opened_closes_those_before(tmp_path: Path) -> None:
    joined, noted = watched(tmp_path, "a", "b")
    (tmp_path / "b").rmdir()
    with pytest.raises(SourceMissing), ExitStack() as stack:
        stack.enter_context(joined.connect())
    assert noted == ["opened a", "closed a"]

"""What changed between two backups of a tree: every change in walk order, counts that add up, constant memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeboat.model.backup_diff import Change
from lifeboat.model.names import name_bytes
from lifeboat.model.tree import Entry, EntryKind, Member, walk_order
from lifeboat.model.tree_diff import MemberChange, TreeDiff, diff_trees


def file(path: bytes, *, size: int = 3, sha256: str = "a", **entry: Any) -> Member:
    return Member(Entry(path, EntryKind.FILE, size=size, **entry), part=1, length=size, sha256=sha256 * 64)


def directory(path: bytes, **entry: Any) -> Member:
    return Member(Entry(path, EntryKind.DIRECTORY, **entry))


def symlink(path: bytes, target: bytes = b"x") -> Member:
    return Member(Entry(path, EntryKind.SYMLINK, target=target))


def told(found: TreeDiff) -> list[tuple[str, str, str]]:
    return [(one.path, one.kind.value, one.change.value) for one in found.changes]


def test_files_added_gone_and_changed_are_told_in_walk_order() -> None:
    # b"a!" sorts before b"a/" as bytes, and after everything inside a as a walk goes.
    before = [directory(b"a"), file(b"a/1"), file(b"a/2"), file(b"a!", size=5), file(b"z")]
    after = [directory(b"a"), file(b"a/2", size=9, sha256="b"), file(b"a/3", size=7), file(b"a!", size=5)]

    found = diff_trees(before, after)

    assert told(found) == [
        ("a/1", "file", "gone"),
        ("a/2", "file", "changed"),
        ("a/3", "file", "added"),
        ("z", "file", "gone"),
    ]
    assert found.changes[1] == MemberChange(
        "a/2", EntryKind.FILE, Change.CHANGED, size_before=3, size_after=9, differs=("content", "size")
    )
    assert (found.changes[0].size_after, found.changes[2].size_before) == (None, None)
    files, sizes = found.files, found.bytes
    assert (files.before, files.added, files.gone, files.changed, files.after) == (4, 1, 2, 1, 3)
    assert (sizes.before, sizes.added, sizes.gone, sizes.grown, sizes.after) == (14, 7, 6, 6, 21)
    assert sizes.rewritten == 9


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        (file(b"f", mtime_ns=1), file(b"f", mtime_ns=2), ("mtime",)),
        (file(b"f", mode=0o644), file(b"f", mode=0o600), ("mode",)),
        (file(b"f", uid=1, gid=1), file(b"f", uid=1, gid=2), ("owner",)),
        (file(b"f"), file(b"f", sha256="b"), ("content",)),
        (file(b"f"), file(b"f", sha256="b", size=4, mtime_ns=1), ("content", "size", "mtime")),
        (directory(b"d", mode=0o755), directory(b"d", mode=0o700), ("mode",)),
        (symlink(b"s", b"x"), symlink(b"s", b"y"), ("target",)),
    ],
)
def test_what_differs_is_told(before: Member, after: Member, differs: tuple[str, ...]) -> None:
    (change,) = diff_trees([before], [after]).changes

    assert (change.change, change.differs) == (Change.CHANGED, differs)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (directory(b"d", mtime_ns=1), directory(b"d", mtime_ns=2)),
        (file(b"f", etag="inode change 1"), file(b"f", etag="inode change 2")),
        (file(b"f"), file(b"f")._replace(part=7, offset=512)),
    ],
    ids=["time of a directory", "etag", "place in a part"],
)
def test_what_is_no_change_is_not_told(before: Member, after: Member) -> None:
    assert diff_trees([before], [after]).empty


def test_name_that_became_another_kind_is_gone_and_added() -> None:
    found = diff_trees([file(b"n", size=5)], [directory(b"n"), file(b"n/in", size=2)])

    assert told(found) == [("n", "file", "gone"), ("n", "directory", "added"), ("n/in", "file", "added")]
    assert (found.bytes.gone, found.bytes.added, found.bytes.grown) == (5, 2, 0)


def test_symlinks_and_hard_links_are_counted_together() -> None:
    hard = Member(Entry(b"h", EntryKind.HARDLINK, target=b"f"))

    found = diff_trees([file(b"f"), hard], [file(b"f"), symlink(b"s")])

    links = found.links
    assert (links.before, links.added, links.gone, links.changed, links.after) == (1, 1, 1, 0, 1)


def test_names_that_are_no_text_are_told_in_their_one_spelling() -> None:
    (change,) = diff_trees([], [file(b"\xff\n")]).changes

    assert change.path == "\\377\\012"


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (2, 2), (5, 5), (9, 5), (None, 5)])
def test_changes_over_the_limit_are_counted_and_not_kept(limit: int | None, kept: int) -> None:
    found = diff_trees([], [file(b"%d" % number) for number in range(5)], limit=limit)

    assert (len(found.changes), found.left_out, found.files.added) == (kept, 5 - kept, 5)
    assert not found.empty


def test_memory_does_not_grow_with_the_trees() -> None:
    def members(sha256: str) -> Iterator[Member]:
        return (file(b"%08d" % number, sha256=sha256) for number in range(20_000))

    tracemalloc.start()
    try:
        found = diff_trees(members("a"), members("b"), limit=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.files.changed == 20_000
    # Other threads of the process are traced too; 20,000 members, or their changes, take more than 5 MB.
    assert peak < 1_000_000


# Properties

NAMES = st.lists(st.sampled_from([b"a", b"b", b"a!", b"\xff"]), min_size=1, max_size=3).map(b"/".join)
MEMBERS = st.one_of(
    st.builds(
        lambda path, size, digest, mtime, mode: file(
            path, size=size, sha256=digest, mtime_ns=mtime, mode=mode
        ),
        NAMES,
        st.integers(0, 3),
        st.sampled_from("ab"),
        st.integers(0, 1),
        st.sampled_from([None, 0o600]),
    ),
    st.builds(lambda path, mode: directory(path, mode=mode), NAMES, st.sampled_from([0o700, 0o755])),
    st.builds(symlink, NAMES, st.sampled_from([b"x", b"y"])),
)
TREES = st.lists(MEMBERS, max_size=12, unique_by=lambda member: member.entry.path).map(
    lambda members: sorted(members, key=lambda member: walk_order(member.entry.path))
)


@given(TREES)
def test_tree_does_not_differ_from_itself(tree: list[Member]) -> None:
    found = diff_trees(tree, iter(tree))

    assert found.empty
    assert found.bytes.before == found.bytes.after == sum(member.entry.size for member in tree)


@given(TREES, TREES)
def test_changes_applied_to_the_counts_before_give_those_after(
    before: list[Member], after: list[Member]
) -> None:
    found = diff_trees(before, after)

    for counts in (found.files, found.directories, found.links):
        assert counts.before + counts.added - counts.gone == counts.after
    sizes = found.bytes
    assert sizes.before + sizes.added - sizes.gone + sizes.grown == sizes.after
    assert found.files.after == sum(member.entry.kind is EntryKind.FILE for member in after)
    assert sizes.after == sum(member.entry.size for member in after)


@given(TREES, TREES)
def test_changes_applied_to_the_names_before_give_those_after(
    before: list[Member], after: list[Member]
) -> None:
    found = diff_trees(before, after)

    names = {(member.entry.path, member.entry.kind) for member in before}
    for change in found.changes:
        key = (name_bytes(change.path), change.kind)
        assert (key in names) is (change.change is not Change.ADDED)
        if change.change is Change.GONE:
            names.remove(key)
        elif change.change is Change.ADDED:
            names.add(key)
    assert names == {(member.entry.path, member.entry.kind) for member in after}


@given(TREES, TREES)
def test_what_is_not_told_is_the_same_in_both(before: list[Member], after: list[Member]) -> None:
    older, newer = ({member.entry.path: member for member in tree} for tree in (before, after))

    told_of = {name_bytes(change.path) for change in diff_trees(before, after).changes}

    assert told_of == {path for path in older.keys() | newer.keys() if older.get(path) != newer.get(path)}


@given(TREES, TREES)
def test_changes_come_in_walk_order(before: list[Member], after: list[Member]) -> None:
    paths = [walk_order(name_bytes(change.path)) for change in diff_trees(before, after).changes]

    assert all(one <= other for one, other in itertools.pairwise(paths))

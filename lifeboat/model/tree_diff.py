"""What changed between two backups of a tree: both indexes walked side by side, in memory that does not grow with them.

By name: a file that was moved is gone and another one added, and so is a name that became another kind of entry. A
directory's time is left out: it changes with every name inside, and those are told. An ``etag`` is left out too: what
it stands for is the content, and that is compared by its digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lifeboat.model.backup_diff import Change
from lifeboat.model.names import name_text
from lifeboat.model.tree import EntryKind, Member, walk_order


@dataclass(frozen=True, slots=True)
class MemberChange:
    """``path`` as ``name_text`` spells it; sizes in bytes, None where there was no such entry.

    ``differs`` is any of ``content``, ``size``, ``mtime``, ``mode``, ``owner`` and ``target``, empty unless changed.
    """

    path: str
    kind: EntryKind
    change: Change
    size_before: int | None
    size_after: int | None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """Of one kind of entry: ``before`` + ``added`` - ``gone`` = ``after``."""

    before: int
    added: int
    gone: int
    changed: int
    after: int


@dataclass(frozen=True)
class ByteCounts:
    """Of files. ``rewritten`` is the size now of files whose content is another one than before.

    ``before`` + ``added`` - ``gone`` + ``grown`` = ``after``; ``grown`` is negative when files have shrunk.
    """

    before: int
    added: int
    gone: int
    grown: int
    rewritten: int
    after: int


@dataclass(frozen=True)
class TreeDiff:
    """``changes`` are in walk order, the first ``limit`` of them; the counts are of all."""

    files: Counts
    directories: Counts
    links: Counts
    bytes: ByteCounts
    changes: tuple[MemberChange, ...]
    left_out: int

    @property
    def empty(self) -> bool:
        return not self.changes and not self.left_out


_Sides = tuple[Member | None, Member | None]


def diff_trees(before: Iterable[Member], after: Iterable[Member], *, limit: int | None = None) -> TreeDiff:
    """Everything in which two indexes differ; both come in walk order. ``limit`` None: keep every change."""
    tally: Counter[tuple[EntryKind, str]] = Counter()
    sizes: Counter[str] = Counter()
    kept: list[MemberChange] = []
    left_out = 0
    for sides in _side_by_side(before, after):
        change = _change(*sides)
        _count(tally, sizes, sides, change)
        if change and (limit is None or len(kept) < limit):
            kept.append(change)
        elif change:
            left_out += 1
    return TreeDiff(
        files=_counts(tally, EntryKind.FILE),
        directories=_counts(tally, EntryKind.DIRECTORY),
        links=_counts(tally, EntryKind.SYMLINK, EntryKind.HARDLINK),
        bytes=ByteCounts(**{name: sizes[name] for name in ByteCounts.__dataclass_fields__}),
        changes=tuple(kept),
        left_out=left_out,
    )


def _side_by_side(before: Iterable[Member], after: Iterable[Member]) -> Iterator[_Sides]:
    """Entries of one name and kind together, every other one alone."""
    older, newer = iter(before), iter(after)
    one, other = next(older, None), next(newer, None)
    while one is not None or other is not None:
        here = walk_order(one.entry.path) if one else None
        there = walk_order(other.entry.path) if other else None
        if one is not None and other is not None and here == there:
            if one.entry.kind is other.entry.kind:
                yield one, other
            else:
                yield one, None
                yield None, other
            one, other = next(older, None), next(newer, None)
        elif there is None or (here is not None and here < there):
            yield one, None
            one = next(older, None)
        else:
            yield None, other
            other = next(newer, None)


def _change(before: Member | None, after: Member | None) -> MemberChange | None:
    there = after or before
    assert there is not None
    differs = _differences(before, after) if before and after else ()
    if before and after and not differs:
        return None
    return MemberChange(
        path=name_text(there.entry.path),
        kind=there.entry.kind,
        change=Change.ADDED if before is None else Change.GONE if after is None else Change.CHANGED,
        size_before=before.entry.size if before else None,
        size_after=after.entry.size if after else None,
        differs=differs,
    )


def _differences(before: Member, after: Member) -> tuple[str, ...]:
    one, other = before.entry, after.entry
    times = one.kind is not EntryKind.DIRECTORY and one.mtime_ns != other.mtime_ns
    told = (
        ("content", before.sha256 != after.sha256),
        ("size", one.size != other.size),
        ("mtime", times),
        ("mode", one.mode != other.mode),
        ("owner", (one.uid, one.gid) != (other.uid, other.gid)),
        ("target", one.target != other.target),
    )
    return tuple(name for name, differs in told if differs)


def _count(
    tally: Counter[tuple[EntryKind, str]], sizes: Counter[str], sides: _Sides, change: MemberChange | None
) -> None:
    before, after = sides
    for side, name in ((before, "before"), (after, "after")):
        if side:
            tally[side.entry.kind, name] += 1
            sizes[name] += side.entry.size
    if change is None:
        return
    tally[change.kind, change.change] += 1
    if before and after:
        sizes["grown"] += after.entry.size - before.entry.size
        sizes["rewritten"] += after.entry.size if "content" in change.differs else 0
    else:
        sizes[change.change] += (change.size_before or 0) + (change.size_after or 0)


def _counts(tally: Counter[tuple[EntryKind, str]], *kinds: EntryKind) -> Counts:
    return Counts(**{name: sum(tally[kind, name] for kind in kinds) for name in Counts.__dataclass_fields__})

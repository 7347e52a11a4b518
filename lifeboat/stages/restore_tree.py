"""Restore of a tree: files out of their parts into a new folder, directories and links around them.

Everything is written into ``<target>.incomplete-<suffix>`` beside the target, and gets its name last: what has no
name was not restored (decision D7).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.unpacking import BelowFolder, settle
from lifeboat.errors import RestoreFailed, RestoreRefused
from lifeboat.model.listing import LinePacker, PackedLines
from lifeboat.model.tree import EntryKind, Member
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.voyage import random_suffix

Wanted = Callable[[bytes], bool]


@dataclass(frozen=True)
class RestoredTree:
    """What came back; ``fetched`` is the size of the sealed parts that hold it."""

    folder: Path
    files: int
    size: int
    fetched: int
    seconds: float


def restore_tree(
    index: TreeIndex, folder: Path, loader: Loader, *, wanted: Wanted = lambda _: True, jobs: int = 3
) -> RestoredTree:
    """Bring the wanted entries of a backup into a folder that does not exist yet, with the directories above them.

    Raises ``RestoreRefused`` when the folder exists or nothing is wanted, and what the parts raise; then what was
    written lies under a name that says it is incomplete.
    """
    if os.path.lexists(folder):
        raise RestoreRefused(
            f"{folder} exists already.", hint="Restore into a new folder, and move files from there."
        )
    chosen = _Chosen(index, wanted)
    if not chosen.count and next(index.members(), None) is not None:
        raise RestoreRefused(
            f"Nothing in {index.header.backup_id} matches.", hint="`lifeboat files` lists what there is."
        )
    watch = clock.Stopwatch()
    building = folder.with_name(f"{folder.name}.incomplete-{random_suffix()}")
    building.mkdir(mode=0o700, parents=True)
    _make_folders(chosen, building)
    parts = _files_by_part(chosen)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        loads = [
            pool.submit(loader.files, index.header.part(number), lines, building)
            for number, lines in parts.items()
        ]
        try:
            for load in loads:
                load.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    files, size = _finish(chosen, building)
    building.rename(folder)
    fetched = sum(index.header.part(number).size for number in parts)
    return RestoredTree(folder, files, size, fetched, watch.seconds())


class _Chosen:
    """Wanted members, and the directories above them, in walk order; iterated as often as one likes."""

    def __init__(self, index: TreeIndex, wanted: Wanted) -> None:
        # As lines, since of a million members a few may be wanted, and they are walked three times.
        self._lines = PackedLines.of(member.to_line() for member in _matching(index, wanted))
        self.count = self._lines.count
        self.wanted = wanted

    def __iter__(self) -> Iterator[Member]:
        return (Member.from_line(line) for line in self._lines)


def _matching(index: TreeIndex, wanted: Wanted) -> Iterator[Member]:
    above: list[Member] = []
    for member in index.members():
        path = member.entry.path
        while above and not path.startswith(above[-1].entry.path + b"/"):
            above.pop()
        if wanted(path):
            yield from above
            above = []
            yield member
        elif member.entry.kind is EntryKind.DIRECTORY:
            above.append(member)


def _files_by_part(chosen: _Chosen) -> dict[int, PackedLines]:
    packers: dict[int, LinePacker] = {}
    for member in chosen:
        if member.entry.kind is EntryKind.FILE:
            packers.setdefault(member.part, LinePacker()).add(member.to_line())
    return {number: packer.packed() for number, packer in packers.items()}


def _make_folders(chosen: _Chosen, building: Path) -> None:
    below = BelowFolder(str(building))
    for member in chosen:
        if member.entry.kind is EntryKind.DIRECTORY:
            parent, name = below.parent_of(member.entry.path)
            os.mkdir(name, 0o700, dir_fd=parent)
    below.close()


def _finish(chosen: _Chosen, building: Path) -> tuple[int, int]:
    """Links, then directories from the bottom up: each change in a directory would touch its mtime again."""
    below = BelowFolder(str(building))
    files = size = 0
    open_folders: list[Member] = []

    def close_until(path: bytes) -> None:
        while open_folders and not path.startswith(open_folders[-1].entry.path + b"/"):
            _settle_folder(below, open_folders.pop())

    for member in chosen:
        entry = member.entry
        close_until(entry.path)
        match entry.kind:
            case EntryKind.DIRECTORY:
                open_folders.append(member)
            case EntryKind.SYMLINK:
                _make_symlink(below, member)
            case EntryKind.HARDLINK:
                _make_hardlink(below, building, member, chosen.wanted)
            case EntryKind.FILE:
                files, size = files + 1, size + entry.size
    close_until(b"")
    below.close()
    return files, size


def _make_symlink(below: BelowFolder, member: Member) -> None:
    parent, name = below.parent_of(member.entry.path)
    os.symlink(member.entry.target, name, dir_fd=parent)
    if os.geteuid() == 0 and member.entry.uid is not None:
        os.chown(name, member.entry.uid, member.entry.gid or 0, dir_fd=parent, follow_symlinks=False)
    times = (member.entry.mtime_ns, member.entry.mtime_ns)
    os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)


def _make_hardlink(below: BelowFolder, building: Path, member: Member, wanted: Wanted) -> None:
    first = member.entry.target
    if not wanted(first):
        raise RestoreFailed(
            f"{member.entry.path!r} is another name of {first!r}, which was not asked for.",
            hint="Ask for both names.",
        )
    other = BelowFolder(str(building))
    source, source_name = other.parent_of(first)
    parent, name = below.parent_of(member.entry.path)
    os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
    other.close()


def _settle_folder(below: BelowFolder, member: Member) -> None:
    parent, name = below.parent_of(member.entry.path)
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        settle(descriptor, member.entry.to_json())
    finally:
        os.close(descriptor)

"""Which files travel and which stay where yesterday's backup put them: full backups at the price of the changes.

A file whose size, mtime, mode and etag are as they were is *carried*: the new backup names the part that holds it. A
part that has become too empty is left behind, and what still lives in it travels again; so a change touches few parts,
and no part is kept for ever for one last file. Pure; entries and members come sorted in ``walk_order``.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lifeboat.model.listing import Listing
from lifeboat.model.tree import Entry, EntryKind, Member, walk_order

PART = 256 * 2**20
"""Plain bytes after which a new part begins. A larger file is a part of its own."""
MEMBERS_PER_PART = 10_000
LIVING_PERCENT = 60
"""A part of which less is still wanted is not referenced any more. At 60 the store holds at most 1.7 times what the
newest backup needs of it, and a tree that changes evenly is rewritten every few months of 1 % days."""
BLOCK = 512
SETTLED_AFTER = dt.timedelta(seconds=2)
"""A file that changed less than this before it was read, or later, travels once more: it might have been written again
within the same tick of its file system's clock (FAT: 2 s, SFTP: 1 s), at the same length, and look as it did."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An entry of today and, if it may be carried, yesterday's member of the same name."""

    entry: Entry
    carried: Member | None


def pair(today: Iterable[Entry], yesterday: Iterable[Member], *, settled_ns: int) -> Iterator[Pair]:
    """Walk both side by side. Memory does not grow with either.

    What changed after ``settled_ns`` (since 1970) is never carried: see ``SETTLED_AFTER``.
    """
    members = iter(yesterday)
    member = next(members, None)
    for entry in today:
        place = walk_order(entry.path)
        while member is not None and walk_order(member.entry.path) < place:
            member = next(members, None)
        carried = member is not None and unchanged(entry, member) and entry.mtime_ns < settled_ns
        yield Pair(entry, member if carried else None)


def unchanged(entry: Entry, member: Member) -> bool:
    """Whether yesterday's bytes are today's, as far as the source can tell without reading them."""
    if entry.kind is not EntryKind.FILE or not member.part or member.state:
        return False
    return entry == member.entry


def sift(pairs: Iterable[Pair]) -> tuple[Counter[int], Listing]:
    """Bytes that are still wanted, by the number of the part that holds them; and the files that no part holds."""
    living: Counter[int] = Counter()

    def new_files() -> Iterator[Entry]:
        for each in pairs:
            if each.carried is not None:
                living[each.carried.part] += weight(each.carried.length)
            elif each.entry.kind is EntryKind.FILE:
                yield each.entry

    return living, Listing(new_files())


def kept_parts(alive: Mapping[int, int], plain_bytes: Mapping[int, int]) -> frozenset[int]:
    """Parts worth referencing. ``plain_bytes`` is how much each part holds, framing included."""
    return frozenset(
        number for number, wanted in alive.items() if wanted * 100 >= plain_bytes[number] * LIVING_PERCENT
    )


def weight(length: int) -> int:
    """Bytes a file takes in a part: its content in blocks, and a header."""
    return BLOCK + -(-length // BLOCK) * BLOCK


def travelling(pairs: Iterable[Pair], kept: frozenset[int]) -> Iterator[Entry]:
    """Files that must be packed, in walk order."""
    for each in pairs:
        if each.entry.kind is EntryKind.FILE and (each.carried is None or each.carried.part not in kept):
            yield each.entry


def cut_parts(
    entries: Iterable[Entry], *, size: int = PART, count: int = MEMBERS_PER_PART
) -> Iterator[tuple[Entry, ...]]:
    """The files of one part after another: neighbours stay together, so that a directory is in few parts."""
    gathered: list[Entry] = []
    held = 0
    for entry in entries:
        needed = weight(entry.size)
        if gathered and (held + needed > size or len(gathered) == count):
            yield tuple(gathered)
            gathered, held = [], 0
        gathered.append(entry)
        held += needed
    if gathered:
        yield tuple(gathered)

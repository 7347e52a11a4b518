"""Which files travel and which stay where yesterday's backup put them: full backups at the price of the changes.

A file whose size, mtime, mode and etag are as they were is *carried*: the new backup names the part that holds it. A
part that has become too empty is left behind, and what still lives in it travels again; so a change touches few parts,
and no part is kept for ever for one last file. Pure; lines of entries and members come sorted in ``walk_order``.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from lifeboat.model.listing import LinePacker, PackedLines
from lifeboat.model.names import name_bytes
from lifeboat.model.tree import EntryKind, Told, is_same_file, walk_order

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


class Pair(NamedTuple):
    """The line of an entry of today, what it says, and, if it may be carried, what yesterday's line of it says."""

    line: str
    told: Told
    carried: Told | None


@dataclass(frozen=True)
class FilePack:
    """The files of one part: ``lines`` are their entries, ``weight`` the bytes they will take in it."""

    lines: PackedLines
    weight: int

    def __len__(self) -> int:
        return self.lines.count


def pair(today: Iterable[str], yesterday: Iterable[str], *, settled_ns: int) -> Iterator[Pair]:
    """Walk the lines of both side by side. Memory does not grow with either.

    Only a file that looks as it did is carried, as far as the source can tell without reading it. What changed after
    ``settled_ns`` (since 1970) never is, see ``SETTLED_AFTER``, nor what changed while yesterday's backup read it.
    """
    members = iter(yesterday)
    member = next(members, None)
    for line in today:
        if member is None or not is_same_file(line, member):
            told: Told = orjson.loads(line)
            place = _place(told)
            while member is not None and _place(orjson.loads(member)) < place:
                member = next(members, None)
            if member is None or not is_same_file(line, member):
                yield Pair(line, told, None)
                continue
        told = orjson.loads(member)
        may_be_carried = told["mtime_ns"] < settled_ns and not told.get("state")
        yield Pair(line, told, told if may_be_carried else None)
        member = next(members, None)


def _place(told: Told) -> bytes:
    return walk_order(name_bytes(told["path"]))


def travelling(
    pairs: Iterable[Pair], living: Counter[int], given_up: Set[int] = frozenset()
) -> Iterator[Pair]:
    """The files that no part holds but those ``given_up``, in walk order.

    ``living`` is told of the others: bytes that are still wanted, by the number of the part that holds them.
    """
    for each in pairs:
        if each.carried is not None and each.carried["part"] not in given_up:
            living[each.carried["part"]] += weight(each.carried["length"])
        elif each.told["kind"] == EntryKind.FILE:
            yield each


def kept_parts(alive: Mapping[int, int], plain_bytes: Mapping[int, int]) -> frozenset[int]:
    """Parts worth referencing. ``plain_bytes`` is how much each part holds, framing included."""
    return frozenset(
        number for number, wanted in alive.items() if wanted * 100 >= plain_bytes[number] * LIVING_PERCENT
    )


def weight(length: int) -> int:
    """Bytes a file takes in a part: its content in blocks, and a header."""
    return BLOCK + -(-length // BLOCK) * BLOCK


def cut_parts(
    files: Iterable[Pair], *, size: int = PART, count: int = MEMBERS_PER_PART
) -> Iterator[FilePack]:
    """The files of one part after another: neighbours stay together, so that a directory is in few parts."""
    packer = LinePacker()
    held = 0
    for each in files:
        needed = weight(each.told["size"])
        if packer.count and (held + needed > size or packer.count == count):
            yield FilePack(packer.packed(), held)
            packer, held = LinePacker(), 0
        packer.add(each.line)
        held += needed
    if packer.count:
        yield FilePack(packer.packed(), held)

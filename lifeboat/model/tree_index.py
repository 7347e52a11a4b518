"""The index of a backed-up tree: a header, then one line per member, sorted in ``walk_order``.

Lines, because a tree may have a million files: it is written, read and compared with yesterday's without ever being
in memory as objects. Format: ``docs/format.md``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from lifeboat.model.index import IndexFinding, IndexPart
from lifeboat.model.listing import packed_in_pieces, unpacked_lines
from lifeboat.model.manifest import FORMAT, Slug, Value
from lifeboat.model.tree import Member


class TreeIndexHeader(Value):
    """The first line. ``parts`` are all that the members name, those of older backups too; sizes in bytes."""

    format: int = FORMAT
    kind: Literal["tree"] = "tree"
    backup_id: str
    environment: Slug
    service: Slug
    source: Slug
    data_timestamp: dt.datetime
    consistency: Literal["snapshot", "crash", "live"]
    parts: tuple[IndexPart, ...]
    files: int
    directories: int
    links: int
    specials_skipped: int
    findings: tuple[IndexFinding, ...] = ()

    def part(self, number: int) -> IndexPart:
        return next(part for part in self.parts if part.number == number)


class TreeIndex:
    """An index as it was read: the header, and members as often as they are asked for."""

    def __init__(self, packed: bytes) -> None:
        """``packed`` is what age gave: a zstd frame. Raises ``ValueError`` when it is none of a tree."""
        self._packed = packed
        self.header = TreeIndexHeader.model_validate_json(next(unpacked_lines(packed), ""))

    def members(self) -> Iterator[Member]:
        """Every member in walk order, in constant memory."""
        return (Member.from_line(line) for line in self.lines())

    def lines(self) -> Iterator[str]:
        """The members as the index has them."""
        lines = unpacked_lines(self._packed)
        next(lines)
        return lines


def pack_index(header: TreeIndexHeader, lines: Iterable[str]) -> Iterator[bytes]:
    """The zstd frame of an index, in pieces; ``lines`` are the members'."""
    return packed_in_pieces(chain([header.model_dump_json()], lines), level=3)

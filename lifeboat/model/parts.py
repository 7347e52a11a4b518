"""Which parts a backup of a PostgreSQL server has, and in which order and batches they are taken.

Pure: sizes in, plan out. A large table is a part of its own and goes first; small tables of a database share
a part. Batches keep the task runs of a source below 200 whatever its size (each batch costs four).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

LARGE_TABLE = 32 * 2**20
SHARED_PART = 64 * 2**20
TABLES_PER_PART = 500
BATCH = 128 * 2**20
PARTS_PER_BATCH = 24
BATCHES = 40
SMALL_PART = 2**20
"""What a schema, rest or globals part is reckoned as, in bytes; they cost a process each, not data."""


class PartKind(StrEnum):
    GLOBALS = "globals"
    SCHEMA = "schema"
    REST = "rest"
    TABLES = "tables"
    FILES = "files"


@dataclass(frozen=True)
class TableSize:
    """A table by its position in the database's inventory; ``size`` in bytes on the server."""

    position: int
    size: int


@dataclass(frozen=True)
class PlannedPart:
    """``tables`` are positions in the inventory of ``database``; both are empty for globals."""

    number: int
    kind: PartKind
    database: str
    tables: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Batch:
    """The parts that one Prefect task run carries."""

    number: int
    parts: tuple[PlannedPart, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def label(self) -> str:
        """``shop, fleet (7 parts)``: databases only, at most two of them."""
        names = list(dict.fromkeys(part.database for part in self.parts if part.database)) or ["roles"]
        shown = ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")
        return f"{shown} ({len(self.parts)} {'part' if len(self.parts) == 1 else 'parts'})"


Lane = tuple[Batch, ...]


def plan_parts(
    databases: Mapping[str, Sequence[TableSize]], *, first: int = 1, with_globals: bool = True
) -> list[PlannedPart]:
    """Every part of these databases, numbered from ``first``."""
    planned: list[tuple[PartKind, str, tuple[int, ...], int]] = []
    if with_globals:
        planned.append((PartKind.GLOBALS, "", (), SMALL_PART))
    for name, tables in databases.items():
        planned += [(PartKind.SCHEMA, name, (), SMALL_PART), (PartKind.REST, name, (), SMALL_PART)]
        planned += [(PartKind.TABLES, name, group, size) for group, size in _group(tables)]
    return [PlannedPart(first + n, *part) for n, part in enumerate(planned)]


def _group(tables: Sequence[TableSize]) -> list[tuple[tuple[int, ...], int]]:
    groups: list[tuple[tuple[int, ...], int]] = []
    shared: list[TableSize] = []
    for table in tables:
        if table.size >= LARGE_TABLE:
            groups.append(((table.position,), table.size))
            continue
        if len(shared) == TABLES_PER_PART or sum(t.size for t in shared) + table.size > SHARED_PART:
            groups.append(_together(shared))
            shared = []
        shared.append(table)
    return groups + ([_together(shared)] if shared else [])


def _together(tables: Sequence[TableSize]) -> tuple[tuple[int, ...], int]:
    return tuple(table.position for table in tables), sum(table.size for table in tables)


def plan_lanes(parts: Sequence[PlannedPart], *, streams: int, batches: int = BATCHES) -> list[Lane]:
    """Share the parts out over ``streams`` lanes of about equal size, largest first, cut into batches.

    Batches of different lanes run side by side, those of one lane one after the other.
    """
    loads = [[0, number] for number in range(min(streams, len(parts)))]
    lanes: list[list[PlannedPart]] = [[] for _ in loads]
    for part in sorted(parts, key=lambda part: (-part.size, part.number)):
        lightest = min(loads)
        lightest[0] += max(part.size, 1)  # an empty part takes its turn, too
        lanes[lightest[1]].append(part)
    size, count = BATCH, PARTS_PER_BATCH
    while sum(len(_cut(lane, size, count)) for lane in lanes) > max(batches, len(lanes)):
        size, count = size * 2, count * 2
    numbers = iter(range(1, len(parts) + 1))
    return [tuple(Batch(next(numbers), batch) for batch in _cut(lane, size, count)) for lane in lanes]


def _cut(lane: Sequence[PlannedPart], size: int, count: int) -> list[tuple[PlannedPart, ...]]:
    batches: list[list[PlannedPart]] = []
    for part in lane:
        full = batches and (len(batches[-1]) >= count or sum(p.size for p in batches[-1]) + part.size > size)
        if not batches or full:
            batches.append([])
        batches[-1].append(part)
    return [tuple(batch) for batch in batches]

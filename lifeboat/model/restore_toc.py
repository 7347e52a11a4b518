"""Indexes and constraints of a database, cut up so that each is made as soon as the rows it needs are there.

``pg_restore`` lists what is in an archive, with what each entry needs. An index or a constraint of one table needs that
table's rows only, a foreign key those of two, so they can be made while other tables are still being loaded; what else
ties tables to each other, or runs when rows change, comes last. Pure: the text of a list in, lists for ``--use-list``
out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lifeboat.model.index import Table

_LINE = re.compile(r"(?P<number>\d+); (?P<catalog>\d+) \d+ (?P<told>.*)", re.DOTALL)
_NEEDS = ";\tdepends on: "
# pg_class, pg_constraint: by them a table called ATTACH is told from the attaching of a table.
_RELATION, _CONSTRAINT = "1259", "2606"
_TIES = (
    "FK CONSTRAINT",
    "TRIGGER",
    "EVENT TRIGGER",
    "MATERIALIZED VIEW DATA",
    "PUBLICATION",
    "SUBSCRIPTION",
)
"""What ties a table to others: left out when only some tables are restored."""


@dataclass(frozen=True)
class TocEntry:
    """``line`` is what ``--use-list`` takes, ``told`` kind, schema, name and owner in it; ``needs`` are numbers."""

    number: int
    catalog: str
    told: str
    line: str
    needs: frozenset[int]

    def is_a(self, kind: str, catalog: str) -> bool:
        return self.catalog == catalog and self.told.startswith(f"{kind} ")

    @property
    def is_tie(self) -> bool:
        return any(self.told.startswith(f"{tie} ") for tie in _TIES)


@dataclass(frozen=True)
class PostData:
    """Lines for ``--use-list``: before any rows, after those of a part, after those of several parts (with what comes
    after each of them), and when all rows are in."""

    at_once: tuple[str, ...]
    after_part: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    after_parts: Mapping[frozenset[int], tuple[str, ...]] = field(default_factory=dict)
    last: tuple[str, ...] = ()

    @property
    def all_in_order(self) -> tuple[str, ...]:
        """For a database whose rows are all in."""
        early = (line for lines in self.after_part.values() for line in lines)
        ties = (line for lines in self.after_parts.values() for line in lines)
        return (*self.at_once, *early, *ties, *self.last)


def parse_toc(text: str) -> list[TocEntry]:
    """The entries of ``pg_restore --list --verbose``, in its order."""
    entries: list[TocEntry] = []
    for line in text.split("\n"):
        if match := _LINE.fullmatch(line):
            entries.append(TocEntry(int(match["number"]), match["catalog"], match["told"], line, frozenset()))
        elif line.startswith(_NEEDS) and entries:
            needs = frozenset(map(int, line.removeprefix(_NEEDS).split()))
            last = entries[-1]
            entries[-1] = TocEntry(last.number, last.catalog, last.told, last.line, needs)
    return entries


def plan_post_data(
    everything: Iterable[TocEntry],
    post_data: Iterable[TocEntry],
    tables: Iterable[Table],
    *,
    partial: bool = False,
    present: Collection[str] = (),
) -> PostData:
    """When each entry of ``post_data`` can be made; ``everything`` are all entries of the same archive.

    ``tables`` are those that are loaded; ``partial`` leaves out what ties tables to others, and what is said about it.
    ``present`` are objects that an earlier attempt made, as ``INDEX schema name``: they are left out, too.
    """
    entries, everything, tables = list(post_data), list(everything), list(tables)
    owners = _owners(everything, tables)
    part_of = _parts_of_tables(everything, tables)
    numbers = {entry.number for entry in entries}
    early: dict[int, frozenset[int]] = {}
    dropped: set[int] = set()
    last: list[str] = []
    grouped: dict[frozenset[int], list[str]] = {}
    for entry in entries:
        if partial and (entry.is_tie or entry.needs & dropped):
            dropped.add(entry.number)
            continue
        parts = _parts_needed(entry, part_of, early, numbers)
        if parts is not None:
            early[entry.number] = parts
        if not _is_present(entry, present, owners):
            (last if parts is None else grouped.setdefault(parts - {_NO_PART}, [])).append(entry.line)
    lines = {parts: tuple(lines) for parts, lines in grouped.items()}
    return PostData(
        at_once=lines.pop(frozenset(), ()),
        after_part={part: lines[parts] for parts in lines if len(parts) == 1 for part in parts},
        after_parts={parts: lines[parts] for parts in lines if len(parts) > 1},
        last=tuple(last),
    )


def in_loading_order(
    sizes: Mapping[int, int], after_parts: Mapping[frozenset[int], Sequence[str]]
) -> list[int]:
    """Parts by number, the longest work first: a part's own bytes, and those that its foreign keys go through. So the
    keys are made while other parts are loaded, not alone at the end."""
    work = dict(sizes)
    for parts in after_parts:
        for part in parts:
            work[part] += sum(sizes[other] for other in parts)
    return sorted(work, key=lambda part: (-work[part], part))


_NO_PART = 0
"""Of a table without rows of its own: a partitioned one, or one that is not restored."""
_UNCLEAR = -1


def _parts_needed(
    entry: TocEntry,
    part_of: Mapping[int, int],
    early: Mapping[int, frozenset[int]],
    post_data: Collection[int],
) -> frozenset[int] | None:
    """The parts whose rows the entry waits for; None if it must wait for all."""
    of_one_table = entry.is_a("INDEX", _RELATION) or entry.is_a("CONSTRAINT", _CONSTRAINT)
    if not of_one_table and not entry.is_a("FK CONSTRAINT", _CONSTRAINT):
        return None
    needed: set[int] = set()
    for number in entry.needs:
        if number in part_of:
            needed.add(part_of[number])
        elif number in early:
            needed |= early[number]
        elif number in post_data:
            return None
    if not needed or _UNCLEAR in needed:
        return None
    # A foreign key of a table without rows of its own looks at those of its partitions.
    unclear = len(needed - {_NO_PART}) > 1 if of_one_table else _NO_PART in needed
    return None if unclear else frozenset(needed)


def _parts_of_tables(entries: Iterable[TocEntry], tables: Iterable[Table]) -> dict[int, int]:
    """The part of each table entry by its number. A list writes names without quotes: ``a`` ``b c`` and ``a b`` ``c``
    look alike, and neither is believed."""
    found = list(tables)
    labels = Counter(_listed(f"{table.schema_name} {table.name}") for table in found)
    parts = {_listed(f"{table.schema_name} {table.name}"): table.part for table in found}
    part_of = {}
    for entry in entries:
        if entry.is_a("TABLE", _RELATION):
            matches = [text for text in _beginnings(entry.told.removeprefix("TABLE ")) if text in parts]
            clear = len(matches) == 1 and labels[matches[0]] == 1
            part_of[entry.number] = parts[matches[0]] if clear else _UNCLEAR if matches else _NO_PART
    return part_of


def _is_present(entry: TocEntry, present: Collection[str], owners: Collection[str]) -> bool:
    """Whether what comes before the owner is there. ``INDEX public a`` is not ``INDEX public a b``: what follows a name
    must be an owner."""
    return bool(present) and any(
        text in present and entry.told[len(text) + 1 :] in owners for text in _beginnings(entry.told)
    )


def _owners(entries: Iterable[TocEntry], tables: Iterable[Table]) -> set[str]:
    """Who owns anything, as a list shows it: what follows a table's whole name, and any last word."""
    labels = {_listed(f"TABLE {table.schema_name} {table.name}") for table in tables}
    owners: set[str] = set()
    for entry in entries:
        owners.add(entry.told.rpartition(" ")[2])
        owners.update(entry.told[len(text) + 1 :] for text in _beginnings(entry.told) if text in labels)
    return owners


def _beginnings(told: str) -> Iterator[str]:
    """What comes before each space: the owner at the end may be of several words, too."""
    return (told[: match.start()] for match in re.finditer(" ", told))


def _listed(name: str) -> str:
    """A name as a list shows it: on one line."""
    return re.sub(r"[\r\n]", " ", name)

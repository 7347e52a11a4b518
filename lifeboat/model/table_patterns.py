"""Which tables of a backup are meant by a name or a pattern.

A pattern is ``schema.table`` or ``database.schema.table``, each of them a glob: ``*``, ``?``, ``[a-z]`` and ``[!a-z]``
as in ``fnmatch``, case-sensitive. No glob reaches over the dot between two names, so ``public.*`` is the schema
``public`` of any database and never a database of that name. A table may be called anything: a pattern that is the
exact name of a table means that table and nothing else, and a dot inside a name is read as such when it can be
(``[.]`` says that it must).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lifeboat.model.index import Database, Table

_Named = tuple[Database, Table]


@dataclass(frozen=True)
class ChosenTables:
    """``tables`` stand in the order of the index, each once.

    ``unmatched`` are patterns that mean no table; ``ambiguous`` are exact names of several tables of one database,
    as ``a.b.c`` is of table ``c`` in schema ``a.b`` and of table ``b.c`` in schema ``a``.
    """

    tables: tuple[_Named, ...]
    unmatched: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()


def choose_tables(databases: Sequence[Database], patterns: Sequence[str]) -> ChosenTables:
    """Every table that one of the patterns means; every table at all when there is no pattern."""
    every = [(database, table) for database in databases for table in database.tables]
    if not patterns:
        return ChosenTables(tuple(every))
    found: set[int] = set()
    unmatched, ambiguous = [], []
    for pattern in dict.fromkeys(patterns):
        exact = [place for place, named in enumerate(every) if pattern in _labels(named)]
        if max(Counter(every[place][0].name for place in exact).values(), default=0) > 1:
            ambiguous.append(pattern)
        meant = exact or _matching(every, pattern)
        if not meant:
            unmatched.append(pattern)
        found.update(meant)
    return ChosenTables(tuple(every[place] for place in sorted(found)), tuple(unmatched), tuple(ambiguous))


def _labels(named: _Named) -> tuple[str, str]:
    database, table = named
    return table.label, f"{database.name}.{table.label}"


def _matching(every: Sequence[_Named], pattern: str) -> list[int]:
    readings = _readings(pattern)
    return [
        place
        for place, (database, table) in enumerate(every)
        if any(
            fnmatchcase(table.name, name)
            and fnmatchcase(table.schema_name, schema)
            and fnmatchcase(database.name, within)
            for within, schema, name in readings
        )
    ]


def _readings(pattern: str) -> list[tuple[str, str, str]]:
    """Globs for database, schema and table: one triple for each way to read the dots of the pattern."""
    pieces = pattern.split(".")

    def joined(begin: int, end: int) -> str:
        return ".".join(pieces[begin:end])

    last = len(pieces)
    cuts = range(1, last)
    return [("*", joined(0, cut), joined(cut, last)) for cut in cuts] + [
        (joined(0, first), joined(first, second), joined(second, last))
        for first, second in itertools.combinations(cuts, 2)
    ]

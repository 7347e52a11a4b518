"""Tables that are what they were in the newest backup: their part is referred to, and the new one is dropped.

Whether anything changed shows only after a table was read to its end, so this saves what travels and what is stored,
not the reading. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lifeboat.model.index import Index, IndexPart, Table

_Content = frozenset[tuple[str, str, tuple[str, ...], int, str]]


@dataclass(frozen=True)
class CarriedTables:
    """A part of an older backup, and all tables in it as that backup's index has them."""

    part: IndexPart
    tables: tuple[Table, ...]


class Yesterday:
    """The table parts of the newest good backup, by what is in them; of no backup, nothing is found."""

    def __init__(self, index: Index | None = None) -> None:
        self._found: dict[tuple[str, _Content], CarriedTables] = {}
        for database in index.databases if index else ():
            by_part: dict[int, list[Table]] = {}
            for table in database.tables:
                by_part.setdefault(table.part, []).append(table)
            for number, tables in by_part.items():
                assert index is not None
                carried = CarriedTables(index.part(number), tuple(tables))
                self._found[database.name, _content(tables)] = carried

    def find(self, database: str, tables: Iterable[Table]) -> CarriedTables | None:
        """The part that holds exactly these tables of the database, with the same columns, rows and digests."""
        return self._found.get((database, _content(tables)))


def _content(tables: Iterable[Table]) -> _Content:
    return frozenset(
        (table.schema_name, table.name, table.columns, table.rows, table.sha256) for table in tables
    )

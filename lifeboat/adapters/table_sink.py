"""Tables of a part into a database, inside the loading child: all of them in one transaction, or none."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from lifeboat.errors import ChecksumMismatch, RestoreFailed


@contextlib.contextmanager
def tables_of(job: dict[str, Any]) -> Iterator[Tables]:
    """The tables of a loading job. What the server says no to is ``RestoreFailed``."""
    try:
        # Closed, never rolled back: in the middle of a COPY, psycopg's rollback would wait for the server for ever.
        with contextlib.closing(_connected(job["connection"])) as connection:
            yield Tables(connection, job["tables"], job["encoding"])
    except psycopg.Error as error:
        raise RestoreFailed(f"{job['name']}: {_told(error)}") from None


class Tables:
    """Cuts a part's plaintext into its tables and copies the wanted ones, all in one transaction."""

    def __init__(
        self, connection: psycopg.Connection[Any], tables: list[dict[str, Any]], encoding: str
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        # An empty table has the offset of the one after it, and goes first.
        self._tables = sorted(tables, key=lambda table: (int(table["offset"]), int(table["length"])))
        self._encoding = sql.Literal(encoding)
        self._next = 0
        self._position = 0
        self._copy: psycopg.Copy | None = None
        self._stack = contextlib.ExitStack()

    def take(self, data: memoryview) -> None:
        while data and self._next < len(self._tables):
            table = self._tables[self._next]
            if self._position < table["offset"]:
                data = self._advance(data, table["offset"] - self._position)
                continue
            if self._copy is None:
                self._open(table)
            left = table["offset"] + table["length"] - self._position
            piece = data[:left]
            self._digest.update(piece)
            assert self._copy is not None
            self._copy.write(piece)
            data = self._advance(data, len(piece))
            if len(piece) == left:
                self._close(table)

    def _advance(self, data: memoryview, count: int) -> memoryview:
        step = min(count, len(data))
        self._position += step
        return data[step:]

    def _open(self, table: dict[str, Any]) -> None:
        target = sql.Identifier(table["schema_name"], table["name"])
        columns = (
            sql.SQL("({})").format(sql.SQL(",").join(map(sql.Identifier, table["columns"])))
            if table["columns"]
            else sql.SQL("")
        )
        # Truncated in the same transaction, the rows can be written frozen and, with wal_level=minimal, without WAL.
        self._cursor.execute(sql.SQL("TRUNCATE ONLY {}").format(target))
        statement = sql.SQL("COPY {} {} FROM STDIN (FREEZE, ENCODING {})").format(
            target, columns, self._encoding
        )
        self._digest = hashlib.sha256()
        self._copy = self._stack.enter_context(self._cursor.copy(statement))

    def _close(self, table: dict[str, Any]) -> None:
        self._stack.close()
        self._copy = None
        self._next += 1
        label = f"{table['schema_name']}.{table['name']}"
        if self._digest.hexdigest() != table["sha256"]:
            raise ChecksumMismatch(f"Table {label} is not what was dumped: another SHA-256.")
        if self._cursor.rowcount != table["rows"]:
            raise RestoreFailed(
                f"Table {label}: the server took {self._cursor.rowcount} rows of {table['rows']}."
            )

    def finish(self) -> None:
        # Empty tables at the end of a part have no bytes that would bring them here.
        while self._next < len(self._tables) and self._tables[self._next]["length"] == 0:
            self._open(self._tables[self._next])
            self._close(self._tables[self._next])
        if self._next < len(self._tables):
            raise ChecksumMismatch(f"The part ends before table {self._tables[self._next]['name']}.")

    @staticmethod
    def refused(error: Exception) -> bool:
        """Whether the server took a value for none of its type: what is not ours may be in the part."""
        return isinstance(error, psycopg.DataError)

    def commit(self, schema: str, step: str) -> None:
        """Commit the rows, and with them a note in ``schema`` that the step is done."""
        self._connection.execute(
            sql.SQL("INSERT INTO {}.steps VALUES ({})").format(sql.Identifier(schema), sql.Literal(step))
        )
        self._connection.commit()


def _told(error: psycopg.Error) -> str:
    """The server's words without its context, which quotes rows; of errors about values not even those (F50)."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return f"the server refuses its rows: {type(error).__name__} ({error.sqlstate})"
    return " ".join((error.diag.message_primary or str(error)).split())


def _connected(settings: dict[str, Any]) -> psycopg.Connection[Any]:
    """A session for loading: no search path, no limit of time, no row security."""
    connection: psycopg.Connection[Any] = psycopg.connect(**settings, autocommit=False)
    connection.execute("SET search_path = ''")
    connection.execute("SET statement_timeout = 0")
    connection.execute("SET row_security = off")
    connection.commit()
    return connection

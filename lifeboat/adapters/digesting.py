"""Digests of tables as they are on a server now, computed in child processes."""

from __future__ import annotations

from dataclasses import dataclass

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.sealing import Copies
from lifeboat.errors import SourceError

_CHILD = "lifeboat.adapters.digest_child"


@dataclass(frozen=True)
class TableDigest:
    """``sha256`` of the COPY stream in its order; ``row_sum`` whatever the order, empty when it was not asked for."""

    rows: int
    sha256: str
    row_sum: str


def digest_tables(
    copies: Copies, crew: Crew, deadline: clock.Deadline, *, by_row: bool = False
) -> list[TableDigest]:
    """One digest for each table of ``copies``, in their order. Raises ``SourceError``, ``TimeLimitExceeded``."""
    job = copies.as_job() | {"by_row": by_row}
    with crew.hire(_CHILD, job, label=copies.label, deadline=deadline) as child:
        for event in child.events():
            if event["event"] == "failed":
                raise SourceError(event["message"])
            if event["event"] == "done":
                return [TableDigest(**table) for table in event["tables"]]
    raise SourceError(f"{copies.label}: the child ended without a result.")

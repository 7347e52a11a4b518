"""Child process: tables of a server → COPY streams → rows and digests. Nothing is kept.

Runs as ``python -m lifeboat.adapters.digest_child`` with jobs from ``digesting``; one event ``done`` for each.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

from lifeboat.adapters.child_side import Lifeline, tell
from lifeboat.adapters.copy_streams import copy_tables
from lifeboat.adapters.producers import EndOfStream, ProducerEndedBadly
from lifeboat.adapters.row_sum import RowSum

REPORT_EVERY = 8 * 2**20


def digests(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows, SHA-256 in stream order and, when the job asks for it, ``row_sum`` of each table."""
    found: list[dict[str, Any]] = []
    ordered, rows, told, total = hashlib.sha256(), RowSum(), 0, 0
    with contextlib.closing(copy_tables(job, [])) as pieces:
        for piece in pieces:
            if isinstance(piece, EndOfStream):
                row_sum = rows.hexdigest() if job["by_row"] else ""
                found.append({"rows": piece.rows, "sha256": ordered.hexdigest(), "row_sum": row_sum})
                ordered, rows = hashlib.sha256(), RowSum()
                continue
            assert isinstance(piece, bytes)  # COPY gives no frames, and discards nothing
            ordered.update(piece)
            if job["by_row"]:
                rows.add(piece)
            total += len(piece)
            if total - told >= REPORT_EVERY:
                told = total
                tell("progress", plain_bytes=total)
    return found


def main() -> None:
    """Job after job, until the run ends."""
    lifeline = Lifeline()
    while True:
        job = lifeline.job()
        try:
            found = digests(job)
        except ProducerEndedBadly as error:
            tell("failed", message=str(error))
        else:
            tell("done", tables=found)


if __name__ == "__main__":
    main()

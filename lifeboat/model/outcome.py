"""How a source fared in a run: what the run's report, its colour and the command line are made of."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from lifeboat.model.manifest import Totals, Value


class SourceOutcome(Value):
    """``failure`` is one sentence for people; sizes in bytes, ``seconds`` from snapshot to commit.

    ``sealed_bytes`` travelled to the store, ``referenced_bytes`` lie there in parts of older backups.
    """

    service: str
    source: str
    state: Literal["committed", "suspect", "skipped", "failed"]
    backup_id: str | None = None
    data_timestamp: dt.datetime | None = None
    databases: int = 0
    tables: int = 0
    rows: int = 0
    files: int = 0
    plain_bytes: int = 0
    sealed_bytes: int = 0
    referenced_bytes: int = 0
    seconds: float = 0.0
    pruned: int = 0
    freed: int = 0
    findings: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def red(self) -> bool:
        return self.state in ("failed", "suspect") or self.failure is not None


def holdings(totals: Totals | SourceOutcome) -> str:
    """``3 databases, 537 tables, 11,482,903 rows`` or ``7,000 files``."""
    counts = (
        (totals.databases, "database"),
        (totals.tables, "table"),
        (totals.rows, "row"),
        (totals.files, "file"),
    )
    return ", ".join(counted(count, noun) for count, noun in counts if count) or "nothing"


def counted(count: int, noun: str) -> str:
    """``1 table``, ``1,200 tables``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def human_bytes(count: float) -> str:
    """``1.4 GiB``: three digits, binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"

"""Is a backup too unlike its predecessors to be called good? (F9)

A suspect backup is committed, turns the run red, and never displaces a good one.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lifeboat.model.manifest import Totals

HISTORY = 7
"""How many good backups before this one are looked at."""


def doubts_about(
    totals: Totals, history: Sequence[Totals], *, minimum_tables: int, row_drop_percent: int
) -> tuple[str, ...]:
    """Sentences that say why the backup is suspect; empty when it is good.

    ``history`` are the totals of good backups, oldest first; only the last ``HISTORY`` count.
    """
    doubts = []
    if totals.tables < minimum_tables:
        doubts.append(f"{totals.tables} tables, expected at least {minimum_tables}")
    usual = median(past.rows for past in history[-HISTORY:]) if history else 0
    if usual and totals.rows < usual * (100 - row_drop_percent) / 100:
        drop = 100 - 100 * totals.rows / usual
        doubts.append(
            f"{totals.rows:,} rows, {drop:.0f} % fewer than the median of the last {len(history[-HISTORY:])} good "
            f"backups ({usual:,.0f}); the policy allows {row_drop_percent} %"
        )
    return tuple(doubts)

"""Is a backup too unlike its predecessors to be called good? (F9)

A suspect backup is committed, turns the run red, and never displaces a good one.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lifeboat.model.manifest import Totals
from lifeboat.model.policy_sources import SuspectRules

HISTORY = 7
"""How many good backups before this one are looked at."""


def doubts_about(totals: Totals, history: Sequence[Totals], rules: SuspectRules) -> tuple[str, ...]:
    """Sentences that say why the backup is suspect; empty when it is good.

    ``history`` are the totals of good backups, oldest first; only the last ``HISTORY`` count.
    """
    doubts = []
    if totals.tables < rules.minimum_tables:
        doubts.append(f"{totals.tables} tables, expected at least {rules.minimum_tables}")
    recent = history[-HISTORY:]
    for what, now, before in (
        ("rows", totals.rows, [past.rows for past in recent]),
        ("files", totals.files, [past.files for past in recent]),
    ):
        usual = median(before) if before else 0
        if usual and now < usual * (100 - rules.row_drop_percent) / 100:
            drop = 100 - 100 * now / usual
            doubts.append(
                f"{now:,} {what}, {drop:.0f} % fewer than the median of the last {len(recent)} good "
                f"backups ({usual:,.0f}); the policy allows {rules.row_drop_percent} %"
            )
    return tuple(doubts)

"""A drill's own page: the verdict first, then what it hangs on. For people who may see names; the record has none."""

from __future__ import annotations

from collections.abc import Sequence

from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.restore_estimate import spoken_time
from lifeboat.model.runbook_text import cell

SHOWN = 50
"""Differences that the page lists; all are counted."""
TREND = 12
"""Drills before this one that the page lists."""
_WIDTH = 40


def drill_page(
    record: DrillRecord,
    differences: Sequence[str],
    explanations: Sequence[str],
    past: Sequence[DrillRecord] = (),
) -> str:
    """Markdown. ``differences`` and ``explanations`` hold names; ``past`` are the drills before, oldest first."""
    lines = [
        f"# Drill of {record.environment}: {record.verdict.upper()}",
        f"`{record.drill_id}`, {record.started_at:%Y-%m-%d %H:%M} UTC, kind {record.drill_kind}",
        "",
        *(f"- **{cell(reason)}**" for reason in record.reasons),
        "",
        "| | objective | achieved |",
        "|---|---|---|",
        *_objectives(record),
        "",
        "| phase | how | time | |",
        "|---|---|--:|---|",
        *_phases(record),
        "",
        "| backup | data of (UTC) | compared | differences |",
        "|---|---|---|---|",
        *_comparisons(record),
        *_trend(past),
    ]
    told = [*explanations, *differences[:SHOWN]]
    if len(differences) > SHOWN:
        told.append(f"and {len(differences) - SHOWN:,} more differences")
    return "\n".join([*lines, "", *(f"- {cell(text)}" for text in told)])


def _objectives(record: DrillRecord) -> list[str]:
    rows = []
    if record.rto:
        rto = record.rto
        told = (
            f"{_time(rto.working_milliseconds)} of working time; {_time(rto.wall_milliseconds)} on the wall; "
            f"{_time(rto.technical_milliseconds)} the machines"
        )
        rows.append(f"| RTO | {_time(rto.objective_milliseconds)} | {told}: {rto.verdict} |")
    if record.rpo:
        rpo = record.rpo
        worst = f"; worst of 30 days {_time(rpo.worst.milliseconds)}" if rpo.worst else ""
        rows.append(
            f"| RPO | {_time(rpo.objective_milliseconds)} | {_time(rpo.achieved_milliseconds)}{worst}: {rpo.verdict} |"
        )
    return rows


def _phases(record: DrillRecord) -> list[str]:
    """With bars, one after the other, as a recovery would go: the longest of all is ``_WIDTH`` wide."""
    total = sum(phase.milliseconds or 0 for phase in record.phases) or 1
    rows, before = [], 0
    for phase in record.phases:
        time = phase.milliseconds or 0
        bar = "█" * max(1, round(time * _WIDTH / total)) if time else ""
        indent = "·" * round(before * _WIDTH / total)
        how = phase.basis if phase.basis == "measured" else f"{phase.basis} of {phase.owner}"
        rows.append(f"| {phase.name} | {cell(how)} | {_time(phase.milliseconds)} | `{indent}{bar}` |")
        before += time
    return rows


def _comparisons(record: DrillRecord) -> list[str]:
    compared = {each.backup_id: each for each in record.comparisons}
    rows = []
    for backup in record.backups:
        each = compared.get(backup.backup_id)
        what = each.told if each else "nothing"
        found = ", ".join(f"{one.count} × {one.code}" for one in each.differences) if each else ""
        rows.append(
            f"| {backup.backup_id} ({backup.choice}) | {backup.data_timestamp:%Y-%m-%d %H:%M:%S} | {what} | "
            f"{found or 'none'} |"
        )
    return rows


def _trend(past: Sequence[DrillRecord]) -> list[str]:
    if not past:
        return []
    rows = [
        f"| {each.started_at:%Y-%m-%d} | {each.drill_kind} | {each.verdict} | "
        f"{_time(each.rto.working_milliseconds if each.rto else None)} | "
        f"{_time(each.rpo.achieved_milliseconds if each.rpo else None)} |"
        for each in reversed(past[-TREND:])
    ]
    return ["", "| drills before | kind | verdict | RTO | RPO |", "|---|---|---|--:|--:|", *rows]


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "not measured"
    return spoken_time(milliseconds)

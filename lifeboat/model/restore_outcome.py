"""What a restore is going to do, and what became of it: one line per object, for people and machines alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from lifeboat.errors import RestoreRefused
from lifeboat.model.manifest import Value
from lifeboat.model.outcome import counted, human_bytes
from lifeboat.model.runbook_text import cell, code


class PlannedObject(Value):
    """One thing that will come back: a database, or the files of a tree.

    ``live``: what is there now is used by somebody, and is replaced or added to; such a plan wants an approval.
    ``fetch_bytes`` are sealed, ``plain_bytes`` what they hold.
    """

    source: str
    backup_id: str
    quality: str
    data_timestamp: dt.datetime
    what: str
    target: str
    holds: str
    fetch_bytes: int
    plain_bytes: int
    live: bool = False
    notes: tuple[str, ...] = ()


class RestoreOutcome(Value):
    """``state`` is ``failed`` when the object has no name of its own at the target; ``failure`` then says why."""

    source: str
    what: str
    target: str
    state: Literal["restored", "restored with findings", "failed"]
    rows: int = 0
    files: int = 0
    seconds: float = 0.0
    findings: tuple[str, ...] = ()
    failure: str | None = None


def approval_wanted(planned: Sequence[PlannedObject], environment: str, target_environment: str) -> str:
    """What must be typed before anything is done: the name of the one live target, else that of the environment.

    Empty when nothing live is touched and the data stays in its environment: then none is wanted.
    """
    live = [each.target for each in planned if each.live]
    if len(live) == 1:
        return live[0]
    return target_environment if live or target_environment != environment else ""


def refuse_other_approval(wanted: str, typed: str) -> None:
    """Raise ``RestoreRefused`` unless what was typed is what the plan asks for; nothing has been made then."""
    if wanted and typed != wanted:
        raise RestoreRefused(
            f"{typed!r} was typed to approve, and {wanted!r} was asked for.",
            hint="Nothing was restored or changed. Start the restore again.",
        )


def plan_markdown(
    planned: Sequence[PlannedObject],
    estimate: Sequence[str],
    *,
    environment: str,
    target_environment: str,
    approval: str,
) -> str:
    """The plan as a page of the UI. ``estimate`` is how long it will take: the whole, then each source."""
    total = human_bytes(sum(each.fetch_bytes for each in planned))
    into = "" if target_environment == environment else f" **into {target_environment}**"
    lines = [
        f"# Restore of {environment}{into}",
        f"{counted(len(planned), 'object')}, {total} to fetch. {cell(estimate[0])}",
        "",
        "| from | data of (UTC) | what | holds | to fetch | would become |",
        "|---|---|---|---|--:|---|",
        *(
            f"| {each.backup_id} ({each.quality}) | {each.data_timestamp:%Y-%m-%d %H:%M:%S} | {cell(each.what)} | "
            f"{cell(each.holds)} | {human_bytes(each.fetch_bytes)} | {cell(each.target)}"
            f"{' **(live)**' if each.live else ''} |"
            for each in planned
        ),
        "",
        *(f"- {cell(each.what)}: {cell(note)}" for each in planned for note in each.notes),
        *(f"- Time of {cell(basis)}." for basis in estimate[1:]),
        "- Erasures to replay: none are on record.",
    ]
    if approval:
        lines += ["", f"**To go on, type** {code(approval)}"]
    return "\n".join(lines)

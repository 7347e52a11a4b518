"""How much was lost: the RPO in wall time, from the data's own timestamp (clause P13, decision 5, reliability §6.3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.manifest import Value
from lifeboat.model.objectives import Judgement, Verdict, against
from lifeboat.model.phases import Instant, Milliseconds, milliseconds
from lifeboat.model.retention import CLOCK_TOLERANCE

_NONE: Final = dt.timedelta(0)


@dataclass(frozen=True)
class GoodBackup:
    """When the data of a good backup was frozen, and when the backup began to exist. Both aware."""

    data_timestamp: dt.datetime
    committed_at: dt.datetime


class WorstLoss(Value):
    """The most that a disaster would have lost in a period: just before the instant ``at``. ``since`` is when the
    period begins, or the first good backup of it when there was none before."""

    since: Instant
    until: Instant
    at: Instant
    milliseconds: Milliseconds


class AchievedRpo(Judgement):
    """``data_timestamp`` is of the oldest data that came back.
    ``worst`` is shown beside and decides nothing: it tells of past runs and not of this restore."""

    incident_at: Instant
    data_timestamp: Instant | None
    achieved_milliseconds: Milliseconds | None
    worst: WorstLoss | None

    def decisive_milliseconds(self) -> int | None:
        return self.achieved_milliseconds


def achieved_rpo(
    incident: dt.datetime, data_timestamp: dt.datetime, *, committed_at: dt.datetime, now: dt.datetime
) -> dt.timedelta:
    """What was lost: the time from the data's timestamp to the incident (decision 5).

    Raises ``CouldNotMeasure`` for an incident in the future, before the data, or before the backup was committed:
    then it would not have been there.
    """
    if incident > now:
        raise CouldNotMeasure(
            f"The incident, {_utc(incident)}, is in the future; it is {_utc(now)}.",
            hint="Give the time of the incident, with its offset from UTC.",
        )
    for what, when in (("its data is of", data_timestamp), ("it was committed at", committed_at)):
        if incident < when:
            raise CouldNotMeasure(
                f"The backup would not have been there at the incident, {_utc(incident)}: {what} {_utc(when)}.",
                hint="Take a backup from before the incident, or give a later time of it.",
            )
    return incident - data_timestamp


def rpo_now(backups: Iterable[GoodBackup], *, now: dt.datetime) -> dt.timedelta:
    """What would be lost if everything broke now. Raises ``CouldNotMeasure`` without any good backup.

    Backups dated in the future count for nothing (F35).
    """
    counted = _counted(backups, now)
    if not counted:
        raise CouldNotMeasure("There is no good backup.", hint="Take one: `lifeboat backup`.")
    return max(now - max(backup.data_timestamp for backup in counted), _NONE)


def worst_loss(backups: Iterable[GoodBackup], *, since: dt.datetime, now: dt.datetime) -> WorstLoss:
    """The most that would have been lost at any moment from ``since`` to ``now`` (reliability §6.3).

    The loss grows until the next backup is committed: the worst is the largest of the times from a backup's data to
    the commit of the one after it, or to now. The order of ``backups`` does not matter, and they must be all good
    ones of the period, the pruned ones too, else the answer is too large. Raises ``CouldNotMeasure`` without any.
    """
    newest: dt.datetime | None = None
    begin, losses = since, []
    for backup in _counted(backups, now):
        committed = min(backup.committed_at, now)
        if newest is None:
            begin = max(since, committed)
        elif committed > since:
            losses.append((committed - newest, committed))
        newest = max(newest or backup.data_timestamp, backup.data_timestamp)
    if newest is None:
        raise CouldNotMeasure("There is no good backup.", hint="Take one: `lifeboat backup`.")
    loss, at = max([*losses, (now - newest, now)], key=lambda each: each[0])
    return WorstLoss(since=begin, until=now, at=at, milliseconds=milliseconds(max(loss, _NONE)))


def judge_rpo(
    restored: Sequence[GoodBackup],
    *,
    incident: dt.datetime,
    now: dt.datetime,
    objective: dt.timedelta,
    worst: WorstLoss | None,
) -> AchievedRpo:
    """The verdict about what a restore brought back; ``restored`` is one entry per source, with the timestamp read
    from the restored data. The oldest data decides."""
    achieved: dt.timedelta | None = None
    verdict = Verdict.UNMEASURED
    reasons: tuple[str, ...] = ("nothing was restored whose age could be read",)
    try:
        losses = [
            achieved_rpo(incident, each.data_timestamp, committed_at=each.committed_at, now=now)
            for each in restored
        ]
    except CouldNotMeasure as error:
        losses, reasons = [], (error.message,)
    if losses:
        achieved = max(losses)
        verdict, reasons = against("lost data of", achieved, objective, "RPO")
    return AchievedRpo(
        verdict=verdict,
        reasons=reasons,
        objective_milliseconds=milliseconds(objective),
        incident_at=incident,
        data_timestamp=min((each.data_timestamp for each in restored), default=None),
        achieved_milliseconds=None if achieved is None else milliseconds(achieved),
        worst=worst,
    )


def _counted(backups: Iterable[GoodBackup], now: dt.datetime) -> list[GoodBackup]:
    """Those that are dated credibly, in the order in which they began to exist."""
    credible = [
        backup
        for backup in backups
        if backup.committed_at <= now + CLOCK_TOLERANCE
        and backup.data_timestamp <= min(now, backup.committed_at) + CLOCK_TOLERANCE
    ]
    return sorted(credible, key=lambda backup: backup.committed_at)


def _utc(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"

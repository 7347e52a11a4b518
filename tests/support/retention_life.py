"""The life of one source in a test: backups at local times, and prunes that apply their plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

from lifeboat.model.retention import BackupFacts, RetentionPlan, RetentionRules, Verdict, plan_retention

BERLIN = ZoneInfo("Europe/Berlin")
RULES = RetentionRules(daily_days=30, monthly_months=6, floor=7, deletion_cap=3)
MORNING, EVENING = dt.time(1, 15), dt.time(13, 15)

RunOutcome = Callable[[dt.date, dt.time], bool | None]
"""For a run's local day and time: True a good backup, False a suspect one, None no backup at all."""


def always_good(_day: dt.date, _time: dt.time) -> bool:
    return True


class Life:
    """``present`` is what lies on the store. Backup ids are local times, so that tables can be read."""

    def __init__(self, rules: RetentionRules = RULES) -> None:
        self.rules = rules
        self.present: list[BackupFacts] = []
        self.sequence = 0

    def back_up(
        self, day: dt.date, time: dt.time = MORNING, *, good: bool = True, legal_hold: bool = False
    ) -> BackupFacts:
        """A backup whose data are of this local time (``fold`` tells the two apart in the October night)."""
        self.sequence += 1
        berlin = dt.datetime.combine(day, time, BERLIN)
        instant = berlin.astimezone(dt.UTC)
        backup = BackupFacts(
            backup_id=berlin.isoformat(timespec="minutes"),
            sequence=self.sequence,
            data_timestamp=instant,
            committed_at=instant + dt.timedelta(minutes=40),
            day=day,
            good=good,
            size=1000,
            legal_hold=legal_hold,
        )
        self.present.append(backup)
        return backup

    def plan(self, today: dt.date, *, doubts: tuple[str, ...] = ()) -> RetentionPlan:
        """The plan of this evening, 23:00; nothing is applied."""
        now = dt.datetime.combine(today, dt.time(23), BERLIN).astimezone(dt.UTC)
        return plan_retention(self.present, self.rules, today=today, now=now, doubts=doubts)

    def prune(self, today: dt.date) -> RetentionPlan:
        plan = self.plan(today)
        self.present = [each.backup for each in plan.decisions if each.verdict is not Verdict.DELETE]
        return plan

    def live(
        self,
        first: dt.date,
        last: dt.date,
        outcome: RunOutcome = always_good,
        *,
        times: tuple[dt.time, ...] = (MORNING, EVENING),
    ) -> None:
        """Both runs and the prune of every day from ``first`` to ``last``, inclusive."""
        for day in days(first, last):
            self.run(day, outcome, times=times)
            self.prune(day)

    def run(
        self,
        day: dt.date,
        outcome: RunOutcome = always_good,
        *,
        times: tuple[dt.time, ...] = (MORNING, EVENING),
    ) -> None:
        """The runs of one day, without a prune."""
        for time in times:
            good = outcome(day, time)
            if good is not None:
                self.back_up(day, time, good=good)


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]

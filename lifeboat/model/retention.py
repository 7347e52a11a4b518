"""Retention: which backups of one source stay, which go, and why (clause S2, decisions 2, 3, 4 and 8).

Every rule *claims* the backups it keeps and says why. What nobody claims is due; what is due goes, oldest
first, as far as the deletion cap allows, and only if there is no doubt. ``docs/retention.md`` says it in
prose.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lifeboat.model.retention_rules import BackupFacts as BackupFacts
from lifeboat.model.retention_rules import Monthly, add_months, age_key, monthlies
from lifeboat.model.retention_rules import RetentionRules as RetentionRules

CLOCK_TOLERANCE = dt.timedelta(minutes=5)
"""A backup dated further ahead of the present than this is dated in the future (F35)."""


class Verdict(StrEnum):
    KEEP = "keep"
    DELETE = "delete"
    DEFER = "defer"
    """Due, but not in this prune: over the deletion cap, or pruning is refused."""


@dataclass(frozen=True)
class Decision:
    """What happens to one backup, for at least one reason."""

    backup: BackupFacts
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """Something the policy does not allow, or does not expect, and its clause."""

    code: str
    clause: str
    message: str


@dataclass(frozen=True)
class RetentionPlan:
    """A decision about every backup, newest first.

    With ``refusals`` (each says why, and what to do) nothing is deleted: all that is due is deferred.
    """

    decisions: tuple[Decision, ...]
    refusals: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def keep(self) -> tuple[Decision, ...]:
        return self._having(Verdict.KEEP)

    @property
    def delete(self) -> tuple[Decision, ...]:
        return self._having(Verdict.DELETE)

    @property
    def deferred(self) -> tuple[Decision, ...]:
        return self._having(Verdict.DEFER)

    def _having(self, verdict: Verdict) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.verdict is verdict)


def plan_retention(
    backups: Sequence[BackupFacts],
    rules: RetentionRules,
    *,
    today: dt.date,
    now: dt.datetime,
    doubts: Sequence[str] = (),
) -> RetentionPlan:
    """Decide about every backup of one source.

    ``now`` is aware; ``today`` is its date in the policy's time zone. Each of ``doubts`` is a reason of the
    caller's why nothing may be deleted (F39). The order of ``backups`` does not matter. Raises
    ``ValueError`` when a backup id appears twice, or when ``today`` cannot be the date of ``now`` anywhere.
    """
    _check(backups, today, now)
    survey = _Survey.of(backups, rules, today, now)
    refusals = (*doubts, *survey.refusals())
    claims = survey.claims()
    due = [backup for backup in survey.backups if backup.backup_id not in claims]
    may_go = 0 if refusals else rules.deletion_cap
    going = {backup.backup_id for backup in survey.in_deletion_order(due)[:may_go]}
    held_back = "pruning is refused" if refusals else f"over the cap of {_count(may_go, 'deletion')}"

    def decide(backup: BackupFacts) -> Decision:
        if backup.backup_id in claims:
            return Decision(backup, Verdict.KEEP, claims[backup.backup_id])
        if backup.backup_id in going:
            return Decision(backup, Verdict.DELETE, (survey.why_due(backup),))
        return Decision(backup, Verdict.DEFER, (survey.why_due(backup), held_back))

    decisions = tuple(decide(backup) for backup in survey.backups)
    return RetentionPlan(decisions, refusals, tuple(survey.findings(decisions)))


def plan_as_text(plan: RetentionPlan) -> str:
    """The plan as a table for terminals and logs, newest first, refusals and findings below it."""
    rows = [("day", "backup", "verdict", "reasons")]
    for decision in plan.decisions:
        backup = decision.backup
        rows.append((str(backup.day), backup.backup_id, decision.verdict.value, "; ".join(decision.reasons)))
    width = max(len(row[1]) for row in rows)
    lines = [f"{day:10}  {backup_id:{width}}  {verdict:7}  {why}" for day, backup_id, verdict, why in rows]
    lines += [f"refused: {refusal}" for refusal in plan.refusals]
    lines += [f"finding {finding.code} ({finding.clause}): {finding.message}" for finding in plan.findings]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Survey:
    """The backups sorted out once, for every rule to look at; all of them newest first."""

    rules: RetentionRules
    today: dt.date
    backups: tuple[BackupFacts, ...]
    ahead: tuple[BackupFacts, ...]
    """Dated in the future; they count for nothing and never expire others (F35)."""
    dailies: tuple[BackupFacts, ...]
    """The last good one of each day."""
    superseded: tuple[BackupFacts, ...]
    """The other good ones."""
    monthlies: tuple[Monthly, ...]

    @classmethod
    def of(
        cls, backups: Sequence[BackupFacts], rules: RetentionRules, today: dt.date, now: dt.datetime
    ) -> _Survey:
        newest_first = tuple(sorted(backups, key=age_key, reverse=True))
        latest = now + CLOCK_TOLERANCE
        ahead = tuple(b for b in newest_first if b.data_timestamp > latest or b.committed_at > latest)
        good = tuple(b for b in newest_first if b.good and b not in ahead)
        last_of_day: dict[dt.date, BackupFacts] = {}
        for backup in good:
            last_of_day.setdefault(backup.day, backup)
        return cls(
            rules=rules,
            today=today,
            backups=newest_first,
            ahead=ahead,
            dailies=tuple(b for b in good if last_of_day[b.day] is b),
            superseded=tuple(b for b in good if last_of_day[b.day] is not b),
            monthlies=tuple(monthlies(good, rules)),
        )

    @property
    def oldest_day(self) -> dt.date:
        """The oldest day whose daily still stays."""
        return self.today - dt.timedelta(days=self.rules.daily_days)

    @property
    def too_old(self) -> str:
        return f"older than {_count(self.rules.daily_days, 'day')}"

    @property
    def floor_reason(self) -> str:
        return f"safety floor of {self.rules.floor}"

    def refusals(self) -> Iterator[str]:
        """Why the backups themselves forbid every deletion (F35, F37)."""
        for backup in self.ahead:
            yield (
                f"{backup.backup_id} is dated in the future ({_instant(backup)}): compare the clocks of "
                f"source, worker and store, and settle what this backup is worth before anything is deleted"
            )
        present = [backup for backup in self.backups if backup not in self.ahead]
        # By the data and by the chain: a clock that was set back must not hide that the last run failed.
        newest = {max(present, key=age_key), max(present, key=lambda b: b.sequence)} if present else set()
        for backup in sorted(newest, key=age_key):
            if not backup.good:
                yield (
                    f"the newest backup, {backup.backup_id} of {backup.day}, is suspect or damaged: find out "
                    f"why and take a good one before anything older is deleted"
                )

    def claims(self) -> dict[str, tuple[str, ...]]:
        """The reasons for which backups stay, by backup id."""
        reasons: dict[str, tuple[str, ...]] = {}
        for backup, reason in self._rules():
            reasons[backup.backup_id] = (*reasons.get(backup.backup_id, ()), reason)
        # Dailies first: seven days to go back to are worth more than seven backups of four days.
        for backup in (*self.dailies, *self.superseded)[: self.rules.floor]:
            reasons.setdefault(backup.backup_id, (self.floor_reason,))
        return reasons

    def _rules(self) -> Iterator[tuple[BackupFacts, str]]:
        for backup in self.dailies:
            if backup.day >= self.oldest_day:
                yield backup, f"daily of {backup.day}"
        for backup in self.superseded:
            if backup.day >= self.today:
                yield backup, "the day is not over: all of today's stay"
        for monthly in self.monthlies:
            if monthly.until >= self.today:
                yield monthly.backup, f"{monthly} (kept until {monthly.until})"
        for backup in self.backups:
            if backup in self.ahead:
                yield backup, "dated in the future: counts for nothing"
            elif not backup.good and backup.day >= self.oldest_day:
                yield backup, "suspect: never displaces a good one, stays as evidence"
            if backup.legal_hold:
                yield backup, _LEGAL_HOLD

    def why_due(self, backup: BackupFacts) -> str:
        if backup.day >= self.oldest_day:
            return "superseded by a later backup of the same day"
        for monthly in self.monthlies:
            if monthly.backup is backup:
                return f"{monthly} (ended on {monthly.until})"
        return self.too_old if backup.good else f"suspect: {self.too_old}"

    def in_deletion_order(self, due: Sequence[BackupFacts]) -> list[BackupFacts]:
        """Oldest first, but a month's monthly after the others of its month.

        Were it gone before them, the next plan would take one of them for a stand-in.
        """
        chosen = {monthly.backup.backup_id for monthly in self.monthlies}

        def order(backup: BackupFacts) -> tuple[dt.date, bool, tuple[dt.datetime, int, str]]:
            return backup.day.replace(day=1), backup.backup_id in chosen, age_key(backup)

        return sorted(due, key=order)

    def findings(self, decisions: Sequence[Decision]) -> Iterator[Finding]:
        for monthly in self.monthlies:
            # The months of the 1st, not of the stand-in: past them, the true monthly may just have gone while
            # this one is still there for another reason, and nothing was ever missing.
            if monthly.stands_in and add_months(monthly.first, self.rules.monthly_months) >= self.today:
                yield Finding(
                    "monthly-stand-in",
                    "S2",
                    f"no good backup of {monthly.first}: {monthly.backup.backup_id} stands in, "
                    f"kept until {monthly.until}",
                )
        beyond = [decision for decision in decisions if decision.backup.day < self.oldest_day]
        for code, reason in (("floor-held", self.floor_reason), ("legal-hold", _LEGAL_HOLD)):
            if held := [decision for decision in beyond if decision.reasons == (reason,)]:
                yield Finding(
                    code, "S2", f"{_count(len(held), 'backup')} {self.too_old}, kept only for the {reason}"
                )
        if overdue := [decision for decision in beyond if decision.verdict is Verdict.DEFER]:
            yield Finding(
                "deletion-overdue",
                "S2",
                f"{_count(len(overdue), 'backup')} {self.too_old}, not deleted: {overdue[-1].reasons[-1]}",
            )


_LEGAL_HOLD = "legal hold"


def _check(backups: Sequence[BackupFacts], today: dt.date, now: dt.datetime) -> None:
    repeated = [name for name, count in Counter(b.backup_id for b in backups).items() if count > 1]
    if repeated:
        raise ValueError(f"backups named more than once: {', '.join(sorted(repeated))}")
    if abs(today - now.astimezone(dt.UTC).date()) > dt.timedelta(days=1):
        raise ValueError(f"today {today} is nowhere the date of {now}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _instant(backup: BackupFacts) -> str:
    return f"{max(backup.data_timestamp, backup.committed_at).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"

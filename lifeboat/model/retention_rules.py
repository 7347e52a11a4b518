"""What retention is told: the rules of the policy, the facts of each backup, and which one is a month's."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from lifeboat.model.manifest import Value


def _days(value: object) -> object:
    """``"30d"`` or ``"30 days"`` as 30; a number of days is left as it is."""
    if isinstance(value, int):
        return value
    match = re.fullmatch(r"([0-9]{1,6}) ?(?:d|days?)", value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"{value!r} is not a number of days; write it as '30d'")
    return int(match[1])


def _months(value: object) -> object:
    """``{"anchor": "1st", "keep": "6 months"}`` as 6; a number of months is left as it is."""
    if isinstance(value, int):
        return value
    if not isinstance(value, Mapping) or set(value) != {"anchor", "keep"}:
        raise ValueError("write it as {anchor: 1st, keep: 6 months}")
    if value["anchor"] != "1st":
        raise ValueError(f"anchor {value['anchor']!r} is unknown; the only one is '1st'")
    match = re.fullmatch(r"([0-9]{1,6}) months?", str(value["keep"]))
    if not match:
        raise ValueError(f"keep {value['keep']!r} is not a number of months; write it as '6 months'")
    return int(match[1])


class RetentionRules(Value):
    """How long the backups of a source stay. In the policy file::

        retention: {daily: 30d, monthly: {anchor: 1st, keep: 6 months}, floor: 7, deletion_cap: 3}

    Nothing has a default: a rule that is missing or misspelt must never decide what is deleted (F38).
    """

    model_config = ConfigDict(populate_by_name=True)

    daily_days: Annotated[int, BeforeValidator(_days), Field(alias="daily", ge=1, le=3650, strict=True)]
    """Dailies stay while their day is at most so many days ago; also the maximum (decision 8)."""
    monthly_months: Annotated[
        int, BeforeValidator(_months), Field(alias="monthly", ge=0, le=120, strict=True)
    ]
    """Monthlies stay until the same day so many calendar months later, inclusive; 0: there are none."""
    floor: Annotated[int, Field(ge=1, strict=True)]
    """Never fewer good backups than this."""
    deletion_cap: Annotated[int, Field(ge=1, strict=True)]
    """At most so many deletions in one prune of one source (F38)."""


@dataclass(frozen=True)
class BackupFacts:
    """What retention must know of one committed backup; all of it stands in the verified manifest.

    ``day`` is the manifest's, never recomputed. ``good`` is neither suspect nor damaged. ``size`` is the
    number of bytes freed if it goes.
    """

    backup_id: str
    sequence: int
    data_timestamp: dt.datetime
    committed_at: dt.datetime
    day: dt.date
    good: bool
    size: int
    legal_hold: bool = False


def age_key(backup: BackupFacts) -> tuple[dt.datetime, int, str]:
    """Sorts backups by the age of their data; total and the same on every machine."""
    return backup.data_timestamp, backup.sequence, backup.backup_id


@dataclass(frozen=True)
class Monthly:
    """The backup that stands for its month, and the last day it stays for that."""

    backup: BackupFacts
    until: dt.date

    @property
    def first(self) -> dt.date:
        """The 1st of its month."""
        return self.backup.day.replace(day=1)

    @property
    def stands_in(self) -> bool:
        return self.backup.day != self.first

    def __str__(self) -> str:
        return f"stands in for {self.first}" if self.stands_in else f"monthly of {_month_name(self.first)}"


def monthlies(good: Iterable[BackupFacts], rules: RetentionRules) -> list[Monthly]:
    """One per month, newest first: the last good backup of the 1st, else the first good one (decision 3).

    A stand-in's months count from its own day, not from the 1st: the later of the two, so that it too is
    kept *at least* as long as the policy asks.
    """
    if not rules.monthly_months:
        return []
    months: dict[dt.date, list[BackupFacts]] = defaultdict(list)
    for backup in sorted(good, key=age_key):
        months[backup.day.replace(day=1)].append(backup)
    chosen = []
    for first, members in sorted(months.items(), reverse=True):
        of_the_first = [backup for backup in members if backup.day == first]
        backup = of_the_first[-1] if of_the_first else members[0]
        chosen.append(Monthly(backup, until=add_months(backup.day, rules.monthly_months)))
    return chosen


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day so many calendar months later; the month's last where it has no such day (decision 4)."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return dt.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


# calendar.month_name follows the locale of the process.
_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October"]
_MONTHS += ["November", "December"]


def _month_name(first: dt.date) -> str:
    return f"{_MONTHS[first.month - 1]} {first.year}"

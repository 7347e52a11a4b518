"""Does restored data say what the policy's probes expect? Verdicts with words; what was not told is never met."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from lifeboat.model.objectives import Verdict
from lifeboat.model.policy_probes import ProbeRule
from lifeboat.model.status import spoken_age


@dataclass(frozen=True)
class ProbeResult:
    """``told`` is for the drill's own page: it holds what the query gave."""

    service: str
    source: str
    name: str
    verdict: Verdict
    told: str


Judged = tuple[Verdict, str]


def judge_value(rule: ProbeRule, value: object) -> Judged:
    """Against ``equals`` or the range. NULL is no value, and text no number."""
    if value is None:
        return Verdict.MISSED, "it gives NULL"
    if rule.equals is not None:
        same = value == rule.equals and isinstance(value, bool) == isinstance(rule.equals, bool)
        return (Verdict.MET if same else Verdict.MISSED), f"it gives {value!r}, expected is {rule.equals!r}"
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return Verdict.UNMEASURED, f"it gives {value!r}, which is no number"
    low = rule.at_least is None or value >= rule.at_least
    high = rule.at_most is None or value <= rule.at_most
    wanted = " and ".join(
        f"{word} {bound}"
        for word, bound in (("at least", rule.at_least), ("at most", rule.at_most))
        if bound is not None
    )
    return (Verdict.MET if low and high else Verdict.MISSED), f"it gives {value}, expected is {wanted}"


def judge_newest(rule: ProbeRule, value: object, data_timestamp: dt.datetime) -> Judged:
    """The newest business time against the moment of the backup's data. A time without zone is taken for UTC."""
    assert rule.newest_within is not None
    if value is None:
        return Verdict.MISSED, "there is no newest time: it gives NULL"
    if not isinstance(value, dt.datetime):
        return Verdict.UNMEASURED, f"it gives {value!r}, which is no time"
    newest = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    age = data_timestamp - newest
    told = f"the newest is of {newest.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    if age > rule.newest_within:
        return Verdict.MISSED, f"{told}, {spoken_age(age)} before the backup"
    return Verdict.MET, told


def judge_files(asked: int, missing: int, first: str) -> Judged:
    """Paths that rows name against the files that came back. None named at all proves nothing."""
    if not asked:
        return Verdict.UNMEASURED, "no row names a file"
    if missing:
        return Verdict.MISSED, f"{missing:,} of {asked:,} files are not there, {first} first"
    return Verdict.MET, f"all of {asked:,} files are there"

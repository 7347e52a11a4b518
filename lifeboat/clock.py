"""The only module that may ask the time; the linter holds the others to it.

Calendar instants are aware UTC datetimes. Durations come from the monotonic clock, so that a clock set
back by NTP never makes one negative (F35).
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field


def utc_now() -> dt.datetime:
    """The present instant, aware, in UTC."""
    return dt.datetime.now(tz=dt.UTC)


def monotonic() -> float:
    """Seconds on a clock that is never set; only differences mean anything, within one process."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


@dataclass
class Stopwatch:
    """Seconds since it was made."""

    started: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def milliseconds(self) -> int:
        return round(self.seconds() * 1000)


@dataclass(frozen=True)
class Deadline:
    """A point on the monotonic clock after which work is ended. ``name`` is the limit's in the policy, for whoever
    is told."""

    at: float
    limit: float
    name: str = "limits.source"

    @classmethod
    def after(cls, seconds: float, name: str = "limits.source") -> Deadline:
        return cls(time.monotonic() + seconds, seconds, name)

    def or_earlier(self, other: Deadline) -> Deadline:
        """Whichever of the two comes first."""
        return other if other.at < self.at else self

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        return time.monotonic() >= self.at

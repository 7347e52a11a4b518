"""The phases of a recovery, from the failure to the released service (reliability §6.2)."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lifeboat.model.extrapolation import Extrapolation
from lifeboat.model.manifest import Value
from lifeboat.model.policy_values import Text


def _in_utc(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(dt.UTC)


Instant = Annotated[dt.datetime, AfterValidator(_in_utc)]
"""An aware datetime, kept and written in UTC."""
Milliseconds = Annotated[int, Field(ge=0)]


def milliseconds(duration: dt.timedelta) -> int:
    """Whole milliseconds, rounded up: a record never flatters."""
    return -(-duration // dt.timedelta(milliseconds=1))


class PhaseName(StrEnum):
    """In the order in which they follow each other; each ends where the next begins."""

    DETECT = "detect"
    """From the failure until it is noticed. The RTO clock starts at its end (decision 6)."""
    DECIDE = "decide"
    PROVISION = "provision"
    """The machine, the server, the keys from custody."""
    FETCH = "fetch"
    """Find, transfer, check hashes."""
    RESTORE = "restore"
    """Decrypt and load, indexes too."""
    VERIFY = "verify"
    """Replay erasures, compare, probe."""
    RELEASE = "release"


COUNTED: Final = tuple(name for name in PhaseName if name is not PhaseName.DETECT)
"""What the RTO clock runs over."""
TECHNICAL: Final = (PhaseName.PROVISION, PhaseName.FETCH, PhaseName.RESTORE, PhaseName.VERIFY)
"""What machines do: a drill must time it, nobody may declare it."""


class Phase(Value):
    """One phase of one recovery.

    ``basis``: ``measured`` on a monotonic clock, failed attempts included; an ``allowance`` that ``owner`` (a role,
    not a person) declared; or ``extrapolated``, then the time is the upper bound, and ``sample_milliseconds`` what the
    sample took. A measured phase without a time did not come to its end.
    """

    name: PhaseName
    owner: Text
    basis: Literal["measured", "allowance", "extrapolated"]
    milliseconds: Milliseconds | None
    started_at: Instant | None = None
    sample_milliseconds: Milliseconds | None = None
    extrapolation: Extrapolation | None = None

    @property
    def measured_milliseconds(self) -> int | None:
        """What was really timed, be it of a sample only."""
        return self.milliseconds if self.basis == "measured" else self.sample_milliseconds

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.milliseconds is None and self.basis != "measured":
            raise ValueError(f"{self.name}: what is {self.basis} has a time")
        bound = self.extrapolation and self.extrapolation.bound_milliseconds
        extrapolated = self.basis == "extrapolated"
        if extrapolated != (bound is not None) or extrapolated != (self.sample_milliseconds is not None):
            raise ValueError(
                f"{self.name}: extrapolated goes with an extrapolation and a sample, and with nothing else"
            )
        if bound is not None and bound != self.milliseconds:
            raise ValueError(f"{self.name}: the time of an extrapolation is its upper bound")
        if self.basis == "allowance" and self.started_at is not None:
            raise ValueError(f"{self.name}: an allowance was never started")
        return self

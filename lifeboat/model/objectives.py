"""Verdicts about the objectives of a recovery. What could not be measured is ``unmeasured``: never green."""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import model_validator

from lifeboat.model.manifest import Value
from lifeboat.model.phases import Milliseconds
from lifeboat.model.policy_values import spoken_duration


class Verdict(StrEnum):
    """From the best to the worst."""

    MET = "met"
    UNMEASURED = "unmeasured"
    MISSED = "missed"

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The worst of them; with none at all nothing was measured."""
        found = set(verdicts)
        return next((each for each in reversed(cls) if each in found), cls.UNMEASURED)


class Judgement(Value):
    """A verdict that cannot contradict what it is about. ``reasons`` say why it is not ``met``."""

    verdict: Verdict
    reasons: tuple[str, ...]
    objective_milliseconds: Milliseconds

    @abstractmethod
    def decisive_milliseconds(self) -> int | None:
        """What the objective is compared with."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.verdict is Verdict.MET) == bool(self.reasons):
            raise ValueError("reasons go with every verdict but 'met'")
        took = self.decisive_milliseconds()
        if self.verdict is Verdict.MET and (took is None or took > self.objective_milliseconds):
            raise ValueError("'met' goes with a measured time within the objective")
        return self


def against(
    what: str, took: dt.timedelta, objective: dt.timedelta, name: str
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict about a measured time, with the reason for a miss; ``name`` is the objective's."""
    if took <= objective:
        return Verdict.MET, ()
    return Verdict.MISSED, (
        f"{what} {spoken_duration(took)}, {spoken_duration(took - objective)} more than the {name} of "
        f"{spoken_duration(objective)}",
    )

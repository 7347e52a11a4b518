"""The alarm self-test: backups that are known to be bad, and whether a drill caught each for the right reason (P7).

A drill that is green says something only as long as it turns red when it must.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lifeboat.model.manifest import Slug, Value
from lifeboat.model.objectives import Verdict
from lifeboat.model.phases import Instant
from lifeboat.model.runbook_text import cell

CONTROL = "unmodified"
"""The specimen that nothing was done to: a drill of it must be green."""


class AlarmResult(Value):
    """What a drill said about one specimen. ``expected`` is a piece of the reason that it must give."""

    fault: Slug
    done: str
    expected: str
    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Red, and for the right reason: a drill that fails on everything catches nothing."""
        return self.verdict is Verdict.MISSED and any(self.expected in reason for reason in self.reasons)


class AlarmTest(Value):
    """One self-test of one host. ``control`` is the drill of the specimen before anything was done to it."""

    started_at: Instant
    ended_at: Instant
    postgresql: Annotated[int, Field(ge=1)]
    control: AlarmResult
    results: Annotated[tuple[AlarmResult, ...], Field(min_length=1)]

    @property
    def caught(self) -> int:
        return sum(result.caught for result in self.results)

    @property
    def detection_rate(self) -> float:
        """Of the faults that were planted, those that were caught: 1.0 is all."""
        return self.caught / len(self.results)

    @property
    def passed(self) -> bool:
        """Every fault was caught, and what is sound was green."""
        return self.control.verdict is Verdict.MET and self.caught == len(self.results)

    @property
    def shortcomings(self) -> tuple[str, ...]:
        told = [
            f"{result.fault} was not caught: the drill is {result.verdict} and gives "
            + ("; ".join(result.reasons) or "no reason")
            for result in self.results
            if not result.caught
        ]
        if self.control.verdict is not Verdict.MET:
            told.insert(0, f"a sound backup is {self.control.verdict}: {'; '.join(self.control.reasons)}")
        return tuple(told)

    @property
    def told(self) -> str:
        control = "green" if self.control.verdict is Verdict.MET else self.control.verdict
        return (
            f"{self.caught} of {len(self.results)} planted faults caught ({self.detection_rate:.0%}); "
            f"the sound backup is {control}"
        )


def alarm_page(test: AlarmTest) -> str:
    """Markdown for the UI."""
    return "\n".join(
        [
            f"# Alarm self-test: {'PASSED' if test.passed else 'FAILED'}",
            f"{test.started_at:%Y-%m-%d %H:%M} UTC, PostgreSQL {test.postgresql}: {test.told}.",
            "",
            "| fault | what was done | drill | caught | its reasons |",
            "|---|---|---|---|---|",
            *(
                f"| {each.fault} | {cell(each.done)} | {each.verdict} | {_caught(each)} | "
                f"{cell('; '.join(each.reasons))} |"
                for each in (test.control, *test.results)
            ),
        ]
    )


def _caught(result: AlarmResult) -> str:
    if result.fault == CONTROL:
        return "–"
    return "yes" if result.caught else "**NO**"

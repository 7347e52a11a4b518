"""What the drill of a sample says about the whole: each phase by past drills of other sizes (reliability §6.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lifeboat.model.drill_record import DrilledBackup, DrillRecord
from lifeboat.model.extrapolation import Measurement, extrapolate
from lifeboat.model.phases import Phase, PhaseName

GROWING: Final = (PhaseName.FETCH, PhaseName.RESTORE, PhaseName.VERIFY)
"""Phases that take longer for more data. A server is provided as fast for a sample as for the whole."""
_TIMED: Final = ("newest", "named")
"""Choices whose times are in the phases; older backups are restored after the measurement."""


@dataclass(frozen=True)
class Amount:
    """What was, or would be, restored."""

    plain_bytes: int
    rows: int

    @classmethod
    def of(cls, backups: Iterable[DrilledBackup]) -> Amount:
        """Of the backups that were timed."""
        timed = [backup for backup in backups if backup.choice in _TIMED]
        return cls(sum(backup.plain_bytes for backup in timed), sum(backup.rows for backup in timed))


def extrapolated_phases(
    phases: Sequence[Phase], records: Iterable[DrillRecord], *, sample: Amount, whole: Amount
) -> tuple[Phase, ...]:
    """The phases of a drill of ``sample``, with the upper 95 % bound for ``whole`` in place of what grows with it.

    Raises ``CouldNotMeasure`` where past drills are too few, or the whole is out of their reach.
    """
    past = [record for record in records if not record.failures and record.drill_kind != "cold"]
    return tuple(
        _extrapolated(phase, past, sample, whole) if phase.name in GROWING else phase for phase in phases
    )


def _extrapolated(phase: Phase, past: Sequence[DrillRecord], sample: Amount, whole: Amount) -> Phase:
    if phase.milliseconds is None:
        return phase
    measured = [Measurement(sample.plain_bytes, sample.rows, phase.milliseconds)]
    for record in past:
        amount = Amount.of(record.backups)
        measured += [
            Measurement(amount.plain_bytes, amount.rows, each.measured_milliseconds)
            for each in record.phases
            if each.name is phase.name and each.measured_milliseconds is not None
        ]
    found = extrapolate(measured, plain_bytes=whole.plain_bytes, rows=whole.rows)
    return Phase(
        name=phase.name,
        owner=phase.owner,
        basis="extrapolated",
        milliseconds=found.bound_milliseconds,
        sample_milliseconds=phase.milliseconds,
        extrapolation=found,
    )

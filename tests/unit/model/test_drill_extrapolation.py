"""What the drill of a sample says about the whole: an upper bound, said so, and nothing where past drills do not reach."""

from __future__ import annotations

from typing import Any

import pytest
from support.drills import CLOCK, HOUR, STARTED, facts, phases

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.drill_extrapolation import GROWING, Amount, extrapolated_phases
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.objectives import Verdict
from lifeboat.model.phases import Phase, PhaseName
from lifeboat.model.rto import judge_rto

BACKUP = facts().backups[0].model_dump()
MINUTE = 60_000


def timed(size: int, wobble: int = 0) -> tuple[Phase, ...]:
    """Phases that grow by a minute for each 100 bytes."""
    return tuple(
        phase.model_copy(update={"milliseconds": size * MINUTE // 100 + wobble})
        if phase.name in GROWING
        else phase
        for phase in phases()
    )


def record(size: int, **changes: Any) -> DrillRecord:
    backup = BACKUP | {"plain_bytes": size, "rows": 0}
    told = timed(size, wobble=size % 7)
    judged = judge_rto(told, detected_at=STARTED, objective=4 * HOUR, clock=CLOCK)
    return DrillRecord.of(facts(**({"backups": (backup,), "phases": told, "rto": judged} | changes)))


PAST = [record(1000), record(1500), record(2100)]
SAMPLE = Amount(900, 0)


def test_what_grows_is_the_bound_for_the_whole_and_the_rest_is_as_it_was() -> None:
    found = {
        phase.name: phase
        for phase in extrapolated_phases(timed(900), PAST, sample=SAMPLE, whole=Amount(3000, 0))
    }
    for name in GROWING:
        phase = found[name]
        assert (phase.basis, phase.sample_milliseconds) == ("extrapolated", 9 * MINUTE)
        assert phase.milliseconds and 30 * MINUTE <= phase.milliseconds < 31 * MINUTE
    assert {phase.basis for name, phase in found.items() if name not in GROWING} == {"measured", "allowance"}
    judged = judge_rto(tuple(found.values()), detected_at=STARTED, objective=4 * HOUR, clock=CLOCK)
    assert judged.extrapolated
    partial = DrillRecord.of(
        facts(
            drill_kind="partial",
            backups=(BACKUP | {"plain_bytes": 900, "rows": 0},),
            phases=tuple(found.values()),
            rto=judged,
        )
    )
    assert partial.verdict is Verdict.MET
    # The sample of that drill serves the next.
    again = extrapolated_phases(
        timed(1200), [PAST[0], partial], sample=Amount(1200, 0), whole=Amount(1600, 0)
    )
    assert next(phase for phase in again if phase.name is PhaseName.RESTORE).basis == "extrapolated"


def test_too_few_sizes_and_a_whole_out_of_reach_measure_nothing() -> None:
    for records, whole in ((PAST[:1], 1000), (PAST, 5000)):
        with pytest.raises(CouldNotMeasure):
            extrapolated_phases(timed(900), records, sample=SAMPLE, whole=Amount(whole, 0))


def test_drills_that_failed_and_older_backups_tell_no_time() -> None:
    failed = [each.model_copy(update={"failures": ({"code": "restore-failed"},)}) for each in PAST]
    with pytest.raises(CouldNotMeasure):
        extrapolated_phases(timed(900), failed, sample=SAMPLE, whole=Amount(1500, 0))
    older = BACKUP | {"plain_bytes": 10**9, "choice": "random"}
    assert Amount.of(DrillRecord.of(facts(backups=(BACKUP, older), seed=1)).backups) == Amount(4000, 30)


def test_phase_that_did_not_come_to_its_end_stays_unmeasured() -> None:
    broken = tuple(
        phase.model_copy(update={"milliseconds": None}) if phase.name is PhaseName.VERIFY else phase
        for phase in timed(900)
    )
    found = extrapolated_phases(broken, PAST, sample=SAMPLE, whole=Amount(2000, 0))
    assert next(phase for phase in found if phase.name is PhaseName.VERIFY).milliseconds is None

"""The alarm self-test: every planted fault is caught, and a drill that became deaf is told (P7)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.folders import let_through
from support.postgres import MAJORS

from lifeboat.model.alarm_test import alarm_page
from lifeboat.model.objectives import Verdict
from lifeboat.stages import alarm_test as stage
from lifeboat.stages import drill as drill_stage
from lifeboat.stages.alarm_faults import FAULTS

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]


def test_every_fault_turns_the_drill_red_for_its_reason_and_a_sound_backup_is_green(
    tmp_path: Path,
) -> None:
    let_through(tmp_path)  # PostgreSQL's own user must get to its sandbox
    root = tmp_path / "sandboxes"
    told: list[str] = []

    test = stage.alarm_test(root, told.append)

    assert test.shortcomings == ()
    assert test.passed and test.detection_rate == 1.0
    assert test.control.verdict is Verdict.MET and test.control.reasons == ()
    assert [result.fault for result in test.results] == [fault.name for fault in FAULTS]
    assert len(told) == len(FAULTS) + 1
    assert "11 of 11 planted faults caught (100%)" in alarm_page(test)
    # Nothing of it stays: no store, no server, no key.
    assert list(root.iterdir()) == []


def test_drill_that_no_longer_looks_at_the_catalog_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a change of the code would: the faults that only the catalog shows pass unseen."""
    let_through(tmp_path)
    monkeypatch.setattr(drill_stage, "note_doubts", lambda *_: None)
    monkeypatch.setattr(
        stage, "FAULTS", [fault for fault in FAULTS if fault.name in ("unsigned", "missing-monthly")]
    )

    test = stage.alarm_test(tmp_path)

    assert not test.passed
    assert test.detection_rate == 0.0
    assert [text.split(" ")[0] for text in test.shortcomings] == ["unsigned", "missing-monthly"]
    assert "**NO**" in alarm_page(test)

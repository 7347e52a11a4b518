"""The alarm self-test: every planted fault is caught, and a drill that became deaf is told (P7)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.folders import let_through
from support.policies import demo_text
from support.postgres import MAJORS

from cli.main import run
from lifeboat.model.alarm_test import AlarmTest, alarm_page
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a change of the code would: the faults that only the catalog shows pass unseen, and the command says so."""
    let_through(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(demo_text({"drills": {"folder": str(tmp_path / "sandboxes")}}))
    monkeypatch.setattr(drill_stage, "note_doubts", lambda *_: None)
    deaf_to = [fault for fault in FAULTS if fault.name in ("unsigned", "missing-monthly")]
    monkeypatch.setattr(stage, "FAULTS", deaf_to)

    assert run(["alarm-test", "--policy", str(policy), "--json"]) == 1

    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["detection_rate"], told["control"]["verdict"]) == (False, 0.0, "met")
    assert [text.split(" ")[0] for text in told["shortcomings"]] == ["unsigned", "missing-monthly"]
    test = AlarmTest.model_validate(
        {name: value for name, value in told.items() if name in AlarmTest.model_fields}
    )
    assert "**NO**" in alarm_page(test)

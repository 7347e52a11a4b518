"""The alarm self-test as a flow: green with its page and event, red with every fault that passed unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from support.folders import let_through
from support.policies import demo_text
from support.postgres import MAJORS

from flows.alarm_test import alarm_test
from lifeboat.errors import AlarmSilent
from lifeboat.stages import alarm_test as stage
from lifeboat.stages import drill as drill_stage
from lifeboat.stages.alarm_faults import FAULTS

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]


@pytest.fixture
def policy(prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """With one fault only: each costs a drill, and all of them are planted elsewhere."""
    let_through(tmp_path)
    path = tmp_path / "policy.yaml"
    path.write_text(demo_text({"drills": {"folder": str(tmp_path / "sandboxes")}}))
    monkeypatch.setattr(stage, "FAULTS", [fault for fault in FAULTS if fault.name == "unsigned"])
    return str(path)


def page() -> str:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["alarm-test"]))
        )
    return str(max(found, key=lambda artifact: str(artifact.created)).data)


def test_run_is_green_and_publishes_the_detection_rate(policy: str) -> None:
    test = alarm_test(policy)

    assert (test.passed, test.detection_rate) == (True, 1.0)
    assert "1 of 1 planted faults caught (100%); the sound backup is green" in page()


def test_run_is_red_when_a_fault_passed_unseen(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_stage, "note_doubts", lambda *_: None)

    with pytest.raises(AlarmSilent, match="unsigned was not caught: the drill is met") as caught:
        alarm_test(policy)

    assert "no green drill of this host proves anything" in caught.value.hint
    assert "# Alarm self-test: FAILED" in page()

"""Alarm self-test: plant, drill, publish the detection rate."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.logging import get_run_logger

from lifeboat.errors import AlarmSilent
from lifeboat.model.alarm_test import AlarmTest, alarm_page
from lifeboat.model.policy import Policy
from lifeboat.stages import alarm_test as stage
from lifeboat.stages.drill_facts import sandbox_root
from tasks.options import ONCE


@task(name="plant and drill", **ONCE)
def plant_and_drill(policy: Policy) -> AlarmTest:
    """Every fault in a copy of the specimen, and a drill of it."""
    return stage.alarm_test(sandbox_root(policy), get_run_logger().info)


@task(name="report alarm test", **ONCE)
def report(test: AlarmTest) -> None:
    """The detection rate and each drill's reasons as a page of the UI."""
    create_markdown_artifact(key="alarm-test", markdown=alarm_page(test))


def announce(test: AlarmTest) -> None:
    """Emit ``alarm-test.passed`` or ``alarm-test.failed``, for automations."""
    emit_event(
        f"alarm-test.{'passed' if test.passed else 'failed'}",
        resource={
            "prefect.resource.id": "lifeboat.alarm-test",
            "prefect.resource.name": "alarm self-test",
        },
        payload={
            "detection_rate": test.detection_rate,
            "planted": len(test.results),
            "shortcomings": list(test.shortcomings),
        },
    )


def refuse_silence(test: AlarmTest) -> None:
    """Turn the run red unless all was caught. Raises ``AlarmSilent`` with every fault that was not."""
    if test.passed:
        return
    told = "\n".join(f"  {each}" for each in test.shortcomings)
    raise AlarmSilent(
        f"The alarm self-test failed; {test.told}:\n{told}",
        hint="Until it passes, no green drill of this host proves anything.",
    )

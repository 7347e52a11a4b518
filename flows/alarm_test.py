"""Alarm self-test: backups that are known to be bad, each of which a drill on this host must turn red."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from lifeboat import clock
from lifeboat.adapters.policy_file import read_policy
from lifeboat.model.alarm_test import AlarmTest
from tasks.alarm_test import announce, plant_and_drill, refuse_silence, report


def _run_name() -> str:
    return f"alarm test {clock.utc_now():%Y-%m-%d %H:%M}"


@flow(name="alarm-test", flow_run_name=_run_name)
def alarm_test(policy: str = "digital-automotive") -> AlarmTest:
    """Damage a specimen in every way that a drill must notice, drill it each time, and publish how much was caught.

    The run is red unless every fault was caught for the right reason and the sound specimen was green. No real store,
    server or key is touched.

    Args:
        policy: A shipped policy's name, or the path of a policy file: it says where sandboxes are made.
    """
    rules = read_policy(Path(policy))
    test = plant_and_drill(rules)
    report(test)
    announce(test)
    refuse_silence(test)
    return test

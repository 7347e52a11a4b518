"""``lifeboat alarm-test``: does a drill on this host turn red when it must? Needs no Prefect API and no key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.options import DEFAULT_POLICY, AsJson, PolicyName
from cli.output import Output, line, table

if TYPE_CHECKING:
    from lifeboat.model.alarm_test import AlarmResult


def alarm_test(policy: PolicyName = DEFAULT_POLICY, as_json: AsJson = False) -> None:
    """Damage a specimen in every way that a drill must notice, drill it each time, and tell how much was caught.

    No real store, server or key is touched. Exits with 1 unless every fault was caught for the right reason and the
    sound specimen was green.
    """
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.stages.alarm_test import alarm_test as plant_and_drill
    from lifeboat.stages.drill_facts import sandbox_root

    output = Output(as_json)
    test = plant_and_drill(sandbox_root(read_policy(Path(policy))), output.message)
    output.result(
        {
            **test.model_dump(mode="json"),
            "detection_rate": test.detection_rate,
            "passed": test.passed,
            "shortcomings": test.shortcomings,
        },
        table(["fault", "what was done", "drill", "caught"], [_row(each) for each in test.results]),
        line(test.told),
        *(line(each) for each in test.shortcomings),
    )
    if not test.passed:
        raise typer.Exit(1)


def _row(result: AlarmResult) -> tuple[str, str, str, str]:
    return result.fault, result.done, result.verdict, "yes" if result.caught else "NO"

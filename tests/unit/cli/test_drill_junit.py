"""What CI systems show of a drill: never green unless the record is."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from support.drills import BACKUP_ID, HOUR, STARTED, facts, rto

from cli.drill_junit import junit_of, junit_of_none
from lifeboat.model.drill_record import DrillRecord


def wrong(raw: bytes) -> dict[str | None, str]:
    """The cases that are not green, each with what it is."""
    suite = ElementTree.fromstring(raw)
    assert suite.get("tests") == str(len(suite))
    return {case.get("name"): each.tag for case in suite for each in case}


PROBE = {"service": "main", "source": "databases", "name": "orders"}
SANDBOX = {"kind": "cluster", "postgresql": 15, "settings": {}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"rto": rto(over=True)}, {"RTO": "failure"}),
        ({"probes": (PROBE | {"verdict": "missed"},)}, {"probe main/databases orders": "failure"}),
        ({"probes": (PROBE | {"verdict": "unmeasured"},)}, {"probe main/databases orders": "error"}),
        ({"sandbox": SANDBOX | {"destroyed_at": None}}, {"verdict": "failure"}),
        ({"rto": None}, {"verdict": "error"}),
        ({"comparisons": ()}, {BACKUP_ID: "error"}),
        ({"failures": ({"code": "not-restored"},)}, {"not-restored": "failure"}),
    ],
)
def test_every_shortcoming_is_a_case_that_is_not_green(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    record = DrillRecord.of(facts(**({"ended_at": STARTED + 3 * HOUR} | changes)))
    assert wrong(junit_of(record)) == expected
    assert (record.verdict == "met") == (not expected)


def test_drill_without_a_record_is_one_error() -> None:
    assert wrong(junit_of_none("demo", "no worker")) == {"drill": "error"}

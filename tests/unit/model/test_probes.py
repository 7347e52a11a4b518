"""The policy's own checks: what they may expect, and what of restored data is what they expect."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from support.policies import demo_policy

from lifeboat.errors import PolicyError
from lifeboat.model.objectives import Verdict
from lifeboat.model.policy_probes import ProbeRule
from lifeboat.model.probes import judge_files, judge_newest, judge_value

MET, MISSED, UNMEASURED = Verdict.MET, Verdict.MISSED, Verdict.UNMEASURED
DATA = dt.datetime(2026, 11, 25, 0, 15, tzinfo=dt.UTC)


def rule(**expected: Any) -> ProbeRule:
    return ProbeRule.model_validate({"database": "shop", "sql": "SELECT 1"} | expected)


@pytest.mark.parametrize(
    ("expected", "value", "verdict"),
    [
        ({"equals": 3}, 3, MET),
        ({"equals": 3}, 4, MISSED),
        ({"equals": "open"}, "open", MET),
        ({"equals": 1}, True, MISSED),
        ({"equals": True}, True, MET),
        ({"equals": 3}, None, MISSED),
        ({"at_least": 3}, 3, MET),
        ({"at_least": 3}, Decimal("2.9"), MISSED),
        ({"at_least": 3, "at_most": 5}, 6, MISSED),
        ({"at_most": 5}, 5.0, MET),
        ({"at_most": 5}, None, MISSED),
        ({"at_most": 5}, "5", UNMEASURED),
        ({"at_most": 5}, True, UNMEASURED),
    ],
)
def test_value_is_compared_with_what_is_expected(
    expected: dict[str, Any], value: object, verdict: Verdict
) -> None:
    assert judge_value(rule(**expected), value)[0] is verdict


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (DATA - dt.timedelta(hours=2), MET),
        (DATA - dt.timedelta(hours=2, seconds=1), MISSED),
        (DATA + dt.timedelta(seconds=1), MET),
        ((DATA - dt.timedelta(hours=1)).replace(tzinfo=None), MET),
        (None, MISSED),
        (dt.date(2026, 11, 25), UNMEASURED),
    ],
)
def test_newest_time_is_compared_with_the_moment_of_the_data(value: object, verdict: Verdict) -> None:
    assert judge_newest(rule(newest_within="2h"), value, DATA)[0] is verdict


def test_files_that_rows_name_are_all_there_or_it_is_missed_and_none_named_proves_nothing() -> None:
    assert judge_files(10, 0, "")[0] is MET
    assert judge_files(10, 1, "'a'") == (MISSED, "1 of 10 files are not there, 'a' first")
    assert judge_files(0, 0, "")[0] is UNMEASURED


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"equals": 1, "at_least": 1},
        {"newest_within": "1h", "files_of": "documents"},
        {"at_least": 5, "at_most": 4},
        {"equals": [1]},
        {"at_least": "5"},
        {"at_least": 1, "role": "app"},
    ],
)
def test_probe_that_expects_nothing_or_two_things_is_refused(expected: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**expected)


def test_probe_of_a_database_or_of_files_that_are_not_there_is_a_mistake_of_the_policy() -> None:
    path = "environments.demo.services.main.sources.databases.probes"
    probes = {
        "a": {"database": "shoop", "sql": "SELECT 1", "equals": 1},
        "b": {"database": "shop", "sql": "SELECT path FROM d", "files_of": "documents"},
    }
    with pytest.raises(PolicyError) as caught:
        demo_policy({path: probes})
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 2
    assert f"{path}.a.database" in told[0] and "did you mean 'shop'" in told[0]
    assert f"{path}.b.files_of" in told[1]

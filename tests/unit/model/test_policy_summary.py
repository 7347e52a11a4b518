"""What a policy comes to."""

from __future__ import annotations

import datetime as dt

from support.policies import demo_policy

from lifeboat.model.policy_summary import summarise


def test_summary_of_the_demo_shows_the_arithmetic_of_its_schedule() -> None:
    (summary,) = summarise(demo_policy())
    assert summary.arithmetic == (
        "12 h between runs + 1 h until the backup is committed = 13 h at worst, within the RPO of 24 h"
    )
    assert (summary.worst_loss, summary.starts) == (dt.timedelta(hours=13), ("00:15", "12:15"))
    assert summary.sources == ("main/databases (postgres)",)


def test_summary_of_uneven_runs_takes_the_longest_interval() -> None:
    (summary,) = summarise(demo_policy({"environments.demo.schedule.at": ["00:15", "06:15"]}))
    assert summary.worst_interval == dt.timedelta(hours=18)


def test_summary_without_monthlies_says_so() -> None:
    (summary,) = summarise(
        demo_policy({"environments.demo.retention.monthly": {"anchor": "1st", "keep": "0 months"}})
    )
    assert summary.retention == "dailies 30 days, no monthlies, never fewer than 3"

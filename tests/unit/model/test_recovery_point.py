"""Recovery points from what lies on the store: which backups of a run are of one moment, and how far apart."""

from __future__ import annotations

import datetime as dt
from typing import Any

from support.examples import EPOCH, manifest
from support.policies import demo_policy

from lifeboat.model.manifest import Manifest
from lifeboat.model.policy_environment import Environment
from lifeboat.model.recovery_point import RecoveryPoint, recovery_points_on_store


def environment(**service: Any) -> Environment:
    """One service, ``main``, whose policy names its databases only."""
    changes = {f"environments.demo.services.main.{key}": value for key, value in service.items()}
    return demo_policy(changes).environment("demo")


def backup(source: str, seconds: float, **changes: Any) -> Manifest:
    """Of data so many seconds after ``EPOCH``."""
    moment = EPOCH + dt.timedelta(seconds=seconds)
    return manifest(1, source=source, data_timestamp=moment, **changes)


def test_backups_of_a_service_are_one_point_with_the_time_between_them() -> None:
    run = [backup("databases", 2), backup("documents", 0.5), backup("archive", 1)]

    (point,) = recovery_points_on_store(environment(), run)

    assert point == RecoveryPoint(
        "main",
        ("databases", "documents", "archive"),
        EPOCH + dt.timedelta(seconds=0.5),
        dt.timedelta(seconds=1.5),
    )
    assert str(point).endswith("one recovery point of 2026-11-23 01:15:03 UTC, 1.5 s apart")


def test_live_tree_is_no_part_of_a_point() -> None:
    """By what its manifest says: the policy may have come to name it differently, or not at all."""
    run = [backup("databases", 0), backup("documents", 1), backup("logs", 900, consistency="live")]

    (point,) = recovery_points_on_store(environment(), run)

    assert (point.sources, point.skew) == (("databases", "documents"), dt.timedelta(seconds=1))


def test_service_whose_sources_are_frozen_each_in_its_turn_has_no_point() -> None:
    run = [backup("databases", 0), backup("documents", 1)]

    assert recovery_points_on_store(environment(recovery_point="source"), run) == ()


def test_one_backup_or_a_service_that_the_policy_names_no_more_make_no_point() -> None:
    assert recovery_points_on_store(environment(), [backup("databases", 0)]) == ()
    old = [backup("databases", 0, service="gone"), backup("documents", 1, service="gone")]
    assert recovery_points_on_store(environment(), old) == ()

"""Plan: the policy's sources, what is covered already, and a clean spool."""

from __future__ import annotations

from pathlib import Path

from prefect import get_run_logger, task
from prefect.runtime import flow_run

from blocks.harbour import load_store, load_trusted
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.spool import sweep
from lifeboat.stages.plan import PlannedSource, plan_run
from lifeboat.stages.voyage import spool_root
from tasks.options import REPEATED


@task(name="plan", task_run_name="plan {environment_name}", **REPEATED)
def plan(environment_name: str, policy_name: str, only: list[str]) -> list[PlannedSource]:
    """Read the policy and the store; sweep the spools of runs that died."""
    environment = read_policy(Path(policy_name)).environment(environment_name)
    for name in sweep(spool_root(environment)):
        get_run_logger().warning("Removed the spool of a run that died: %s", name)
    return plan_run(
        environment_name,
        environment,
        load_store(environment_name, environment),
        load_trusted(environment_name),
        slot=flow_run.scheduled_start_time,
        only=only,
    )

"""Plan: the policy's sources, what is covered already, and a clean spool."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import cast

from prefect import get_run_logger, task
from prefect.runtime import flow_run

from blocks.harbour import load_store, load_trusted
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.spool import sweep
from lifeboat.errors import SourceError
from lifeboat.model.manifest import chain_name
from lifeboat.model.outcome import SourceOutcome
from lifeboat.stages.fetch import read_catalog
from lifeboat.stages.plan import PlannedSource, plan_run
from lifeboat.stages.voyage import spool_root
from tasks.options import REPEATED
from tasks.outcome import failed, outcome_of


@task(name="look on the store", task_run_name="look for {source.label} on the store", **REPEATED)
def outcome_on_store(
    environment_name: str, source: PlannedSource, run_id: str, policy_name: str
) -> SourceOutcome:
    """What this run committed for a source, by the manifests alone: the truth when Prefect's state is lost."""
    environment = read_policy(Path(policy_name)).environment(environment_name)
    chain = chain_name(source.service, source.source)
    catalog = read_catalog(
        load_store(environment_name, environment), environment_name, chain, load_trusted(environment_name)
    )
    found = next((entry.manifest for entry in catalog.entries if entry.manifest.run_id == run_id), None)
    return (
        outcome_of(found)
        if found
        else failed(source, SourceError("nothing was committed, and the run's state is lost"))
    )


def scheduled_for() -> dt.datetime:
    """When the scheduler wanted this run; for one started by hand, when it began."""
    return cast(dt.datetime, flow_run.scheduled_start_time)


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
        slot=scheduled_for(),
        only=only,
    )

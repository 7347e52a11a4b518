"""Prune: delete what the policy no longer keeps, each with its reason."""

from __future__ import annotations

import datetime as dt

from prefect import task

from lifeboat.stages import prune as stage
from lifeboat.stages.prune import PruneReport, Pruning
from lifeboat.stages.publish import Published
from lifeboat.stages.snapshot import SKEW_LIMIT
from lifeboat.stages.voyage import Voyage
from tasks.options import ONCE


@task(name="prune", task_run_name="prune {voyage.label}", **ONCE)
def prune(voyage: Voyage, published: Published, clock_skew: dt.timedelta) -> PruneReport:
    """Decide from verified manifests, and delete exactly what was decided; raises when there is any doubt.

    ``clock_skew`` is how far the source's clock is off this host's.
    """
    skewed = abs(clock_skew) > SKEW_LIMIT
    doubts = [f"the source's clock is {clock_skew.total_seconds():.0f} s off this host's"] if skewed else []
    return stage.prune(
        Pruning(
            environment_name=voyage.environment_name,
            environment=voyage.environment,
            chain=voyage.chain,
            run_id=voyage.run_id,
            policy=voyage.policy,
            time_zone=voyage.time_zone,
            store=voyage.prune_store,
            signer=voyage.keys.signer,
            trusted=voyage.keys.trusted,
            anchor=published.head,
        ),
        doubts,
    )

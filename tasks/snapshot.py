"""Snapshot: open the frozen views of a source's databases."""

from __future__ import annotations

from contextlib import ExitStack

from prefect import task

from lifeboat.stages import survey as stage
from lifeboat.stages.snapshot import FrozenServer, frozen
from lifeboat.stages.survey import Survey
from lifeboat.stages.tree import FrozenTree, frozen_tree, open_view
from lifeboat.stages.voyage import ServerVoyage, TreeVoyage
from tasks.moorings import taken_over
from tasks.options import ONCE


@task(name="survey", task_run_name="survey {voyage.label}", **ONCE)
def survey(voyage: ServerVoyage) -> Survey:
    """List the server's databases, compare them with the policy, check the programs; look at the newest backup."""
    return stage.survey(voyage)


@task(name="snapshot", task_run_name="snapshot {voyage.label}", **ONCE)
def snapshot(voyage: ServerVoyage, found: Survey, names: tuple[str, ...], views: ExitStack) -> FrozenServer:
    """Freeze these databases at one moment each, seconds apart, and refuse what could not be read whole.

    ``views`` keeps them open until the data is sealed.
    """
    limits = voyage.environment.limits
    opened = frozen(
        voyage.server,
        names,
        lock_wait=limits.lock_wait,
        age_limit=limits.snapshot_age,
        findings=found.census.findings,
        yesterday=found.yesterday,
    )
    return views.enter_context(opened)


@task(name="snapshot", task_run_name="snapshot {voyage.label}", **ONCE)
def snapshot_tree(voyage: TreeVoyage, views: ExitStack) -> FrozenTree:
    """Freeze the tree, or take over the view opened with its service's databases; walk it, decide what travels.

    ``views`` keeps it open until the files are sealed.
    """
    view = taken_over(voyage.run_id, voyage.service, voyage.source_name)
    if view is None:
        view = views.enter_context(open_view(voyage.tree, voyage.environment.limits.snapshot_age))
    return frozen_tree(voyage, view)

"""Views of a service's trees, opened straight after the snapshot of its databases: one recovery point (design §3).

Every source has a run of its own, one after the other, but what they read should be of one moment. So the run of a
service's databases opens the views of its trees, too, right after its own snapshot, and their runs take them over
here. In memory, since a view is a live thing, and all runs of an environment are of one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from prefect import task

from blocks.trees import load_tree
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.recovery_point import holds_still
from lifeboat.stages.plan import PlannedSource
from lifeboat.stages.tree import TreeView, open_view
from tasks.options import ONCE


@dataclass
class _Moorings:
    """Of one run: the sources it will back up, and views that are open; an error where one could not be opened."""

    sources: list[PlannedSource]
    stack: ExitStack
    views: dict[tuple[str, str], TreeView | Exception] = field(default_factory=dict)


_of_run: dict[str, _Moorings] = {}


@contextmanager
def moored(run_id: str, sources: list[PlannedSource]) -> Iterator[None]:
    """While the sources of a run are backed up. At the end every view is released, also one that nobody took over."""
    with ExitStack() as stack:
        _of_run[run_id] = _Moorings(sources, stack)
        try:
            yield
        finally:
            del _of_run[run_id]


def taken_over(run_id: str, service: str, source_name: str) -> TreeView | None:
    """The view opened for this source earlier in the run, if there is one; raises what opening it raised."""
    found = _of_run[run_id].views.get((service, source_name)) if run_id in _of_run else None
    if isinstance(found, Exception):
        raise found
    return found


@task(name="snapshot", task_run_name="snapshot the trees of {environment_name}/{service}", **ONCE)
def open_views(environment_name: str, environment: Environment, service: str, run_id: str) -> None:
    """Open the views of a service's trees, where a view freezes something: a live tree is as old as its reading.

    One that cannot be opened fails the run of its own source, not this one.
    """
    moorings = _of_run[run_id]
    for planned in moorings.sources:
        source = environment.services[planned.service].sources[planned.source]
        if planned.service != service or isinstance(source, PostgresSource) or not holds_still(source):
            continue
        try:
            origin = load_tree(environment_name, service, planned.source, source)
            opened = moorings.stack.enter_context(open_view(origin, environment.limits.snapshot_age))
        except Exception as error:  # noqa: BLE001 - raised where the source's own run takes the view over
            moorings.views[service, planned.source] = error
        else:
            moorings.views[service, planned.source] = opened


def are_due(run_id: str, environment: Environment, service: str) -> bool:
    """Whether the trees of this service are to share the moment of its databases."""
    return run_id in _of_run and environment.services[service].recovery_point == "service"

"""A drill that CI kicks: the deployment ``drill/<environment>`` runs it where identity and disks are, CI waits.

CI needs the Prefect API and nothing else: no identity, no store, no block's content. The record comes back as an
artifact of the run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from lifeboat import clock
from lifeboat.errors import CouldNotMeasure
from lifeboat.model.drill_record import DrillRecord, record_from_artifact, record_key
from lifeboat.model.policy_values import spoken_duration

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

PAUSE: Final = 3.0
"""Seconds between two questions to the server."""


def drill_by_deployment(
    environment: str, parameters: dict[str, Any], limit: dt.timedelta, tell: Callable[[str], None]
) -> DrillRecord:
    """Start a run of ``drill/<environment>``, wait for its end, and return its record.

    Raises ``CouldNotMeasure`` when there is no such deployment, no worker takes it, it is not over within ``limit`` (it
    is then cancelled), or it ends without a record.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        run = _started(client, environment, parameters)
        tell(f"run {run.name} of drill/{environment}: {run.id}")
        ended = _ended(client, run.id, clock.Deadline.after(limit.total_seconds()), tell)
        if ended is None:
            raise _too_late(client, environment, run.id, limit)
        record = _record(client, environment, run.id)
    if record is None:
        state = ended.state
        told = f"{state.name}: {state.message}" if state else "without a state"
        raise CouldNotMeasure(
            f"The drill of {environment} ended without a record: {told}",
            hint=f"Look at the run {run.name} in Prefect's UI.",
        )
    return record


def _started(client: SyncPrefectClient, environment: str, parameters: dict[str, Any]) -> FlowRun:
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    name = f"drill/{environment}"
    try:
        deployment = client.read_deployment_by_name(name)
        return client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, tags=["started-by:ci"]
        )
    except ObjectNotFound:
        raise CouldNotMeasure(
            f"The deployment {name!r} does not exist.", hint="Deploy it: python -m deployments.apply"
        ) from None
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in (409, 422):
            raise
        raise CouldNotMeasure(
            f"Prefect refused to start {name!r}: {error.response.text[:500]}",
            hint="Compare the parameters with those of the deployment's form.",
        ) from None


def _ended(
    client: SyncPrefectClient, run_id: UUID, deadline: clock.Deadline, tell: Callable[[str], None]
) -> FlowRun | None:
    """The run in its final state, or None at the deadline; each new state is told.

    A server that does not answer for a while is asked again: the drill goes on without it.
    """
    from httpx import HTTPError

    before: str | None = None
    while not deadline.passed():
        try:
            run = client.read_flow_run(run_id)
        except HTTPError as error:
            tell(f"  the Prefect API does not answer ({type(error).__name__}); asking again")
            clock.sleep(PAUSE)
            continue
        if run.state and run.state.name != before:
            before = run.state.name
            tell(f"  {before}")
        if run.state and run.state.is_final():
            return run
        clock.sleep(PAUSE)
    return None


def _too_late(
    client: SyncPrefectClient, environment: str, run_id: UUID, limit: dt.timedelta
) -> CouldNotMeasure:
    """Cancel what nobody waits for any more, and say what it was doing."""
    from prefect.states import Cancelled, Cancelling

    run = client.read_flow_run(run_id)
    waiting = run.state is not None and (run.state.is_scheduled() or run.state.is_pending())
    state = Cancelled if waiting else Cancelling
    client.set_flow_run_state(run_id, state(message="CI waits for it no longer."), force=waiting)
    if waiting:
        return CouldNotMeasure(
            f"No worker took the drill of {environment} within {spoken_duration(limit)}; it was cancelled.",
            hint=f"Start a worker of the work pool {run.work_pool_name!r} on the drill host.",
        )
    return CouldNotMeasure(
        f"The drill of {environment} was not over after {spoken_duration(limit)}; it was cancelled.",
        hint="Wait longer (--wait), or look at the run's log for what holds it up.",
    )


def _record(client: SyncPrefectClient, environment: str, run_id: UUID) -> DrillRecord | None:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            key=ArtifactFilterKey(any_=[record_key(environment)]),
            flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]),
        )
    )
    return record_from_artifact(str(found[0].data)) if found else None

"""Restore: show what will happen, ask where something live is touched, bring it back object by object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect import pause_flow_run, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.input import RunInput
from pydantic import Field

from lifeboat.adapters.loading import Loader
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_outcome import PlannedObject, RestoreOutcome, plan_markdown, refuse_other_approval
from lifeboat.stages.drill_records import estimate_restoration
from lifeboat.stages.restoration import plan_restoration
from lifeboat.stages.restore_items import Item
from lifeboat.stages.restore_order import RestoreOrder, RestorePlaces
from tasks.options import ONCE, REPEATED

APPROVAL_LIMIT = 3600
"""Seconds that a restore waits for its approval."""


class Approval(RunInput):
    """What a person types to let a restore go on. A speed bump, not authorisation: that is the identity on the restore
    host."""

    typed: str = Field(default="", description="The name that the plan asks for.")
    who: str = Field(default="", description="Your name, for the record (clause P3).")
    why: str = Field(default="", description="Why this is restored, or the number of the incident.")


@task(name="plan restore", task_run_name="plan restore of {order.environment}", **REPEATED)
def plan(order: RestoreOrder, places: RestorePlaces) -> list[Item]:
    """Verify signatures, chains and indexes, and plan against what the target already has."""
    return plan_restoration(order, places)


@task(name="show plan", **ONCE)
def show_plan(
    order: RestoreOrder, places: RestorePlaces, planned: Sequence[PlannedObject], approval: str
) -> str:
    """The plan, and how long it will take by past drills, as a page of the UI; returns its text."""
    text = plan_markdown(
        planned,
        estimate_restoration(order, places, planned).sentences,
        environment=order.environment,
        target_environment=order.target_environment,
        approval=approval,
    )
    create_markdown_artifact(key=f"restore-plan-{order.environment}", markdown=text)
    return text


def wait_for_approval(wanted: str, given: str, plan_text: str) -> Approval:
    """Pause the run until a person typed ``wanted``, unless it was given with the run. Raises ``RestoreRefused`` when
    something else was typed; nothing was made then."""
    approval = Approval(typed=given)
    if wanted and not given:
        form = Approval.with_initial_data(description=plan_text)
        approval = pause_flow_run(wait_for_input=form, timeout=APPROVAL_LIMIT)
    refuse_other_approval(wanted, approval.typed)
    return approval


@task(name="restore", task_run_name="restore {item.source}", **ONCE)
def carry_out(item: Item, loader: Loader, jobs: int) -> list[RestoreOutcome]:
    """Fetch, verify, load; what is restored gets its name last of all."""
    return item.carry_out(loader, jobs)


@task(name="report restore", **ONCE)
def report(environment: str, outcomes: Sequence[RestoreOutcome], approval: Approval) -> None:
    """A table of what came back, and of what did not; who let it go on, and why (P3)."""
    create_table_artifact(
        key=f"restore-{environment}",
        table=[
            {
                "source": done.source,
                "what": done.what,
                "restored as": done.target,
                "state": done.state,
                "rows": f"{done.rows:,}" if done.rows else "",
                "files": f"{done.files:,}" if done.files else "",
                "seconds": f"{done.seconds:.1f}",
                "findings": "; ".join((*done.findings, *([done.failure] if done.failure else []))),
            }
            for done in outcomes
        ],
        description=" ".join(_told(approval)),
    )


def _told(approval: Approval) -> Iterator[str]:
    yield "What is restored was verified: parts against signed manifests, tables and files against digests."
    if approval.typed:
        yield f"Approved by {approval.who or 'whoever started it'}: {approval.why or 'no reason was given'}."


def raise_if_failed(outcomes: Sequence[RestoreOutcome]) -> None:
    """Raise ``RestoreFailed`` naming every object that did not come back, so that the run is red."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        lines = "\n".join(f"  {outcome.source}, {outcome.what}: {outcome.failure}" for outcome in failed)
        raise RestoreFailed(
            f"{len(failed)} of {len(outcomes)} objects were not restored:\n{lines}",
            outcomes=outcomes,
            hint="What is incomplete says so in its name. Restore again: what is in is not fetched again.",
        )

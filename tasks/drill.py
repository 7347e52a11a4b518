"""Drill: restore into a sandbox, compare, measure, and put the signed record on the store."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact

from lifeboat.adapters.loading import Loader
from lifeboat.errors import CouldNotMeasure, DrillMissed
from lifeboat.model.catalog import Catalog
from lifeboat.model.drill_page import drill_page
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.objectives import Verdict
from lifeboat.model.signed import Signer
from lifeboat.stages import drill as stage
from lifeboat.stages.catalog import look
from lifeboat.stages.drill import FinishedDrill
from lifeboat.stages.drill_facts import DrillOrder, publish_record
from lifeboat.stages.restoration import catalog_of
from lifeboat.stages.restore_order import RestorePlaces
from tasks.options import ONCE, REPEATED


@task(name="read catalogs", **REPEATED)
def read_catalogs(order: DrillOrder, places: RestorePlaces) -> list[Catalog]:
    """The catalogs of the sources to be drilled, from verified manifests."""
    with places.store.connect() as store:
        view = look(store, order.environment, places.trusted)
    return [catalog_of(label, view, places.trusted) for label in order.labels]


@task(name="drill", task_run_name="drill {order.environment}", **ONCE)
def carry_out(
    order: DrillOrder, places: RestorePlaces, catalogs: Sequence[Catalog], loader: Loader
) -> FinishedDrill:
    """Provision, fetch, restore, compare, destroy; the verdict is in the record."""
    return stage.drill(order, places, catalogs, loader)


@task(name="publish record", **REPEATED)
def publish(finished: FinishedDrill, signer: Signer, places: RestorePlaces) -> None:
    """Sign the record, put it on the store, read it back."""
    publish_record(finished.record, signer, places)


@task(name="report drill", **ONCE)
def report(finished: FinishedDrill) -> None:
    """The verdict, the phases and every difference as a page of the UI."""
    drilled = finished.drilled
    page = drill_page(finished.record, [each.where for each in drilled.differences], drilled.explanations)
    create_markdown_artifact(key=f"drill-{finished.record.environment}", markdown=page)


def refuse_verdict(record: DrillRecord) -> None:
    """Turn the run red unless the objectives were met. Raises ``DrillMissed`` or ``CouldNotMeasure``."""
    if record.verdict is Verdict.MET:
        return
    kind = DrillMissed if record.verdict is Verdict.MISSED else CouldNotMeasure
    reasons = "\n".join(f"  {reason}" for reason in record.reasons)
    error = kind(
        f"Drill {record.drill_id} of {record.environment}: {record.verdict}.\n{reasons}",
        hint="The run's artifact names what differs; the signed record is on the store.",
    )
    error.record = record
    raise error

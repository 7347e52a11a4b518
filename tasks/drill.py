"""Drill: restore into a sandbox, compare, measure, and put the signed record on the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from lifeboat.adapters.drill_pages import write_page
from lifeboat.adapters.loading import Loader
from lifeboat.errors import CouldNotMeasure, DrillMissed
from lifeboat.model.drill_html import DrillPage
from lifeboat.model.drill_page import drill_page
from lifeboat.model.drill_record import DrillRecord, record_as_artifact, record_key
from lifeboat.model.objectives import Verdict
from lifeboat.model.signed import Signer
from lifeboat.stages import drill as stage
from lifeboat.stages.drill import FinishedDrill
from lifeboat.stages.drill_facts import DrillOrder, publish_record
from lifeboat.stages.drill_files import drill_files
from lifeboat.stages.drill_interrupted import publish_interrupted
from lifeboat.stages.drill_records import PastDrills
from lifeboat.stages.drill_view import DrillView, view_for_drill
from lifeboat.stages.restore_order import RestorePlaces
from tasks.options import ONCE, REPEATED


@task(name="read catalogs", **REPEATED)
def read_catalogs(order: DrillOrder, places: RestorePlaces) -> DrillView:
    """The catalogs of the sources to be drilled and the drills before, from verified statements."""
    return view_for_drill(order, places)


@task(name="drill", task_run_name="drill {order.environment}", **ONCE)
def carry_out(order: DrillOrder, places: RestorePlaces, view: DrillView, loader: Loader) -> FinishedDrill:
    """Provision, fetch, restore, compare, destroy; the verdict is in the record."""
    if order.files:
        return drill_files(order, places, view, loader)
    return stage.drill(order, places, view, loader)


@task(name="publish record", **REPEATED)
def publish(finished: FinishedDrill, signer: Signer, places: RestorePlaces) -> None:
    """Sign the record, put it on the store, read it back."""
    publish_record(finished.record, signer, places)


@task(name="tell interrupted drills", **REPEATED)
def tell_interrupted(order: DrillOrder, signer: Signer, places: RestorePlaces) -> list[DrillRecord]:
    """Destroy what drills that died left behind, and put their records on the store, as not measured."""
    return publish_interrupted(order, signer, places)


@task(name="report drill", **ONCE)
def report(finished: FinishedDrill, past: PastDrills, pages: Sequence[Path]) -> None:
    """The verdict, the phases, every difference and the drills before as a page of the UI, and as HTML in ``pages``."""
    record = finished.record
    text = drill_page(record, finished.differences, finished.explanations, past.records)
    create_markdown_artifact(key=f"drill-{record.environment}", markdown=text)
    create_markdown_artifact(key=record_key(record.environment), markdown=record_as_artifact(record))
    html = DrillPage(record, finished.differences, finished.explanations, past.records).html()
    for path in pages:
        write_page(path, html)


def announce(record: DrillRecord) -> None:
    """Emit ``drill.met``, ``drill.missed`` or ``drill.unmeasured``, for automations. It holds no names either."""
    emit_event(
        f"drill.{record.verdict}",
        resource={
            "prefect.resource.id": f"lifeboat.environment.{record.environment}",
            "prefect.resource.name": record.environment,
        },
        payload={
            "drill_id": record.drill_id,
            "drill_kind": record.drill_kind,
            "reasons": list(record.reasons),
            "rto_milliseconds": record.rto.working_milliseconds if record.rto else None,
            "rpo_milliseconds": record.rpo.achieved_milliseconds if record.rpo else None,
        },
    )


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

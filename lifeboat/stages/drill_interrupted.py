"""Drills that ended without a record, because they were killed or could not go on: told as ``unmeasured``, never lost.

At its beginning a drill leaves the record of a drill of which nothing is known beside its sandbox; the next drill of
the environment signs it and puts it on the store.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from importlib.metadata import version

from pydantic import ValidationError

from lifeboat import clock
from lifeboat.adapters.drill_marks import drill_mark, marks_left
from lifeboat.adapters.sandbox import sweep_sandboxes
from lifeboat.model.drill_record import DrilledBackup, DrillFacts, DrillRecord, Sandbox
from lifeboat.model.restore_choice import Point
from lifeboat.model.signed import Signer
from lifeboat.stages.drill_facts import DrillOrder, publish_record
from lifeboat.stages.drill_view import DrillView
from lifeboat.stages.restore_order import RestorePlaces


@contextlib.contextmanager
def begun(order: DrillOrder, view: DrillView) -> Iterator[Callable[[], None]]:
    """Meanwhile the drill is known to have begun; what is yielded is called when it has a record of its own."""
    facts = _facts(order, view, clock.utc_now())
    if facts is None:  # nothing to drill: that is refused with words of its own
        yield lambda: None
        return
    with drill_mark(order.root, order.drill_id, facts.model_dump_json().encode()) as has_record:
        yield has_record


def publish_interrupted(order: DrillOrder, signer: Signer, places: RestorePlaces) -> list[DrillRecord]:
    """Destroy what dead drills left, and put a record of each of this environment on the store.

    Raises the ``StoreError`` family, ``CouldNotMeasure`` and ``SandboxNotDestroyed``; what is not published yet is
    then left for the next.
    """
    sweep_sandboxes(order.root)
    published = []
    with marks_left(order.root) as marks:
        for path, raw in marks.items():
            record = _record(raw)
            if record is None:  # it died while it wrote this, before it had restored anything
                path.unlink()
            elif record.environment == order.environment:
                if not _has_record(record.file_name, places):
                    publish_record(record, signer, places)
                    published.append(record)
                path.unlink()
    return published


def _has_record(name: str, places: RestorePlaces) -> bool:
    """It may have died between its record and the end of its mark. A torn record is a doubt for whoever reads them."""
    with places.store.connect() as store:
        return any(stat.name == name for stat in store.list())


def _record(raw: bytes) -> DrillRecord | None:
    try:
        facts = DrillFacts.model_validate_json(raw)
    except ValidationError:
        return None
    now = clock.utc_now()
    destroyed = facts.sandbox.model_copy(update={"destroyed_at": now})
    return DrillRecord.of(facts.model_copy(update={"ended_at": now, "sandbox": destroyed}))


def _facts(order: DrillOrder, view: DrillView, started: dt.datetime) -> DrillFacts | None:
    backups = tuple(
        DrilledBackup(
            backup_id=newest.manifest.backup_id,
            service=newest.manifest.service,
            source=newest.manifest.source,
            data_timestamp=newest.manifest.data_timestamp,
            choice="newest" if order.point == Point() else "named",
            plain_bytes=newest.manifest.totals.plain_bytes,
            rows=newest.manifest.totals.rows,
            milliseconds=0,
        )
        for label in order.labels
        if (newest := view.catalogs[label].newest_good)
    )
    if not backups:
        return None
    return DrillFacts(
        environment=order.environment,
        drill_id=order.drill_id,
        drill_kind=order.kind,
        started_at=started,
        ended_at=started,
        policy=order.policy.reference,
        backups=backups,
        sandbox=Sandbox(kind="folder", settings={}, destroyed_at=None),
        phases=(),
        rto=None,
        rpo=None,
        comparisons=(),
        interrupted=True,
        tools={"lifeboat": version("lifeboat")},
    )

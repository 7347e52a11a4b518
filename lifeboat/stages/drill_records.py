"""Past drills: the signed records of an environment, as its store has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lifeboat.adapters.store import Store
from lifeboat.errors import SignatureInvalid
from lifeboat.model.drill_record import DrillRecord, parse_drill_name
from lifeboat.model.restore_estimate import RestoreEstimate, estimate_restore
from lifeboat.model.restore_outcome import PlannedObject
from lifeboat.model.signed import TrustedKeys
from lifeboat.stages.catalog import read_whole
from lifeboat.stages.restore_order import RestoreOrder, RestorePlaces

COUNTED = 20
"""Drills that a restore is foretold by: older ones were of other sizes, perhaps of another machine."""
RECORD_LIMIT = 4 * 2**20
"""Bytes; what is larger is no drill record."""


@dataclass(frozen=True)
class PastDrills:
    """``records`` are verified, oldest first. ``doubts`` name those that count for nothing, and say why."""

    records: tuple[DrillRecord, ...]
    doubts: tuple[str, ...] = ()


def read_drill_records(
    store: Store, environment: str, trusted: TrustedKeys, *, newest: int | None = None
) -> PastDrills:
    """The drill records in an environment's folder: all, or so many of the ``newest``, as their names say it.

    A record that is not what was signed is a doubt and no error: it proves nothing, and hides nothing that the others
    prove. Raises the ``StoreError`` family.
    """
    records, doubts = [], []
    names = sorted(stat.name for stat in store.list() if parse_drill_name(stat.name))
    for name in names if newest is None else names[-newest:]:
        try:
            records.append(_verified(read_whole(store, name, RECORD_LIMIT), name, environment, trusted))
        except SignatureInvalid as error:
            doubts.append(error.message)
    return PastDrills(tuple(sorted(records, key=lambda record: record.started_at)), tuple(doubts))


def estimate_restoration(
    order: RestoreOrder, places: RestorePlaces, planned: Sequence[PlannedObject]
) -> RestoreEstimate:
    """How long the planned restore will take, by the newest drills of the environment that the backups are of."""
    with places.store.connect() as store:
        past = read_drill_records(store, order.environment, places.trusted, newest=COUNTED)
    return estimate_restore(planned, past.records)


def _verified(raw: bytes, name: str, environment: str, trusted: TrustedKeys) -> DrillRecord:
    statement = trusted.verify(raw, where=name)
    try:
        record = DrillRecord.model_validate_json(json.dumps(statement))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the statement"
        raise SignatureInvalid(f"{name} is no drill record: {place}: {problem['msg']}.") from None
    if (record.environment, record.file_name) != (environment, name):
        raise SignatureInvalid(f"{name} is the record {record.drill_id} of {record.environment}.")
    return record

"""Dump: run the producers of a batch. Always called by ``encrypt``: their bytes go through one pipe."""

from __future__ import annotations

from prefect import task

from lifeboat.model.parts import Batch
from lifeboat.stages.encrypt import DumpedPart, Frozen, dump_batch
from lifeboat.stages.voyage import Voyage
from tasks.options import ONCE


@task(name="dump", task_run_name="dump {batch.label}", **ONCE)
def dump(voyage: Voyage, frozen: Frozen, batch: Batch) -> tuple[DumpedPart, ...]:
    """Run pg_dump and COPY for every part of the batch; fails when any of them ends badly."""
    return dump_batch(voyage, frozen, batch)

"""Encrypt: seal a batch while it is dumped, and account for every byte."""

from __future__ import annotations

from prefect import task

from lifeboat.model.parts import Batch
from lifeboat.stages.encrypt import Frozen, SealedBatch, account_for
from lifeboat.stages.voyage import Voyage
from tasks.dump import dump
from tasks.options import ONCE


@task(name="encrypt", task_run_name="encrypt {batch.label}", **ONCE)
def encrypt(voyage: Voyage, frozen: Frozen, batch: Batch) -> SealedBatch:
    """Compress and encrypt what ``dump`` produces, in one pass into the spool: no plaintext on disk.

    ``dump`` is a child run of this one: either failing fails the pair.
    """
    return account_for(batch, dump(voyage, frozen, batch), frozen)

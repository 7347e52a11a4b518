"""Checksum: read back what was uploaded."""

from __future__ import annotations

from prefect import task

from lifeboat.stages.upload import CheckedBatch, SentBatch, check_batch
from lifeboat.stages.voyage import Voyage
from tasks.options import REPEATED


@task(name="checksum", task_run_name="checksum {sent.sealed.batch.label}", **REPEATED)
def checksum(voyage: Voyage, sent: SentBatch) -> CheckedBatch:
    """Compare length and SHA-256 of every part, read over a new connection, with what was sealed."""
    return check_batch(voyage, sent)

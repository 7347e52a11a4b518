"""Upload: send a sealed batch to the store."""

from __future__ import annotations

from prefect import task
from prefect.runtime import task_run

from lifeboat.stages.encrypt import SealedBatch
from lifeboat.stages.upload import SentBatch, upload_batch
from lifeboat.stages.voyage import Voyage
from tasks.options import REPEATED


@task(name="upload", task_run_name="upload {sealed.batch.label}", **REPEATED)
def upload(voyage: Voyage, backup_id: str, sealed: SealedBatch) -> SentBatch:
    """Send every part of the batch over a fresh connection, under names never used before.

    Repeated after a lost connection, from the spool: the databases are not dumped again.
    """
    return upload_batch(voyage, backup_id, sealed, attempt=(task_run.run_count or 1) - 1)

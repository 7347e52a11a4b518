"""Publish: the signed manifest, last of all. From here on the backup exists."""

from __future__ import annotations

from prefect import task

from lifeboat.errors import SuspectBackup
from lifeboat.stages import publish as stage
from lifeboat.stages.contents import Contents
from lifeboat.stages.publish import Published
from lifeboat.stages.voyage import Voyage
from tasks.board import keep_anchor
from tasks.options import ONCE


@task(name="publish", task_run_name="publish {voyage.label} {contents.backup_id}", **ONCE)
def publish(voyage: Voyage, contents: Contents, timings: dict[str, int]) -> Published:
    """Seal the index, sign the manifest, link it to the chain, read both back."""
    published = stage.publish(voyage, contents, timings)
    keep_anchor(voyage.environment_name, voyage.chain, published.head)
    return published


def refuse_suspect(published: Published) -> None:
    """Turn the run red for a backup that is committed but suspect (F9); raises ``SuspectBackup``."""
    manifest = published.manifest
    if manifest.quality == "suspect":
        raise SuspectBackup(
            f"{manifest.backup_id} is committed but suspect: {'; '.join(manifest.doubts)}.",
            hint="Look at the source. Older backups are untouched, and this one never displaces a good one.",
        )

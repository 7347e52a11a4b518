"""Restore of files: choose a backup of a tree, bring files back into a new folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import create_table_artifact

from lifeboat.adapters.loading import Loader
from lifeboat.model.manifest import Manifest
from lifeboat.model.outcome import human_bytes
from lifeboat.model.patterns import Selection
from lifeboat.model.signed import TrustedKeys
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.fetch import choose, fetch_tree_index, read_catalog
from lifeboat.stages.restore_tree import RestoredTree, restore_tree
from tasks.options import ONCE, REPEATED


@task(name="choose backup", task_run_name="choose backup of {environment}/{chain}", **REPEATED)
def choose_tree(
    environment: str,
    chain: str,
    loader: Loader,
    trusted: TrustedKeys,
    *,
    backup: str | None,
    at: dt.datetime | None,
) -> tuple[Manifest, TreeIndex]:
    """Verify signature, chain and index of the backup."""
    manifest = choose(
        read_catalog(loader.store, environment, chain, trusted), backup_id=backup, at=at
    ).manifest
    return manifest, fetch_tree_index(loader.store, manifest, loader.identities)


@task(name="restore files", task_run_name="restore files into {folder}", **ONCE)
def restore_into(
    index: TreeIndex, folder: str, loader: Loader, paths: Sequence[str], jobs: int
) -> RestoredTree:
    """Fetch, verify, decrypt and write in one stream per part; the folder gets its name last of all."""
    wanted = Selection(include=tuple(paths) or ("**",)).takes
    return restore_tree(index, Path(folder), loader, wanted=wanted, jobs=jobs)


@task(name="report restore", **ONCE)
def report_files(key: str, manifest: Manifest, restored: RestoredTree) -> None:
    """What came back, and from when it is."""
    create_table_artifact(
        key=f"restore-{key}",
        table=[
            {
                "restored into": str(restored.folder),
                "files": f"{restored.files:,}",
                "size": human_bytes(restored.size),
                "seconds": f"{restored.seconds:.1f}",
            }
        ],
        description=f"From **{manifest.backup_id}**, data of {manifest.data_timestamp:%Y-%m-%d %H:%M:%S} UTC; "
        f"{human_bytes(restored.fetched)} in parts, every file verified against the signed index.",
    )

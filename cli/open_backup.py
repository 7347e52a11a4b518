"""A committed backup and its index, as the commands that look into one need them."""

from __future__ import annotations

from cli.open_environment import OpenEnvironment, chains_of, read_view
from cli.prefect_api import prefect_errors
from lifeboat.errors import Refused
from lifeboat.model.catalog import Entry
from lifeboat.model.index import Index
from lifeboat.model.manifest import Manifest
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.fetch import fetch_index, fetch_tree_index


def find_entry(opened: OpenEnvironment, backup_id: str) -> Entry:
    """A committed backup of any chain of the environment; raises ``Refused`` when there is none of that id."""
    (entry,) = find_entries(opened, backup_id)
    return entry


def find_entries(opened: OpenEnvironment, *backup_ids: str) -> list[Entry]:
    """Several of them from one look at the store, in the order asked for."""
    chains = chains_of(opened, read_view(opened))
    committed = {entry.manifest.backup_id: entry for chain in chains for entry in chain.catalog.entries}
    for backup_id in backup_ids:
        if backup_id not in committed:
            raise Refused(
                f"Environment {opened.name!r} has no committed backup {backup_id!r}.",
                hint=f"`lifeboat list {opened.name}` shows what there is, and what is damaged or missing.",
            )
    return [committed[backup_id] for backup_id in backup_ids]


def open_index(opened: OpenEnvironment, manifest: Manifest) -> Index | TreeIndex:
    """The index of a backup, opened with the identity for indexes."""
    from blocks.harbour import load_index_identity

    with prefect_errors():
        identities = [load_index_identity(opened.name)]
    if manifest.source_kind == "tree":
        return fetch_tree_index(opened.store, manifest, identities)
    return fetch_index(opened.store, manifest, identities)

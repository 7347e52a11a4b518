"""The newest good backup as the one to carry on from: what it holds need not travel again, if it is all still there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from lifeboat.adapters.store import ObjectStat, Store
from lifeboat.model.carried import Yesterday
from lifeboat.model.catalog import Catalog
from lifeboat.model.manifest import Manifest, StoredObject
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.catalog import look
from lifeboat.stages.fetch import read_index, read_tree_index
from lifeboat.stages.voyage import ServerVoyage, TreeVoyage, Voyage, fingerprint


def yesterdays_tree(voyage: TreeVoyage, today: dt.date) -> TreeIndex | None:
    """The index to carry on from; None when this backup must be fresh."""
    with voyage.store.connect() as store:
        manifest = _to_carry_on_from(voyage, store, today, "tree")
        return read_tree_index(store, manifest, [voyage.keys.index_identity]) if manifest else None


def yesterdays_tables(voyage: ServerVoyage, today: dt.date) -> Yesterday:
    """The table parts to carry on from; none when this backup must be fresh."""
    with voyage.store.connect() as store:
        manifest = _to_carry_on_from(voyage, store, today, "postgres")
        return Yesterday(read_index(store, manifest, [voyage.keys.index_identity]) if manifest else None)


def _to_carry_on_from(voyage: Voyage, store: Store, today: dt.date, kind: str) -> Manifest | None:
    """The newest good backup, unless this one must be fresh.

    The first good backup of a calendar month is: it references nothing older, so that every month's data was written
    and read back in that month (design §3). So is the first after a change of recipients: older parts are not sealed
    for the new ones. A part that does not lie on the store as it was signed is never carried.
    """
    view = look(store, voyage.environment_name, voyage.keys.trusted, chain=voyage.chain)
    catalog = view.catalog(voyage.chain, voyage.keys.trusted, voyage.anchor)
    newest = catalog.newest_good
    if newest is None or newest.manifest.source_kind != kind or is_fresh_due(catalog, today):
        return None
    if set(newest.manifest.recipients) != {fingerprint(recipient) for recipient in voyage.keys.recipients}:
        return None
    return newest.manifest if all_there(newest.manifest.needed, view.listing) else None


def is_fresh_due(catalog: Catalog, today: dt.date) -> bool:
    """Whether this month has no good backup yet."""
    newest = catalog.newest_good
    return newest is None or (newest.manifest.day.year, newest.manifest.day.month) != (
        today.year,
        today.month,
    )


def all_there(needed: Sequence[StoredObject], listing: Sequence[ObjectStat]) -> bool:
    """Whether every object lies on the store with the size that was signed."""
    sizes = {stat.name: stat.size for stat in listing}
    return all(sizes.get(stored.name) == stored.size for stored in needed)

"""Reading the catalog of a source from the store: listing, manifests, and the newest prune record."""

from __future__ import annotations

import io
from dataclasses import dataclass

from lifeboat.adapters.store import ObjectStat, Store
from lifeboat.model.catalog import Catalog, build_catalog
from lifeboat.model.manifest import ChainLink, parse_manifest_name
from lifeboat.model.prune_record import PruneRecord, newest_record, parse_record_name
from lifeboat.model.signed import TrustedKeys

MANIFEST_LIMIT = 64 * 2**20
"""A manifest larger than this is not one; it is never read into memory whole."""


@dataclass(frozen=True)
class StoreView:
    """One look at an environment's folder: the listing, and every manifest and prune record in it."""

    environment: str
    listing: tuple[ObjectStat, ...]
    manifests: dict[str, bytes]
    record: PruneRecord | None
    next_record: int

    @property
    def chains(self) -> tuple[str, ...]:
        found = (parse_manifest_name(name) for name in self.manifests)
        pruned = self.record.pruned if self.record else {}
        return tuple(sorted({place[0] for place in found if place} | pruned.keys()))

    def catalog(self, chain: str, trusted: TrustedKeys, anchor: ChainLink | None = None) -> Catalog:
        pruned = self.record.pruned.get(chain, ()) if self.record else ()
        return build_catalog(self.environment, chain, self.manifests, trusted, pruned=pruned, anchor=anchor)


def read_whole(store: Store, name: str, limit: int = MANIFEST_LIMIT) -> bytes:
    """An object in memory; one over ``limit`` is returned cut, so that it fails its signature."""
    data = io.BytesIO()  # it hands out what it holds; an index has 60 MB
    for chunk in store.read(name):
        data.write(chunk)
        if data.tell() > limit:
            break
    data.truncate(limit)
    return data.getvalue()


def look(store: Store, environment: str, trusted: TrustedKeys, *, chain: str | None = None) -> StoreView:
    """Read the folder once. With ``chain`` only that chain's manifests are fetched.

    Raises the ``StoreError`` family; a listing that fails is never taken for an empty one (F39).
    """
    listing = tuple(store.list())
    names = [stat.name for stat in listing]
    wanted = [name for name in names if (place := parse_manifest_name(name)) and chain in (None, place[0])]
    records = {name: read_whole(store, name) for name in names if parse_record_name(name) is not None}
    record, next_record = newest_record(environment, records, trusted)
    return StoreView(
        environment=environment,
        listing=listing,
        manifests={name: read_whole(store, name) for name in wanted},
        record=record,
        next_record=next_record,
    )

"""Orphans: objects that no committed backup names, left by crashed runs and by repeated uploads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from lifeboat.model.manifest import Manifest, parse_object_name


@dataclass(frozen=True)
class Listed:
    """An object of the listing; ``modified`` by the store's clock, or None."""

    name: str
    size: int
    modified: dt.datetime | None


@dataclass(frozen=True)
class Orphan:
    """``reapable``: older than the grace period by its own name *and* by the store's clock."""

    name: str
    size: int
    reapable: bool


def find_orphans(
    listing: Iterable[Listed], manifests: Iterable[Manifest], *, now: dt.datetime, grace: dt.timedelta
) -> list[Orphan]:
    """Parts and indexes that no manifest names. Objects of any other name are never touched."""
    named = {stored.name for manifest in manifests for stored in manifest.needed}
    orphans = []
    for item in listing:
        parsed = parse_object_name(item.name)
        if parsed is None or item.name in named:
            continue
        old = item.modified is not None and now - max(parsed[1], item.modified) > grace
        orphans.append(Orphan(item.name, item.size, reapable=old))
    return orphans

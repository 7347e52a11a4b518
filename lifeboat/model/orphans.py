"""Orphans: objects that no committed backup names, left by crashed runs and by repeated uploads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from lifeboat.model.manifest import Manifest, parse_object_name

COMMIT_LIMIT: Final = dt.timedelta(minutes=10)
"""From the upload of its index to its manifest a run takes no longer; then it gives up."""
MAY_STILL_COMMIT: Final = dt.timedelta(minutes=30)
"""Longer than the limit by more than two clocks may differ."""


@dataclass(frozen=True)
class Listed:
    """An object of the listing; ``modified`` by the store's clock, or None."""

    name: str
    size: int
    modified: dt.datetime | None


@dataclass(frozen=True)
class Orphan:
    """``age`` by its own name and by the store's clock, whichever is less; None when the store does not say.

    ``reapable``: older than the grace period.
    """

    name: str
    size: int
    reapable: bool
    age: dt.timedelta | None = None


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
        age = None if item.modified is None else now - max(parsed[1], item.modified)
        orphans.append(Orphan(item.name, item.size, reapable=age is not None and age > grace, age=age))
    return orphans


def under_way(orphans: Iterable[Orphan], announced: Collection[str]) -> bool:
    """Whether some run may be about to commit: an index without a manifest, young enough to get one yet.

    Not one that is announced to go: its manifest is gone already, in a prune that was cut off.
    """
    return any(
        orphan.name.endswith(".index.age")
        and (orphan.age is None or orphan.age < MAY_STILL_COMMIT)
        and orphan.name not in announced
        for orphan in orphans
    )

"""Snapshot of a file tree: what is in it now, what of it yesterday's backup already holds, and what must travel."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from lifeboat import clock
from lifeboat.adapters.sealing import Pack, Producer
from lifeboat.adapters.tree import FrozenView, TreeOrigin, TreeTarget
from lifeboat.model.index import IndexFinding, IndexPart
from lifeboat.model.listing import Listing
from lifeboat.model.manifest import Consistency
from lifeboat.model.packing import (
    SETTLED_AFTER,
    FilePack,
    Pair,
    cut_parts,
    kept_parts,
    pair,
    travelling,
)
from lifeboat.model.parts import Lane, PartKind, PlannedPart, plan_lanes
from lifeboat.model.tree import EntryKind
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.voyage import TreeVoyage
from lifeboat.stages.yesterday import yesterdays_tree

STREAMS = 3
"""Parts that are packed at the same time."""
BATCHES = 40


@dataclass(frozen=True)
class FrozenTree:
    """A tree at its data timestamp. ``packs`` are the files of each part that travels, by part number."""

    target: TreeTarget
    data_timestamp: dt.datetime
    consistency: Consistency
    deadline: clock.Deadline
    listing: Listing = field(repr=False)
    packs: dict[int, FilePack] = field(repr=False)
    yesterday: TreeIndex | None = field(repr=False)
    kept: frozenset[int]
    counts: Counter[EntryKind]
    findings: tuple[IndexFinding, ...]
    may_leave_out: bool = False
    """Whether a file that may not be read is a finding rather than the end of the run (policy: ``unreadable``)."""

    def pairs(self) -> Iterator[Pair]:
        """Today's entries, each with yesterday's member where it may be carried."""
        return _pairs(self.listing, self.yesterday)

    def referenced(self) -> tuple[IndexPart, ...]:
        """Parts of older backups that stay in use, in the order of their old numbers."""
        parts = self.yesterday.header.parts if self.yesterday else ()
        return tuple(part for part in parts if part.number in self.kept)

    def producer(self, part: PlannedPart) -> Producer:
        return Pack(
            label=f"pack {len(self.packs[part.number]):,} files",
            tree=self.target,
            part=part.number,
            entries=self.packs[part.number].lines,
            watched=self.consistency != "snapshot",
        )


@dataclass(frozen=True)
class TreeView:
    """An open view of a tree, to be read until ``deadline``."""

    frozen: FrozenView
    data_timestamp: dt.datetime
    deadline: clock.Deadline


@contextmanager
def open_view(origin: TreeOrigin, age_limit: dt.timedelta) -> Iterator[TreeView]:
    """Freeze a tree; at the end the view is released. Raises what the origin raises."""
    deadline = clock.Deadline.after(age_limit.total_seconds(), "limits.snapshot_age")
    with origin.frozen() as frozen:
        yield TreeView(frozen, frozen.data_timestamp or clock.utc_now(), deadline)


def frozen_tree(voyage: TreeVoyage, view: TreeView) -> FrozenTree:
    """Walk the view once, and decide what travels.

    Raises what the tree raises: ``SourceUnreachable``, ``SourceDenied``, ``SourceMissing`` …
    """
    today = view.data_timestamp.astimezone(ZoneInfo(voyage.time_zone)).date()
    with ThreadPoolExecutor(1) as pool:  # the store and the source answer at the same time
        fetching = pool.submit(yesterdays_tree, voyage, today)
        with view.frozen.target.connect() as tree:
            listing = Listing(tree.walk())
        yesterday = fetching.result()
    decided = decide(view, listing, yesterday, consistency=voyage.source.consistency)
    return replace(decided, may_leave_out=getattr(voyage.source, "unreadable", "fail") == "finding")


def decide(
    view: TreeView, listing: Listing, yesterday: TreeIndex | None, *, consistency: Consistency
) -> FrozenTree:
    """What is carried and what travels, in which parts. ``yesterday`` is None for a fresh backup."""
    plain = {part.number: part.plain_bytes for part in yesterday.header.parts} if yesterday else {}
    living: Counter[int] = Counter()
    packs = tuple(cut_parts(travelling(_pairs(listing, yesterday), living)))
    kept = kept_parts(living, plain)
    # Most days no part is given up, and a second walk over both lists is saved.
    if given_up := living.keys() - kept:
        packs = tuple(cut_parts(travelling(_pairs(listing, yesterday), Counter(), given_up)))
    return FrozenTree(
        target=view.frozen.target,
        data_timestamp=view.data_timestamp,
        consistency=consistency,
        deadline=view.deadline,
        listing=listing,
        packs=dict(enumerate(packs, start=1)),
        yesterday=yesterday,
        kept=kept,
        counts=listing.counts,
        findings=(*view.frozen.findings, *_findings(listing.counts)),
    )


def _pairs(listing: Listing, yesterday: TreeIndex | None) -> Iterator[Pair]:
    if yesterday is None:
        return pair(listing.lines, (), settled_ns=0)
    settled = yesterday.header.data_timestamp - SETTLED_AFTER
    return pair(listing.lines, yesterday.lines(), settled_ns=round(settled.timestamp() * 10**9))


def _findings(counts: Counter[EntryKind]) -> tuple[IndexFinding, ...]:
    specials = counts[EntryKind.SPECIAL]
    if not specials:
        return ()
    message = f"{specials} devices, FIFOs or sockets are in the tree; they hold no data and are left out"
    return (IndexFinding(code="special-files-skipped", clause="P1", message=message),)


def lanes_of_tree(voyage: TreeVoyage, frozen: FrozenTree) -> list[Lane]:
    """The parts that travel, shared out over lanes; no lane at all when nothing changed."""
    parts = [
        PlannedPart(number, PartKind.FILES, "", (), pack.weight) for number, pack in frozen.packs.items()
    ]
    if not parts:
        return []
    voyage.progress.expect(parts, turns=1)
    return plan_lanes(parts, streams=STREAMS, batches=BATCHES)

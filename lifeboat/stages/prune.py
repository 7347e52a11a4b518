"""Prune: decide from verified manifests, write the tombstone, delete exact names.

Manifests go first: from then on the backup does not exist, and a crash leaves only unnamed objects that the prune
record still lists. Nothing is deleted recursively, by pattern, or because a listing lacks something (F37–F40).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from lifeboat import clock
from lifeboat.adapters.store import Store, StoreTarget
from lifeboat.errors import ChainBroken, PruneRefused, StoreObjectMissing
from lifeboat.model.catalog import Catalog, merge_ranges
from lifeboat.model.manifest import (
    ChainLink,
    Manifest,
    PolicyReference,
    manifest_name,
    parse_manifest_name,
    parse_object_name,
)
from lifeboat.model.orphans import Listed, Orphan, find_orphans, under_way
from lifeboat.model.policy_environment import Environment
from lifeboat.model.prune_record import PrunedBackup, PruneRecord, record_name
from lifeboat.model.retention import Decision, RetentionPlan, plan_retention
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.catalog import StoreView, look, read_whole

CLOCK_SKEW = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Pruning:
    """Who prunes what: everything but the decision."""

    environment_name: str
    environment: Environment
    chain: str
    run_id: str
    policy: PolicyReference
    time_zone: str
    store: StoreTarget
    signer: Signer
    trusted: TrustedKeys
    anchor: ChainLink | None = None


@dataclass(frozen=True)
class PruneReport:
    """What was decided and done. ``freed`` counts bytes of objects that are gone."""

    plan: RetentionPlan
    deleted: tuple[str, ...]
    freed: int
    orphans: tuple[Orphan, ...]
    reaped: tuple[str, ...]


def plan_prune(pruning: Pruning, catalog: Catalog, doubts: Sequence[str] = ()) -> RetentionPlan:
    """The retention plan of one chain, now."""
    now = clock.utc_now()
    return plan_retention(
        [entry.facts() for entry in catalog.entries],
        pruning.environment.retention_of(pruning.chain),
        today=now.astimezone(ZoneInfo(pruning.time_zone)).date(),
        now=now,
        doubts=(*catalog.doubts, *doubts),
    )


def prune(pruning: Pruning, doubts: Sequence[str] = ()) -> PruneReport:
    """Finish what an earlier prune began, then decide and delete.

    Raises ``PruneRefused`` with every doubt; then nothing was deleted. ``doubts`` are the caller's, for example a
    server whose clock is off.
    """
    with pruning.store.connect() as store:
        view = look(store, pruning.environment_name, pruning.trusted)
        if resumed := _finish_record(store, pruning, view):
            view = look(store, pruning.environment_name, pruning.trusted)
        catalog = view.catalog(pruning.chain, pruning.trusted, pruning.anchor)
        plan = plan_prune(pruning, catalog, (*doubts, *store_clock_doubts(view, catalog)))
        if plan.refusals:
            raise PruneRefused(
                f"{pruning.environment_name}/{pruning.chain}: nothing was pruned:\n"
                + "\n".join(f"  {refusal}" for refusal in plan.refusals),
                hint="Look at each with `lifeboat status` and `lifeboat list`; backups go on meanwhile.",
            )
        orphans = _orphans(pruning, view)
        backups, reapable = _doomed(catalog, plan.delete), _reapable(pruning, view, orphans)
        left = _left_over(view, orphans)
        gone = _delete(store, pruning, view, backups, (*reapable, *left)) if backups or reapable else ()
    return _report(view, plan, orphans, resumed, gone, reapable)


def _report(
    view: StoreView,
    plan: RetentionPlan,
    orphans: Sequence[Orphan],
    resumed: tuple[str, ...],
    gone: tuple[str, ...],
    reapable: Collection[str],
) -> PruneReport:
    sizes = {stat.name: stat.size for stat in view.listing}
    pruned = tuple(name for name in gone if name not in reapable)
    return PruneReport(
        plan=plan,
        deleted=(*resumed, *pruned),
        freed=sum(sizes.get(name, 0) for name in pruned),
        orphans=tuple(orphans),
        reaped=tuple(name for name in gone if name in reapable),
    )


def store_clock_doubts(view: StoreView, catalog: Catalog) -> list[str]:
    """The third clock: the store's, on the newest manifest, against when we committed it (F35)."""
    if catalog.newest is None:
        return []
    name = catalog.newest.manifest.file_name
    modified = next((stat.modified for stat in view.listing if stat.name == name), None)
    skew = modified - catalog.newest.manifest.committed_at if modified else dt.timedelta(0)
    if abs(skew) <= CLOCK_SKEW:
        return []
    return [
        f"the store's clock is {round(skew.total_seconds())} s off the clock of the worker that wrote {name}"
    ]


def _finish_record(store: Store, pruning: Pruning, view: StoreView) -> tuple[str, ...]:
    """Delete what the newest record names and a crash left behind, or a run under way made us wait for (F40)."""
    if view.record is None:
        return ()
    present = {stat.name for stat in view.listing}
    left = [name for name in view.record.announced if name in present]
    return _delete_spared(store, pruning, view, left) if left else ()


def _delete(
    store: Store,
    pruning: Pruning,
    view: StoreView,
    backups: tuple[PrunedBackup, ...],
    orphans: tuple[str, ...],
) -> tuple[str, ...]:
    """Announce, look again, delete; returns the names that are gone.

    A run that refers to parts of older backups does the same the other way round: it puts its index up, and then looks
    at the newest record. So one of the two sees the other, and nothing goes that a committed backup needs.
    """
    record = _write_record(store, pruning, view, backups, orphans)
    again = look(store, pruning.environment_name, pruning.trusted)
    return _delete_spared(store, pruning, again, record.announced)


def _delete_spared(
    store: Store, pruning: Pruning, view: StoreView, announced: Sequence[str]
) -> tuple[str, ...]:
    """Delete announced objects, but for those that a backup needs which stays, or may soon need."""
    manifests = [manifest for manifest in _manifests(pruning, view) if manifest.file_name not in announced]
    needed = {stored.name for manifest in manifests for stored in manifest.needed}
    if under_way(_orphans(pruning, view), announced):
        needed |= {name for name in announced if parse_object_name(name)}
    return tuple(name for name in announced if name not in needed and _delete_object(store, name))


def _delete_object(store: Store, name: str) -> bool:
    try:
        store.delete_exact(name)
    except StoreObjectMissing:
        return False
    return True


def _doomed(catalog: Catalog, decisions: Sequence[Decision]) -> tuple[PrunedBackup, ...]:
    """What goes with each backup: its manifest, and of the objects it needs those that no kept manifest names."""
    going = {decision.backup.backup_id for decision in decisions}
    kept = {
        stored.name
        for entry in catalog.entries
        if entry.manifest.backup_id not in going
        for stored in entry.manifest.needed
    }
    return tuple(_doomed_backup(catalog, decision, kept) for decision in decisions)


def _doomed_backup(catalog: Catalog, decision: Decision, kept: Collection[str]) -> PrunedBackup:
    entry = catalog.find(decision.backup.backup_id)
    assert entry is not None
    manifest = entry.manifest
    before = manifest.previous.sequence if manifest.previous else 0
    torn = [
        manifest_name(catalog.chain, place) for place in catalog.torn if before < place < manifest.sequence
    ]
    payload = [stored.name for stored in manifest.needed if stored.name not in kept]
    names = (manifest.file_name, *payload, *torn)
    return PrunedBackup(
        backup_id=manifest.backup_id,
        chain=catalog.chain,
        sequence=manifest.sequence,
        reasons=decision.reasons,
        objects=names,
        size=decision.backup.size,
    )


def _torn_places(backup: PrunedBackup) -> list[int]:
    """Places that only this backup's manifest explains, and that go with it."""
    found = (parse_manifest_name(name) for name in backup.objects)
    return [place[1] for place in found if place and place[1] != backup.sequence]


def _write_record(
    store: Store,
    pruning: Pruning,
    view: StoreView,
    backups: tuple[PrunedBackup, ...],
    orphans: tuple[str, ...],
) -> PruneRecord:
    before = dict(view.record.pruned) if view.record else {}
    places = [backup.sequence for backup in backups] + [
        place for backup in backups for place in _torn_places(backup)
    ]
    pruned = before | {
        pruning.chain: merge_ranges([*before.get(pruning.chain, ()), *((place, place) for place in places)])
    }
    record = PruneRecord(
        environment=pruning.environment_name,
        sequence=view.next_record,
        run_id=pruning.run_id,
        decided_at=clock.utc_now(),
        policy=pruning.policy,
        backups=backups,
        orphans=orphans,
        pruned=pruned,
    )
    raw = pruning.signer.sign(record.model_dump(mode="json"))
    name = record_name(record.sequence)
    store.create_new(name, [raw])
    with pruning.store.connect() as fresh:
        if read_whole(fresh, name) != raw:
            raise ChainBroken(f"The prune record {name} does not read back as written; nothing was deleted.")
    return record


def _manifests(pruning: Pruning, view: StoreView) -> list[Manifest]:
    """Every valid manifest of the environment."""
    catalogs = [view.catalog(chain, pruning.trusted) for chain in view.chains]
    return [entry.manifest for catalog in catalogs for entry in catalog.entries]


def _orphans(pruning: Pruning, view: StoreView) -> list[Orphan]:
    return find_orphans(
        [Listed(stat.name, stat.size, stat.modified) for stat in view.listing],
        _manifests(pruning, view),
        now=clock.utc_now(),
        grace=pruning.environment.store.orphan_grace,
    )


def _reapable(pruning: Pruning, view: StoreView, orphans: Sequence[Orphan]) -> tuple[str, ...]:
    """This chain's orphans past their grace; none while any chain of the environment is in doubt.

    Only this chain's: its head is known from off the store, while of another a listing may lack the newest manifest
    without a gap to show for it, and its parts would look like orphans (F39).
    """
    if any(view.catalog(chain, pruning.trusted).doubts for chain in view.chains):
        return ()
    return tuple(orphan.name for orphan in orphans if orphan.reapable and _is_of(pruning.chain, orphan.name))


def _left_over(view: StoreView, orphans: Sequence[Orphan]) -> tuple[str, ...]:
    """What the newest record announced and still had to wait: the next record announces it again."""
    announced = view.record.announced if view.record else ()
    return tuple(orphan.name for orphan in orphans if orphan.name in announced and not orphan.reapable)


def _is_of(chain: str, name: str) -> bool:
    """Whether a part's or an index's name is of this chain, and not of one whose name only begins alike."""
    parsed = parse_object_name(name)
    return parsed is not None and parsed[0].startswith(f"{chain}-{parsed[1]:%Y%m%dT%H%M%SZ}-")

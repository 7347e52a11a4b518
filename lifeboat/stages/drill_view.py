"""What a drill looks at before it begins: the catalogs of its sources, and the drills before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.catalog import Catalog
from lifeboat.model.drill_choice import OlderBackup, choose_older
from lifeboat.model.drill_extrapolation import Amount, extrapolated_phases
from lifeboat.model.phases import Phase
from lifeboat.stages.catalog import look
from lifeboat.stages.drill_facts import Drilled, DrillOrder, drilled_backup, measured_phases
from lifeboat.stages.drill_records import PastDrills, read_drill_records
from lifeboat.stages.restoration import catalog_of
from lifeboat.stages.restore_order import RestorePlaces


@dataclass(frozen=True)
class DrillView:
    """``catalogs`` by source, as service/source: of the whole environment, also where only some of it is drilled.

    ``lost`` are objects that manifests name and the store has not, or not in the size that was signed.
    """

    catalogs: Mapping[str, Catalog]
    past: PastDrills
    lost: Mapping[str, tuple[str, ...]]


def view_for_drill(order: DrillOrder, places: RestorePlaces) -> DrillView:
    """Look at the store once. Raises the ``StoreError`` family."""
    with places.store.connect() as store:
        view = look(store, order.environment, places.trusted)
        past = read_drill_records(store, order.environment, places.trusted)
    labels = order.policy.environment(order.environment).source_labels
    catalogs = {label: catalog_of(label, view, places.trusted) for label in labels}
    sizes = {stat.name: stat.size for stat in view.listing}
    return DrillView(catalogs, past, {label: _lost(catalog, sizes) for label, catalog in catalogs.items()})


def _lost(catalog: Catalog, sizes: Mapping[str, int]) -> tuple[str, ...]:
    needed = {stored.name: stored.size for entry in catalog.entries for stored in entry.manifest.needed}
    return tuple(sorted(name for name, size in needed.items() if sizes.get(name) != size))


def note_doubts(label: str, view: DrillView, drilled: Drilled) -> None:
    """What the catalog of a source says against it, before anything is restored: it needs no restore to be red."""
    catalog, lost = view.catalogs[label], view.lost[label]
    drilled.failures["manifest-damaged"] += len(catalog.damaged)
    drilled.failures["backup-missing"] += len(catalog.missing)
    # The other doubts are about links: a manifest was replaced, or the chain forks.
    drilled.failures["chain-broken"] += len(catalog.doubts) - len(catalog.damaged) - bool(catalog.missing)
    drilled.failures["object-missing"] += len(lost)
    drilled.explanations += [f"{label}: {doubt}" for doubt in catalog.doubts]
    drilled.explanations += [f"{label}: {name} is not on the store as it was signed" for name in lost]


def phases_of_whole(order: DrillOrder, view: DrillView, drilled: Drilled) -> tuple[Phase, ...]:
    """The phases of the drill; where it was of a sample, as long as the whole would take, by past drills.

    Where those are too few the sample's own times stay, which the record then takes for no measurement; why is
    explained on the drill's page.
    """
    phases = tuple(measured_phases(order, drilled))
    if order.whole or order.cold:
        return phases
    newest = [catalog.newest_good for catalog in view.catalogs.values()]
    if not all(newest):
        drilled.explanations.append(
            "A source has no good backup, so the whole has no size to extrapolate to."
        )
        return phases
    totals = [entry.manifest.totals for entry in newest if entry]
    whole = Amount(sum(each.plain_bytes for each in totals), sum(each.rows for each in totals))
    sample = Amount.of(drilled_backup(restored) for restored in drilled.backups)
    try:
        return extrapolated_phases(phases, view.past.records, sample=sample, whole=whole)
    except CouldNotMeasure as error:
        drilled.explanations.append(f"Not extrapolated to the whole: {error.message}")
        return phases


def older_backups(order: DrillOrder, view: DrillView, now: dt.datetime) -> tuple[OlderBackup, ...]:
    """The older backups that this drill proves; none where it was narrowed down, or the policy wants none."""
    if not order.proves_older:
        return ()
    environment = order.policy.environment(order.environment)
    return choose_older(
        view.catalogs,
        {label: environment.retention_of(catalog.chain) for label, catalog in view.catalogs.items()},
        view.past.records,
        seed=order.seed,
        now=now,
        time_zone=order.policy.time_zone,
    )

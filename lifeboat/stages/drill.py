"""A drill: the newest recovery point into a sandbox, compared with what was saved, measured, destroyed (P7, P15).

Phases are timed on the monotonic clock. What could not be measured is never green, and what failed is missed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Literal

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer, server_major
from lifeboat.adapters.recovery_script import require_tools
from lifeboat.adapters.sandbox import Sandbox as OpenSandbox
from lifeboat.adapters.sandbox import sandbox
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.errors import CouldNotMeasure, DrillMissed
from lifeboat.model.catalog import Catalog
from lifeboat.model.drill_record import (
    DrillRecord,
)
from lifeboat.model.phases import PhaseName
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.restore_choice import Point
from lifeboat.model.restore_outcome import RestoreOutcome
from lifeboat.stages.drill_cold import bare_machine, restore_cold
from lifeboat.stages.drill_compare import compare_item, import_definitions, is_rabbitmq
from lifeboat.stages.drill_export import sweep_virtual_hosts
from lifeboat.stages.drill_facts import Drilled, DrillOrder, RestoredBackup, record_of
from lifeboat.stages.drill_view import DrillView, note_doubts, older_backups, phases_of_whole
from lifeboat.stages.heartbeat import last_beat
from lifeboat.stages.probes import probe_all
from lifeboat.stages.restoration import plan_restoration
from lifeboat.stages.restore_items import FAILURES, Item, ServerItem, TreeItem, told_failure
from lifeboat.stages.restore_order import RestoreOrder, RestorePlaces


@dataclass(frozen=True)
class FinishedDrill:
    record: DrillRecord
    drilled: tuple[Drilled, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """With names, for the drill's own page."""
        return tuple(found.where for each in self.drilled for found in each.differences)

    @property
    def explanations(self) -> tuple[str, ...]:
        probes = (
            f"probe {probe.service}/{probe.source} {probe.name}: {probe.verdict}, {probe.told}"
            for each in self.drilled
            for probe in each.probes
        )
        return *(text for each in self.drilled for text in each.explanations), *probes


def drill(order: DrillOrder, places: RestorePlaces, view: DrillView, loader: Loader) -> FinishedDrill:
    """Carry out a drill and judge it; a source that fails does not stop the others.

    Raises only when nothing at all came back, could be begun, or a sandbox stays behind.
    """
    if order.cold:
        require_tools()
    started = clock.utc_now()
    # What is not timed goes into ``older``.
    drilled, older = Drilled(), Drilled()
    if places.drill_broker:
        sweep_virtual_hosts(places.drill_broker, order.root)
    for label in order.labels:
        note_doubts(label, view, older)
    catalogs = tuple(view.catalogs[label] for label in order.labels)
    with sandbox(
        order.root, order.drill_id, needed=_needed(order, catalogs), lent_server=places.drill_server
    ) as place:
        for label in order.labels:
            _attempt(order, Chosen(label, order.point), places, place, loader, drilled)
        with drilled.phase(PhaseName.VERIFY):
            drilled.probes += probe_all(order.policy, order.environment, drilled.items, drilled.outcomes)
    for number, each in enumerate(older_backups(order, view, started), start=1):
        # After the measurement, and each gone before the next comes: the disk holds one at a time.
        name = f"{order.drill_id}-older-{number}"
        with sandbox(order.root, name, needed=each.plain_bytes, lent_server=places.drill_server) as place:
            chosen = Chosen(each.source, Point(backup_id=each.backup_id), each.choice)
            _attempt(order, chosen, places, place, loader, older)
    if not drilled.backups:
        told = "\n".join(f"  {text}" for text in drilled.explanations)
        raise DrillMissed(
            f"Nothing of {order.environment} could be restored:\n{told}",
            hint="Look at the store and at the identity of this host; the next drill puts a record of this one there.",
        )
    phases = phases_of_whole(order, view, drilled)
    record = record_of(order, drilled, older, phases, catalogs, started, clock.utc_now())
    return FinishedDrill(record, (drilled, older))


def _needed(order: DrillOrder, catalogs: Sequence[Catalog]) -> int:
    newest = [catalog.newest_good for catalog in catalogs]
    if not any(newest):
        if doubts := [doubt for catalog in catalogs for doubt in catalog.doubts]:
            raise DrillMissed(
                f"{order.environment} has no good backup, and its store is not what it should be:\n"
                + "\n".join(f"  {doubt}" for doubt in doubts),
                hint="Find out who changed the store; restore from the second copy.",
            )
        raise CouldNotMeasure(
            f"{order.environment} has no good backup to drill.", hint="Take one first: lifeboat backup."
        )
    return sum(entry.manifest.totals.plain_bytes for entry in newest if entry)


@dataclass(frozen=True)
class Chosen:
    """One backup to be drilled, of the source ``label``."""

    label: str
    point: Point
    older: Literal["random", "oldest-monthly"] | None = None

    @property
    def choice(self) -> Literal["newest", "random", "oldest-monthly", "named"]:
        return self.older or ("newest" if self.point == Point() else "named")


def _attempt(
    order: DrillOrder,
    chosen: Chosen,
    places: RestorePlaces,
    place: OpenSandbox,
    loader: Loader,
    drilled: Drilled,
) -> None:
    try:
        _drill_source(order, chosen, places, place, loader, drilled)
    except FAILURES as error:
        drilled.failures[failure_code(error)] += 1
        drilled.explanations.append(f"{chosen.label}: {told_failure(error)}")


def _drill_source(
    order: DrillOrder,
    chosen: Chosen,
    places: RestorePlaces,
    place: OpenSandbox,
    loader: Loader,
    drilled: Drilled,
) -> None:
    """Restore one source into a server or folder of its own, and compare it."""
    label = chosen.label
    wanted = RestoreOrder(
        environment=order.environment,
        target_environment=order.environment,
        known_sources=order.policy.environment(order.environment).source_labels,
        sources=(label,),
        point=chosen.point,
        with_roles=True,
    )
    name = label.replace("/", "-")
    here = replace(
        places,
        server=lambda major: _provision(place, name, major, drilled),
        trees=lambda _: LocalRestoreTarget(place.tree(name)),
    )
    provisioned = drilled.times.get(PhaseName.PROVISION, 0.0)
    before = drilled.transfer_seconds
    with drilled.phase(PhaseName.FETCH):
        items = plan_restoration(wanted, here)
    # The server was provided in the middle of it, when the index had told its version.
    drilled.times[PhaseName.FETCH] -= drilled.times.get(PhaseName.PROVISION, 0.0) - provisioned
    for item in items:
        try:
            outcomes = _restore(order, item, places, place, loader, drilled)
        finally:
            took = drilled.transfer_seconds - before
            drilled.backups.append(RestoredBackup(item.manifest, _rows(item), took, chosen.choice))
        drilled.outcomes += outcomes
        drilled.items[label] = item
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
        drilled.failures["not-restored"] += len(failed)
        drilled.explanations += [f"{label}, {each.what}: {each.failure}" for each in failed]
        _note_heartbeat(order, label, item, drilled)
        with drilled.phase(PhaseName.VERIFY):
            compare_item(item, loader, order.jobs, {each.what for each in failed}, drilled)
        if isinstance(item, TreeItem) and not failed and is_rabbitmq(order, label) and places.drill_broker:
            with drilled.phase(PhaseName.RESTORE):
                import_definitions(order, item, loader, places.drill_broker, drilled)


def _note_heartbeat(order: DrillOrder, label: str, item: Item, drilled: Drilled) -> None:
    """Let the data itself say how old it is, where the policy gives it the means."""
    service, name = label.split("/")
    source = order.policy.environment(order.environment).services[service].sources[name]
    if not isinstance(item, ServerItem) or not isinstance(source, PostgresSource) or not source.heartbeat:
        return
    rule = source.heartbeat
    target = next((each.target for each in item.plan.databases if each.source.name == rule.database), None)
    told = last_beat(item.server, target) if target else None
    if told is None:
        drilled.explanations.append(f"{label}: no heartbeat came back; the RPO is by the signed manifest")
        return
    drilled.backups[-1] = replace(drilled.backups[-1], data_timestamp=told)
    drilled.explanations.append(
        f"{label}: its heartbeat is of {told.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def _restore(
    order: DrillOrder,
    item: Item,
    places: RestorePlaces,
    place: OpenSandbox,
    loader: Loader,
    drilled: Drilled,
) -> list[RestoreOutcome]:
    if not order.cold:
        with drilled.phase(PhaseName.RESTORE):
            return item.carry_out(loader, order.jobs)
    with ExitStack() as stack:
        with drilled.phase(PhaseName.FETCH):
            machine = stack.enter_context(bare_machine(place.private, item.manifest, places, loader))
        with drilled.phase(PhaseName.RESTORE):
            return restore_cold(item, machine)


def _provision(place: OpenSandbox, name: str, major: int, drilled: Drilled) -> PostgresServer:
    with drilled.phase(PhaseName.PROVISION):
        server = place.server(major, name)
    drilled.server_is_lent = place.lent_server is not None
    with server.connect() as session:
        drilled.majors.add(server_major(session))
        rows = session.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(_TELLING),)
        )
        drilled.settings |= {str(setting): str(value) for setting, value in rows.fetchall()}
    return server


def _rows(item: object) -> int:
    return sum(wanted.source.rows for wanted in item.plan.databases) if isinstance(item, ServerItem) else 0


_TELLING = ("fsync", "full_page_writes", "synchronous_commit", "wal_level")
"""Settings that make a server fast and no proof."""


def failure_code(error: Exception) -> str:
    """For the record: ``StoreUnreachable`` as ``store-unreachable``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()

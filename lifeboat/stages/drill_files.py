"""File drill: a few files of each source, drawn at random, alone out of the newest backup, and compared (P7).

What people ask for most often is one file. It says nothing about the time for the whole, and proves no backup.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.sandbox import Sandbox as OpenSandbox
from lifeboat.adapters.sandbox import sandbox
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.errors import CouldNotMeasure, DrillMissed
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.drill_record import CountedCode, DrillFacts, DrillRecord, Sandbox
from lifeboat.model.restore_outcome import RestoreOutcome
from lifeboat.model.tree import EntryKind, Member
from lifeboat.stages.drill import FinishedDrill, failure_code
from lifeboat.stages.drill_compare import compare_files
from lifeboat.stages.drill_facts import Drilled, DrillOrder, RestoredBackup, drilled_backup
from lifeboat.stages.drill_view import DrillView
from lifeboat.stages.restoration import plan_restoration
from lifeboat.stages.restore_items import FAILURES, TreeItem, told_failure
from lifeboat.stages.restore_order import RestoreOrder, RestorePlaces
from lifeboat.stages.restore_tree import restore_tree


def drill_files(order: DrillOrder, places: RestorePlaces, view: DrillView, loader: Loader) -> FinishedDrill:
    """Bring ``order.files`` files of each source of files back. Raises ``CouldNotMeasure`` when there is none to draw,
    ``DrillMissed`` when nothing came back at all, and ``SandboxNotDestroyed``."""
    started = clock.utc_now()
    drilled = Drilled()
    labels = [
        label
        for label in order.labels
        if (newest := view.catalogs[label].newest_good) and newest.manifest.totals.files
    ]
    if not labels:
        raise CouldNotMeasure(
            f"No source of {order.environment} has a good backup of files.", hint="Name another environment."
        )
    with sandbox(order.root, order.drill_id, needed=0) as place:
        for label in labels:
            try:
                _some_files(order, label, places, place, loader, drilled)
            except FAILURES as error:
                drilled.failures[failure_code(error)] += 1
                drilled.explanations.append(f"{label}: {told_failure(error)}")
    if not drilled.backups:
        raise DrillMissed(
            "No file came back:\n" + "\n".join(f"  {text}" for text in drilled.explanations),
            hint="Look at the store and at the identity of this host.",
        )
    ended = clock.utc_now()
    facts = DrillFacts(
        environment=order.environment,
        drill_id=order.drill_id,
        drill_kind="file",
        started_at=started,
        ended_at=ended,
        policy=order.policy.reference,
        backups=tuple(drilled_backup(each) for each in drilled.backups),
        seed=order.seed,
        sandbox=Sandbox(kind="folder", settings={}, destroyed_at=ended),
        phases=(),
        rto=None,
        rpo=None,
        comparisons=tuple(drilled.comparisons),
        failures=tuple(CountedCode(code=code, count=count) for code, count in drilled.failures.items()),
        tools={name: version(name) for name in ("lifeboat", "pyrage", "zstandard")},
    )
    return FinishedDrill(DrillRecord.of(facts), (drilled,))


def _some_files(
    order: DrillOrder,
    label: str,
    places: RestorePlaces,
    place: OpenSandbox,
    loader: Loader,
    drilled: Drilled,
) -> None:
    wanted = RestoreOrder(
        environment=order.environment,
        target_environment=order.environment,
        known_sources=order.policy.environment(order.environment).source_labels,
        sources=(label,),
        point=order.point,
    )
    target = LocalRestoreTarget(place.tree(label.replace("/", "-")))
    for item in plan_restoration(wanted, replace(places, trees=lambda _: target)):
        if not isinstance(item, TreeItem):
            continue
        watch = clock.Stopwatch()
        chosen = drawn_files(item.index.members(), order.files, order.seed)
        restore_tree(item.index, item.target, loader, wanted=chosen.__contains__, jobs=order.jobs)
        drilled.backups.append(RestoredBackup(item.manifest, 0, watch.seconds(), "newest"))
        drilled.outcomes.append(
            RestoreOutcome(
                source=label, what="files", target=str(target.folder), state="restored", files=len(chosen)
            )
        )
        compare_files(item, order.jobs, drilled, chosen.__contains__)


def drawn_files(members: Iterable[Member], count: int, seed: int) -> frozenset[bytes]:
    """Paths of ``count`` files, or of all there are. A seed draws the same out of the same index; memory is of those
    that are drawn."""
    files = (member.entry.path for member in members if member.part and member.entry.kind is EntryKind.FILE)
    return frozenset(heapq.nsmallest(count, files, key=lambda path: sha256_hex(b"%d " % seed + path)))

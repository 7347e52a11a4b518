"""What a drill is asked for and what it found out, and the record that follows from it."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from lifeboat import clock
from lifeboat.errors import CouldNotMeasure, StoreObjectExists
from lifeboat.model.catalog import Catalog
from lifeboat.model.drill_record import (
    Comparison,
    CountedCode,
    DrilledBackup,
    DrillFacts,
    DrillRecord,
    Probe,
    Sandbox,
)
from lifeboat.model.manifest import Manifest
from lifeboat.model.phases import Phase, PhaseName, milliseconds
from lifeboat.model.policy import Policy
from lifeboat.model.probes import ProbeResult
from lifeboat.model.restore_choice import Point
from lifeboat.model.restore_outcome import RestoreOutcome
from lifeboat.model.rpo import GoodBackup, WorstLoss, judge_rpo, worst_loss
from lifeboat.model.rto import judge_rto
from lifeboat.model.signed import Signer
from lifeboat.model.working_time import WorkingClock
from lifeboat.stages.catalog import read_whole
from lifeboat.stages.compare import Difference
from lifeboat.stages.restore_items import Item
from lifeboat.stages.restore_order import RestorePlaces

PERIOD = dt.timedelta(days=30)
"""Over which the worst loss is told."""


@dataclass(frozen=True)
class DrillOrder:
    """``point`` is what is drilled: each source's newest good backup when it is empty."""

    policy: Policy
    environment: str
    drill_id: str
    sources: tuple[str, ...] = ()
    point: Point = field(default_factory=Point)
    incident: dt.datetime | None = None
    seed: int = 0
    """What older backups are drawn with."""
    jobs: int = 2
    cold: bool = False
    """By ``recovery/restore.sh`` in an empty environment, instead of by us."""
    files: int = 0
    """So many files of each source of files alone, and nothing else; 0 is all that there is."""

    @property
    def kind(self) -> Literal["full", "partial", "cold", "file"]:
        if self.files:
            return "file"
        return "cold" if self.cold else "full" if self.whole else "partial"

    @property
    def labels(self) -> tuple[str, ...]:
        """What is drilled, as service/source."""
        return self.sources or self.policy.environment(self.environment).source_labels

    @property
    def whole(self) -> bool:
        """Whether it is all of the environment; the time for a part says nothing about the whole."""
        return set(self.policy.environment(self.environment).source_labels) <= set(self.labels)

    @property
    def proves_older(self) -> bool:
        """Whether older backups are restored, too: in a drill of everything that nobody narrowed down."""
        return self.policy.drills.older and not self.cold and not self.sources and self.point == Point()

    @property
    def root(self) -> Path:
        """Where sandboxes are made."""
        return sandbox_root(self.policy)


def sandbox_root(policy: Policy) -> Path:
    """The policy's ``drills.folder``, or one below the machine's folder for temporary files."""
    folder = policy.drills.folder
    return Path(folder) if folder else Path(tempfile.gettempdir()) / "lifeboat-drills"


@dataclass(frozen=True)
class RestoredBackup:
    """``seconds`` is what fetching and restoring it took, without the server it was restored into."""

    manifest: Manifest
    rows: int
    seconds: float
    choice: Literal["newest", "random", "oldest-monthly", "named"]
    data_timestamp: dt.datetime | None = None
    """What the restored data itself says, by its heartbeat; where it says nothing, the signed manifest does."""


@dataclass
class Drilled:
    """What a drill found out, for its record and, with names, for its page."""

    backups: list[RestoredBackup] = field(default_factory=list)
    outcomes: list[RestoreOutcome] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    explanations: list[str] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    """What came back, by service/source; in the sandbox, so only while there is one."""
    probes: list[ProbeResult] = field(default_factory=list)
    times: dict[PhaseName, float] = field(default_factory=dict)
    majors: set[int] = field(default_factory=set)
    server_is_lent: bool = False
    """A drill server of somebody's, with roles of its own."""
    settings: dict[str, str] = field(default_factory=dict)
    """Of the sandbox's servers, those that a fast time could be bought with."""

    @property
    def transfer_seconds(self) -> float:
        return self.times.get(PhaseName.FETCH, 0.0) + self.times.get(PhaseName.RESTORE, 0.0)

    @contextmanager
    def phase(self, name: PhaseName) -> Iterator[None]:
        """Add the time of what is done inside to a phase, also when it fails."""
        watch = clock.Stopwatch()
        try:
            yield
        finally:
            self.times[name] = self.times.get(name, 0.0) + watch.seconds()


def record_of(
    order: DrillOrder,
    drilled: Drilled,
    older: Drilled,
    phases: tuple[Phase, ...],
    catalogs: Sequence[Catalog],
    started: dt.datetime,
    ended: dt.datetime,
) -> DrillRecord:
    """The signed statement's content. The sandboxes are gone by now: leaving one behind raised.

    ``older`` backups count for what they hold; phases, RTO and RPO are of ``drilled``.
    """
    environment = order.policy.environment(order.environment)
    objectives = order.policy.objectives_of(environment)
    working = WorkingClock.of(order.policy)
    incident = order.incident or started
    return DrillRecord.of(
        DrillFacts(
            environment=order.environment,
            drill_id=order.drill_id,
            drill_kind=order.kind,
            started_at=started,
            ended_at=ended,
            policy=order.policy.reference,
            backups=tuple(drilled_backup(restored) for restored in (*drilled.backups, *older.backups)),
            seed=order.seed if older.backups else None,
            sandbox=_sandbox(drilled, ended),
            phases=phases,
            # A drill at night would take no working time at all: it counts as if it began when people do.
            rto=None
            if order.cold
            and not order.whole  # how long the script would take for the whole, no drill has told
            else judge_rto(
                phases,
                detected_at=working.next_running(started),
                objective=objectives.rto,
                clock=working,
                failed=bool(drilled.failures.total()),
            ),
            rpo=judge_rpo(
                [_restored(restored) for restored in drilled.backups],
                incident=incident,
                now=ended,
                objective=objectives.rpo,
                worst=_worst(catalogs, ended),
            ),
            comparisons=(*drilled.comparisons, *older.comparisons),
            probes=tuple(
                Probe(service=each.service, source=each.source, name=each.name, verdict=each.verdict)
                for each in drilled.probes
            ),
            failures=tuple(
                CountedCode(code=code, count=count)
                for code, count in sorted((drilled.failures + older.failures).items())
                if count
            ),
            tools={name: version(name) for name in ("lifeboat", "holidays", "tzdata", "pyrage", "zstandard")},
        )
    )


def drilled_backup(restored: RestoredBackup) -> DrilledBackup:
    manifest = restored.manifest
    return DrilledBackup(
        backup_id=manifest.backup_id,
        service=manifest.service,
        source=manifest.source,
        data_timestamp=manifest.data_timestamp,
        choice=restored.choice,
        plain_bytes=manifest.totals.plain_bytes,
        rows=restored.rows,
        milliseconds=milliseconds(dt.timedelta(seconds=restored.seconds)),
    )


def _sandbox(drilled: Drilled, destroyed: dt.datetime) -> Sandbox:
    if not drilled.majors:
        return Sandbox(kind="folder", settings={}, destroyed_at=destroyed)
    return Sandbox(
        kind="server" if drilled.server_is_lent else "cluster",
        postgresql=max(drilled.majors),
        settings=dict(drilled.settings),
        destroyed_at=destroyed,
    )


def measured_phases(order: DrillOrder, drilled: Drilled) -> Iterator[Phase]:
    allowances = order.policy.drills.allowances
    declared = {
        PhaseName.DETECT: allowances.detect,
        PhaseName.DECIDE: allowances.decide,
        PhaseName.RELEASE: allowances.release,
    }
    for name in PhaseName:
        if name in declared:
            time = milliseconds(declared[name])
            yield Phase(name=name, owner=allowances.owner, basis="allowance", milliseconds=time)
        else:
            seconds = drilled.times.get(name)
            # A tree alone needs no server: nothing is provided in no time.
            known = seconds if seconds is not None else 0.0 if name is PhaseName.PROVISION else None
            measured = None if known is None else milliseconds(dt.timedelta(seconds=known))
            yield Phase(name=name, owner="drill host", basis="measured", milliseconds=measured)


def _restored(restored: RestoredBackup) -> GoodBackup:
    manifest = restored.manifest
    return GoodBackup(restored.data_timestamp or manifest.data_timestamp, manifest.committed_at)


def _good(manifest: Manifest) -> GoodBackup:
    return GoodBackup(manifest.data_timestamp, manifest.committed_at)


def _worst(catalogs: Sequence[Catalog], now: dt.datetime) -> WorstLoss | None:
    """Over all sources the worst; pessimistic, since of a day that was reduced to its last backup one is known only."""
    found = [
        worst_loss(
            [_good(entry.manifest) for entry in catalog.entries if entry.manifest.quality == "good"],
            since=now - PERIOD,
            now=now,
        )
        for catalog in catalogs
        if catalog.newest_good
    ]
    return max(found, key=lambda worst: worst.milliseconds, default=None)


def publish_record(record: DrillRecord, signer: Signer, places: RestorePlaces) -> None:
    """Sign the record, put it on the store, and read it back over a new connection. May be repeated: what a lost
    connection left there is ours, or does not read back. Raises ``CouldNotMeasure`` and the store's errors."""
    raw = signer.sign(record.model_dump(mode="json"))
    with places.store.connect() as store, suppress(StoreObjectExists):
        store.create_new(record.file_name, [raw])
    with places.store.connect() as store:
        if read_whole(store, record.file_name) != raw:
            raise CouldNotMeasure(f"{record.file_name} does not read back as it was written.")

"""A backup and a restore by the stage functions alone, without Prefect: what the flows do, in the same order."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import datetime as dt
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from support.policies import demo_policy

from lifeboat import clock
from lifeboat.adapters.children import Child, Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.spool import Spool
from lifeboat.adapters.store import ObjectStat, StoreTarget
from lifeboat.model.catalog import Catalog
from lifeboat.model.drill_record import DrillRecord, new_drill_id
from lifeboat.model.index import Index, IndexPart
from lifeboat.model.manifest import ChainLink, Manifest
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_probes import Heartbeat
from lifeboat.model.restore_choice import Point, choose
from lifeboat.model.restore_plan import RestorePlan, plan_restore
from lifeboat.model.retention import RetentionPlan, Verdict
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages import prune as prune_stage
from lifeboat.stages import restore
from lifeboat.stages.direct import take_backup
from lifeboat.stages.drill import drill
from lifeboat.stages.drill_facts import DrillOrder, publish_record
from lifeboat.stages.drill_interrupted import begun, publish_interrupted
from lifeboat.stages.drill_view import view_for_drill
from lifeboat.stages.fetch import fetch_index, read_catalog
from lifeboat.stages.keygen import new_identity, new_signing_key
from lifeboat.stages.publish import Published
from lifeboat.stages.restore_order import RestorePlaces
from lifeboat.stages.restore_roles import restore_roles
from lifeboat.stages.target_server import look_at_target
from lifeboat.stages.voyage import Keys, ServerVoyage, Voyage, new_run_id, random_suffix


class _Crew(Crew):
    """Its children unpickle what tests wrote."""

    def _enlist(self, module: str, label: str) -> Child:
        path = os.pathsep.join(map(str, Path(__file__).parents[1:3]))
        with patch.dict(os.environ, PYTHONPATH=path):
            return super()._enlist(module, label)


CREW = _Crew()
"""One for all voyages of this process: children at rest take the next job, and starting one costs more than a part."""
atexit.register(CREW.dismiss)


@dataclass(kw_only=True)
class Hull:
    """A store, keys and a place to work in: what ships of all kinds have."""

    store: StoreTarget
    folder: Path
    source_name: str
    limit: float = 120.0
    spool_limit: int = 2**30
    lock_wait: float = 5.0
    anchor: ChainLink | None = None
    operations: object = field(default_factory=new_identity)
    escrow: object = field(default_factory=new_identity)
    index: object = field(default_factory=new_identity)
    signing: object = field(default_factory=new_signing_key)

    @property
    def keys(self) -> Keys:
        signer = Signer.from_pem(self.signing.private_pem)
        return Keys(
            recipients=(self.operations.recipient, self.escrow.recipient),
            signer=signer,
            trusted=TrustedKeys.from_pems(signer.public_pem),
            index_identity=self.index.identity,
            index_recipient=self.index.recipient,
        )

    @property
    def environment(self) -> Environment:
        """The demo's, with this ship's limits."""
        environment = read_policy(Path("demo")).environment("demo")
        limits = environment.limits.model_copy(update={"lock_wait": dt.timedelta(seconds=self.lock_wait)})
        store = environment.store.model_copy(update={"reserve": 0})
        return environment.model_copy(update={"limits": limits, "store": store})

    @contextlib.contextmanager
    def common(self, environment: Environment | None = None) -> Iterator[dict[str, Any]]:
        """What a voyage of any kind is made with."""
        policy = read_policy(Path("demo"))
        run_id = new_run_id()
        with Spool(self.folder / "spool", run_id, limit=self.spool_limit) as spool:
            yield {
                "environment_name": "demo",
                "service": "main",
                "source_name": self.source_name,
                "run_id": run_id,
                "environment": environment or self.environment,
                "policy": policy.reference,
                "time_zone": policy.time_zone,
                "store": self.store,
                "prune_store": self.store,
                "keys": self.keys,
                "spool": spool,
                "crew": CREW,
                "deadline": clock.Deadline.after(self.limit),
                "anchor": self.anchor,
            }

    @contextlib.contextmanager
    def loader(self, identity: str | None = None) -> Iterator[Loader]:
        yield Loader(
            store=self.store,
            identities=(identity or self.operations.identity,),
            crew=CREW,
            deadline=clock.Deadline.after(self.limit),
        )

    def prune(self) -> prune_stage.PruneReport:
        with self.common() as common:
            return prune_stage.prune(self.pruning(Voyage(**common)))

    def pruning(self, voyage: Voyage) -> prune_stage.Pruning:
        return prune_stage.Pruning(
            environment_name="demo",
            environment=voyage.environment,
            chain=voyage.chain,
            run_id=voyage.run_id,
            policy=voyage.policy,
            time_zone=voyage.time_zone,
            store=self.store,
            signer=voyage.keys.signer,
            trusted=voyage.keys.trusted,
            anchor=self.anchor,
        )

    def prune_oldest(self, backup_id: str | None = None) -> prune_stage.PruneReport:
        """Prune with a plan that deletes the oldest backup (or this one), whatever its age: only the plan is ours."""
        original = prune_stage.plan_prune

        def plan_prune(
            pruning: prune_stage.Pruning, catalog: Catalog, doubts: Sequence[str] = ()
        ) -> RetentionPlan:
            plan = original(pruning, catalog, doubts)
            doomed = backup_id or catalog.entries[0].manifest.backup_id
            return dataclasses.replace(
                plan,
                decisions=tuple(
                    dataclasses.replace(decision, verdict=Verdict.DELETE, reasons=("a test says so",))
                    if decision.backup.backup_id == doomed
                    else decision
                    for decision in plan.decisions
                ),
            )

        prune_stage.plan_prune = plan_prune
        try:
            return self.prune()
        finally:
            prune_stage.plan_prune = original

    def listing(self) -> list[ObjectStat]:
        with self.store.connect() as store:
            return store.list()

    def catalog(self) -> Catalog:
        return read_catalog(self.store, "demo", f"main-{self.source_name}", self.keys.trusted)

    def but(self, **changes: object) -> Self:
        """The same ship with other settings, and the same keys."""
        return dataclasses.replace(self, **changes)


class Noting(Loader):
    """A loader that notes what it fetches."""

    fetched: list[str]

    @classmethod
    def over(cls, loader: Loader, fetched: list[str]) -> Noting:
        noting = cls(**{field.name: getattr(loader, field.name) for field in dataclasses.fields(loader)})
        object.__setattr__(noting, "fetched", fetched)
        return noting

    def _load(self, part: IndexPart, *args: Any, **how: Any) -> dict[str, Any]:
        self.fetched.append(part.name)
        return super()._load(part, *args, **how)


@dataclass(kw_only=True)
class Ship(Hull):
    """A PostgreSQL server; ``backup`` and ``restore`` as often as a test likes."""

    server: PostgresServer
    databases: tuple[str, ...]
    source_name: str = "databases"
    streams: int = 3
    recovery_point: str = "service"
    row_drop_percent: int = 50
    heartbeat: Heartbeat | None = None

    @contextlib.contextmanager
    def voyage(self) -> Iterator[ServerVoyage]:
        environment = self.environment
        service = environment.services["main"].model_copy(update={"recovery_point": self.recovery_point})
        suspect = service.sources["databases"].suspect.model_copy(
            update={"row_drop_percent": self.row_drop_percent}
        )
        source = service.sources["databases"].model_copy(
            update={
                "databases": self.databases,
                "streams": self.streams,
                "suspect": suspect,
                "heartbeat": self.heartbeat,
            }
        )
        environment = environment.model_copy(update={"services": {"main": service}})
        with self.common(environment) as common:
            yield ServerVoyage(source=source, server=self.server, **common)

    def backup(self) -> Published:
        with self.voyage() as voyage:
            published = take_backup(voyage)
        self.anchor = published.head
        return published

    def drill(self, root: Path, lent_server: PostgresServer | None = None) -> list[DrillRecord]:
        """A drill with its sandbox below ``root``, as the flow does it: records of drills that died, and its own."""
        beats = self.heartbeat.model_dump() if self.heartbeat else None
        policy = demo_policy(
            {
                "drills": {"folder": str(root), "older": False},
                "environments.demo.services.main.sources.databases.heartbeat": beats,
            }
        )
        drill_id = new_drill_id(clock.utc_now(), random_suffix())
        order = DrillOrder(policy, "demo", drill_id, ("main/databases",))
        places = RestorePlaces(
            store=self.store,
            trusted=self.keys.trusted,
            identities=(self.operations.identity,),
            drill_server=lent_server,
        )
        told = publish_interrupted(order, self.keys.signer, places)
        view = view_for_drill(order, places)
        with begun(order, view) as has_record, self.loader() as loader:
            finished = drill(order, places, view, loader)
            publish_record(finished.record, self.keys.signer, places)
            has_record()
        return [*told, finished.record]

    def open(self, manifest: Manifest | None = None) -> Index:
        manifest = manifest or choose(self.catalog()).manifest
        return fetch_index(self.store, manifest, [self.operations.identity])

    def plan(self, backup_id: str | None = None, **choice: object) -> RestorePlan:
        manifest = choose(self.catalog(), Point(backup_id=backup_id)).manifest
        present = look_at_target(self.server).databases
        return plan_restore(manifest, self.open(manifest), present=present, **choice)

    def restore(
        self,
        backup_id: str | None = None,
        *,
        server: PostgresServer | None = None,
        identity: str | None = None,
        fetched: list[str] | None = None,
        jobs: int = 2,
        **choice: object,
    ) -> list[restore.RestoredDatabase]:
        """``fetched`` takes the names of the parts that were fetched."""
        target = server or self.server
        plan = self.plan(backup_id, **choice)
        with self.loader(identity) as loader:
            if fetched is not None:
                loader = Noting.over(loader, fetched)
            if plan.with_roles:
                restore_roles(plan, loader, target)
            return [
                restore.restore_database(plan, wanted, loader, target, jobs=jobs) for wanted in plan.databases
            ]

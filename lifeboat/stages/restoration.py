"""A whole restore: what is asked for, planned against store and target, and carried out object by object.

The same with Prefect and without: the tasks wrap these functions, ``lifeboat restore --direct`` calls them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import LifeboatError, RestoreRefused
from lifeboat.model.catalog import Catalog
from lifeboat.model.erasure_gate import refuse_missing_erasures
from lifeboat.model.index import Index
from lifeboat.model.manifest import Manifest, chain_name
from lifeboat.model.outcome import human_bytes
from lifeboat.model.patterns import Selection
from lifeboat.model.restore_choice import Point, choose, newest_run
from lifeboat.model.restore_outcome import PlannedObject, RestoreOutcome
from lifeboat.model.restore_plan import DatabaseRestore, RestorePlan, plan_restore
from lifeboat.model.restore_target import target_notes, target_problems
from lifeboat.model.signed import TrustedKeys
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.catalog import StoreView, look
from lifeboat.stages.fetch import read_index, read_tree_index
from lifeboat.stages.restore import restore_database
from lifeboat.stages.restore_order import RestoreOrder, RestorePlaces
from lifeboat.stages.restore_roles import restore_roles
from lifeboat.stages.restore_tree import restore_tree
from lifeboat.stages.target_server import look_at_target, replace_database


@dataclass(frozen=True)
class ServerItem:
    """Databases of one source. ``moment`` dates the names of those that are replaced."""

    source: str
    plan: RestorePlan
    server: PostgresServer
    replace: bool
    notes: tuple[str, ...]

    @property
    def manifest(self) -> Manifest:
        return self.plan.manifest

    def described(self) -> list[PlannedObject]:
        return [self._described(wanted) for wanted in self.plan.databases]

    def _described(self, wanted: DatabaseRestore) -> PlannedObject:
        parts = [self.plan.index.part(number) for number in wanted.parts]
        what = (
            f"{len(wanted.tables)} tables of {wanted.source.name}" if wanted.partial else wanted.source.name
        )
        rows = sum(table.rows for table in wanted.tables)
        return PlannedObject(
            source=self.source,
            **_of(self.plan.manifest),
            what=what,
            target=wanted.source.name if self.replace else wanted.target,
            holds=f"{len(wanted.tables):,} tables, {rows:,} rows",
            fetch_bytes=sum(part.size for part in parts),
            plain_bytes=sum(table.length for table in wanted.tables),
            live=self.replace,
            notes=self.notes,
        )

    def carry_out(self, loader: Loader, jobs: int) -> list[RestoreOutcome]:
        """Roles first; a database that fails does not stop the others."""
        findings = tuple(restore_roles(self.plan, loader, self.server)) if self.plan.with_roles else ()
        outcomes = [self._attempt(wanted, loader, jobs) for wanted in self.plan.databases]
        return [outcome.model_copy(update=_with(outcome, findings)) for outcome in outcomes]

    def _attempt(self, wanted: DatabaseRestore, loader: Loader, jobs: int) -> RestoreOutcome:
        target = wanted.source.name if self.replace else wanted.target
        return attempted(self.source, wanted.source.name, target, lambda: self._bring(wanted, loader, jobs))

    def _bring(self, wanted: DatabaseRestore, loader: Loader, jobs: int) -> RestoreOutcome:
        done = restore_database(self.plan, wanted, loader, self.server, jobs=jobs)
        findings = list(done.findings)
        target = done.target
        if self.replace:
            target = wanted.source.name
            kept = replace_database(self.server, done.target, target, clock.utc_now())
            findings.append(f"the database that was there is kept as {kept!r}")
        return RestoreOutcome(
            source=self.source,
            what=done.name,
            target=target,
            state="restored with findings" if findings else "restored",
            rows=done.rows,
            seconds=done.seconds,
            findings=tuple(findings),
        )


@dataclass(frozen=True)
class TreeItem:
    """Files of one source, into a folder of this host."""

    source: str
    manifest: Manifest
    index: TreeIndex
    folder: Path
    selection: Selection

    def described(self) -> list[PlannedObject]:
        parts: set[int] = set()
        files = size = 0
        for member in self.index.members():
            if member.part and self.selection.takes(member.entry.path):
                files, size = files + 1, size + member.entry.size
                parts.add(member.part)
        return [
            PlannedObject(
                source=self.source,
                **_of(self.manifest),
                what="all files" if self.selection.takes_all else ", ".join(self.selection.include),
                target=str(self.folder),
                holds=f"{files:,} files, {human_bytes(size)}",
                fetch_bytes=sum(self.index.header.part(number).size for number in parts),
                plain_bytes=size,
            )
        ]

    def carry_out(self, loader: Loader, jobs: int) -> list[RestoreOutcome]:
        return [attempted(self.source, "files", str(self.folder), lambda: self._bring(loader, jobs))]

    def _bring(self, loader: Loader, jobs: int) -> RestoreOutcome:
        done = restore_tree(self.index, self.folder, loader, wanted=self.selection.takes, jobs=jobs)
        return RestoreOutcome(
            source=self.source,
            what="files",
            target=str(done.folder),
            state="restored",
            files=done.files,
            seconds=done.seconds,
        )


Item = ServerItem | TreeItem


def plan_restoration(order: RestoreOrder, places: RestorePlaces) -> list[Item]:
    """Everything that will be done, from verified manifests and indexes; nothing is made or changed yet.

    Raises ``RestoreRefused`` with every reason at once, the store's errors, and what reading an index raises.
    """
    labels = order.chosen
    with places.store.connect() as store:
        view = look(store, order.environment, places.trusted)
        point = _point(order, labels, view, places.trusted)
        items: list[Item] = []
        for label in labels:
            manifest = choose(_catalog(label, view, places.trusted), point).manifest
            refuse_missing_erasures(manifest, places.erasures)
            if manifest.source_kind == "postgres":
                index = read_index(store, manifest, places.identities)
                items.append(_server_item(order, label, manifest, index, places))
            else:
                tree = read_tree_index(store, manifest, places.identities)
                items.append(_tree_item(order, label, manifest, tree, places, alone=len(labels) == 1))
    _refuse_same_target([each.target for item in items for each in item.described()])
    return items


def _point(order: RestoreOrder, labels: Sequence[str], view: StoreView, trusted: TrustedKeys) -> Point:
    """Several sources come from one run, unless somebody says otherwise: what belongs together was frozen together."""
    if len(labels) == 1 or order.newest_of_each or order.point != Point():
        return order.point
    return Point(run_id=newest_run([_catalog(label, view, trusted) for label in labels]))


def _catalog(label: str, view: StoreView, trusted: TrustedKeys) -> Catalog:
    service, _, source = label.partition("/")
    return view.catalog(chain_name(service, source), trusted)


def _server_item(
    order: RestoreOrder, label: str, manifest: Manifest, index: Index, places: RestorePlaces
) -> ServerItem:
    server = places.server
    if server is None:
        raise RestoreRefused(
            f"{label} holds databases, and no server to restore into was given.",
            hint="Name a postgres-server block: --target, or `server` in the form.",
        )
    facts = look_at_target(server)
    # The database that everybody connects to first cannot be replaced while one is connected to it.
    all_but_postgres = [database.name for database in index.databases if database.name != "postgres"]
    plan = plan_restore(
        manifest,
        index,
        databases=order.databases or (all_but_postgres if order.replace else ()),
        tables=order.tables,
        new_name=order.new_name,
        with_roles=order.with_roles,
        owner=order.owner,
        present=facts.databases,
    )
    problems = target_problems(plan, facts, order.target_environment)
    if order.replace:
        problems += [
            f"{database.source.name!r} is to be replaced, and is not there"
            for database in plan.databases
            if database.source.name not in facts.databases
        ]
    if problems:
        raise RestoreRefused(
            f"{label} cannot be restored to {server.label}:\n"
            + "\n".join(f"  {problem}" for problem in problems),
            hint="Nothing was made or changed.",
        )
    return ServerItem(label, plan, server, order.replace, tuple(target_notes(plan, facts)))


def _tree_item(
    order: RestoreOrder,
    label: str,
    manifest: Manifest,
    index: TreeIndex,
    places: RestorePlaces,
    *,
    alone: bool,
) -> TreeItem:
    if places.folder is None:
        raise RestoreRefused(
            f"{label} holds files, and no folder to restore into was given.",
            hint="Name a folder that does not exist yet: --to, or `folder` in the form.",
        )
    folder = places.folder if alone else places.folder / label.replace("/", "-")
    return TreeItem(label, manifest, index, folder, Selection(include=order.paths or ("**",)))


def _refuse_same_target(targets: Sequence[str]) -> None:
    twice = sorted({target for target in targets if targets.count(target) > 1})
    if twice:
        raise RestoreRefused(
            f"Two objects would become {twice[0]!r}.",
            hint="Restore their sources one after the other, with names.",
        )


def attempted(source: str, what: str, target: str, work: Callable[[], RestoreOutcome]) -> RestoreOutcome:
    """What became of it, or why it failed: one object does not stop the others."""
    try:
        return work()
    except LifeboatError as error:
        return RestoreOutcome(source=source, what=what, target=target, state="failed", failure=str(error))


def _with(outcome: RestoreOutcome, findings: tuple[str, ...]) -> dict[str, object]:
    state = "restored with findings" if findings and outcome.state == "restored" else outcome.state
    return {"findings": (*findings, *outcome.findings), "state": state}


def _of(manifest: Manifest) -> dict[str, object]:
    return {
        "backup_id": manifest.backup_id,
        "quality": manifest.quality,
        "data_timestamp": manifest.data_timestamp,
    }

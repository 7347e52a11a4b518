"""What a restore consists of: databases of a server, files of a tree, definitions of a broker.

Each tells of itself in the plan and is brought back by itself; one that fails does not stop the others.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from lifeboat import clock
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.tree_target import RestoreTarget
from lifeboat.errors import LifeboatError, RestoreFailed
from lifeboat.model.manifest import Manifest
from lifeboat.model.outcome import counted, human_bytes
from lifeboat.model.patterns import Selection
from lifeboat.model.restore_outcome import PlannedObject, RestoreOutcome
from lifeboat.model.restore_plan import DatabaseRestore, RestorePlan
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.restore import restore_database
from lifeboat.stages.restore_export import restore_export
from lifeboat.stages.restore_roles import restore_roles
from lifeboat.stages.restore_tree import restore_tree
from lifeboat.stages.target_server import replace_database


@dataclass(frozen=True)
class ServerItem:
    """Databases of one source. ``replace``: in the place of those of their names, which are kept."""

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
        parts = [self.plan.index.part(number) for number in wanted.fetched_parts]
        tables = counted(len(wanted.tables), "table")
        rows = counted(sum(table.rows for table in wanted.tables), "row")
        return PlannedObject(
            source=self.source,
            **_of(self.plan.manifest),
            what=f"{tables} of {wanted.source.name}" if wanted.partial else wanted.source.name,
            target=wanted.source.name if self.replace else wanted.target,
            holds=f"{tables}, {rows}",
            fetch_bytes=sum(part.size for part in parts),
            plain_bytes=sum(table.length for table in wanted.tables),
            live=self.replace,
            notes=self.notes,
        )

    def carry_out(self, loader: Loader, jobs: int) -> list[RestoreOutcome]:
        """Roles first; a database that fails does not stop the others."""
        if self.plan.with_roles:
            roles = attempted(self.source, "roles", self.server.label, lambda: self._roles(loader))
            if roles.state == "failed":
                return [roles]
        outcomes = [self._attempt(wanted, loader, jobs) for wanted in self.plan.databases]
        findings = roles.findings if self.plan.with_roles else ()
        return [outcome.model_copy(update=_with(outcome, findings)) for outcome in outcomes]

    def _roles(self, loader: Loader) -> RestoreOutcome:
        findings = tuple(restore_roles(self.plan, loader, self.server))
        return RestoreOutcome(
            source=self.source, what="roles", target=self.server.label, state="restored", findings=findings
        )

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
    """Files of one source. ``live``: into a place that people may be using."""

    source: str
    manifest: Manifest
    index: TreeIndex
    target: RestoreTarget
    selection: Selection
    live: bool

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
                target=self.target.label,
                holds=f"{counted(files, 'file')}, {human_bytes(size)}",
                fetch_bytes=sum(self.index.header.part(number).size for number in parts),
                plain_bytes=size,
                live=self.live,
            )
        ]

    def carry_out(self, loader: Loader, jobs: int) -> list[RestoreOutcome]:
        return [attempted(self.source, "files", self.target.label, lambda: self._bring(loader, jobs))]

    def _bring(self, loader: Loader, jobs: int) -> RestoreOutcome:
        done = restore_tree(self.index, self.target, loader, wanted=self.selection.takes, jobs=jobs)
        return RestoreOutcome(
            source=self.source,
            what="files",
            target=done.folder,
            state="restored with findings" if done.findings else "restored",
            files=done.files,
            seconds=done.seconds,
            findings=tuple(finding.message for finding in done.findings),
        )


@dataclass(frozen=True)
class BrokerItem:
    """RabbitMQ's definitions of one source, into a broker: what it has stays, the backup's objects come on top."""

    source: str
    manifest: Manifest
    index: TreeIndex
    broker: Endpoint
    into_used: bool

    def described(self) -> list[PlannedObject]:
        totals = self.manifest.totals
        return [
            PlannedObject(
                source=self.source,
                **_of(self.manifest),
                what="definitions",
                target=self.broker.url,
                holds=f"{counted(totals.files, 'file')}, {human_bytes(totals.plain_bytes)}",
                fetch_bytes=sum(part.size for part in self.index.header.parts),
                plain_bytes=totals.plain_bytes,
                live=True,
                notes=("messages are in no backup: queues come back empty",),
            )
        ]

    def carry_out(self, loader: Loader, _jobs: int) -> list[RestoreOutcome]:
        return [attempted(self.source, "definitions", self.broker.url, lambda: self._bring(loader))]

    def _bring(self, loader: Loader) -> RestoreOutcome:
        done = restore_export(self.index, loader, self.broker, into_used=self.into_used)
        if done.differences:
            listed = "\n".join(f"  {difference}" for difference in done.differences)
            raise RestoreFailed(
                f"{done.target} does not hold everything of the backup after the import:\n{listed}",
                hint="Objects that were there with other settings stay as they were: delete them, and restore again.",
            )
        return RestoreOutcome(
            source=self.source,
            what="definitions",
            target=done.target,
            state="restored with findings" if done.left_out else "restored",
            seconds=done.seconds,
            findings=tuple(f"left out: {name}" for name in done.left_out),
        )


Item = ServerItem | TreeItem | BrokerItem

FAILURES = (LifeboatError, psycopg.Error, OSError, subprocess.SubprocessError)
"""What ends one object and not the others, such as a server that restarts in the middle."""


def told_failure(error: Exception) -> str:
    """A failure for people. The words of a server or a program may quote rows (F50): of those the kind is told."""
    if isinstance(error, LifeboatError):
        return str(error)
    return f"{type(error).__name__}; look at the target, and restore again"


def attempted(source: str, what: str, target: str, work: Callable[[], RestoreOutcome]) -> RestoreOutcome:
    """What became of it, or why it failed: one object does not stop the others."""
    try:
        return work()
    except FAILURES as error:
        failure = told_failure(error)
    return RestoreOutcome(source=source, what=what, target=target, state="failed", failure=failure)


def _with(outcome: RestoreOutcome, findings: tuple[str, ...]) -> dict[str, object]:
    state = "restored with findings" if findings and outcome.state == "restored" else outcome.state
    return {"findings": (*findings, *outcome.findings), "state": state}


def _of(manifest: Manifest) -> dict[str, object]:
    return {
        "backup_id": manifest.backup_id,
        "quality": manifest.quality,
        "data_timestamp": manifest.data_timestamp,
    }

"""Backup: snapshot → dump → encrypt → upload → checksum → publish → prune, for every source of an environment."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

from httpx import HTTPError
from prefect import flow
from prefect.exceptions import MissingResult
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque

from lifeboat import clock
from lifeboat.model.outcome import SourceOutcome
from lifeboat.model.parts import Lane
from lifeboat.stages.batches import lanes_of, turns_of
from lifeboat.stages.contents import contents_of_server
from lifeboat.stages.encrypt import Frozen, SealedBatch
from lifeboat.stages.plan import PlannedSource
from lifeboat.stages.snapshot import FrozenServer
from lifeboat.stages.tree import lanes_of_tree
from lifeboat.stages.tree_contents import contents_of_tree
from lifeboat.stages.upload import CheckedBatch, SentBatch
from lifeboat.stages.voyage import Voyage, backup_id_of, new_run_id
from tasks.board import Ticket, aboard_server, aboard_tree
from tasks.checksum import checksum
from tasks.encrypt import encrypt
from tasks.moorings import are_due, moored, open_views
from tasks.outcome import committed, database_rows, failed, part_rows, raise_if_red, skipped
from tasks.plan import outcome_on_store, plan
from tasks.prune import prune
from tasks.publish import publish, refuse_suspect
from tasks.report import report_backup, report_prune, report_run
from tasks.snapshot import snapshot, snapshot_tree, survey
from tasks.upload import upload

# Each batch keeps three threads: waiting costs nothing, working is limited by the lanes (``streams``).
THREADS = 160


def _run_name() -> str:
    parameters = flow_run.parameters
    return f"{parameters['environment']} {clock.utc_now():%Y-%m-%d %H:%M}"


def _source_run_name() -> str:
    parameters = flow_run.parameters
    source = f"{parameters['service']}/{parameters['source']}"
    return f"{parameters['environment']} {source} {clock.utc_now():%Y-%m-%d %H:%M}"


@flow(name="backup-environment", flow_run_name=_run_name)
def backup_environment(
    environment: str, policy: str = "digital-automotive", only: list[str] | None = None
) -> list[SourceOutcome]:
    """Back up every source of an environment, each on its own: one that fails does not stop the others.

    Args:
        environment: The environment's name in the policy.
        policy: A shipped policy's name, or the path of a policy file.
        only: Sources to back up, as service/source; all of them when empty.
    """
    run_id = new_run_id()
    sources = plan(environment, policy, only or [])
    with moored(run_id, [source for source in sources if source.due]):
        outcomes = [_attempt(environment, source, run_id, policy) for source in sources]
    report_run(environment, run_id, outcomes, policy)
    raise_if_red(outcomes)
    if outcomes and all(outcome.state == "skipped" for outcome in outcomes):
        # Prefect takes a returned state for the run's own, and hands its data to the caller.
        why = "A newer good backup covers this slot."
        return cast(list[SourceOutcome], Completed(name="Skipped", message=why, data=outcomes))
    return outcomes


def _attempt(environment: str, source: PlannedSource, run_id: str, policy: str) -> SourceOutcome:
    if not source.due:
        return skipped(source)
    back_up = backup_source if source.kind == "postgres" else backup_tree
    try:
        state = back_up(environment, source.service, source.source, run_id, policy, return_state=True)
        result = state.result(raise_on_failure=False)
    except (MissingResult, HTTPError) as error:
        result = error
    if isinstance(result, (MissingResult, HTTPError)):
        # Prefect can lose what a run returned, when its last word to the server had to be repeated; and a server that
        # went away says nothing about the backup (F41). The store knows.
        return outcome_on_store(environment, source, run_id, policy)
    return result if isinstance(result, SourceOutcome) else failed(source, result)


@flow(
    name="backup-source",
    flow_run_name=_source_run_name,
    task_runner=cast(Any, ThreadPoolTaskRunner)(max_workers=THREADS),
)
def backup_source(environment: str, service: str, source: str, run_id: str, policy: str) -> SourceOutcome:
    """Back up one PostgreSQL server: all its databases, from a frozen view of each, committed by a signed manifest."""
    with aboard_server(Ticket(environment, service, source, run_id, policy)) as voyage:
        found = survey(voyage)
        watch = clock.Stopwatch()
        backup_id, turns = "", list[FrozenServer]()
        under_way: list[BatchUnderWay] = []
        planned_turns = turns_of(voyage, found.census)
        for number, names in enumerate(planned_turns):
            with ExitStack() as views:
                frozen = snapshot(voyage, found, names, views)
                turns.append(frozen)
                if are_due(run_id, voyage.environment, service):
                    open_views(environment, voyage.environment, service, run_id)
                backup_id = backup_id or backup_id_of(voyage, frozen.data_timestamp)
                lanes = lanes_of(voyage, frozen, turn=number, turns=len(planned_turns))
                sailing = set_sail(voyage, backup_id, frozen, lanes)
                for batch in sailing:
                    batch.sealed.result()
            under_way += sailing
        checked = [batch.arrived() for batch in under_way]
        contents = contents_of_server(voyage, backup_id, turns, checked)
        published = publish(voyage, contents, {"data_path": watch.milliseconds()})
        report_backup(voyage.chain, database_rows(turns, checked), published.manifest)
        refuse_suspect(published)
        pruned = prune(voyage, published, frozen.clock_skew)
        report_prune(voyage.chain, pruned)
        findings = [finding for turn in turns for finding in turn.findings]
        return committed(published, pruned, findings, watch.seconds())


@flow(
    name="backup-tree",
    flow_run_name=_source_run_name,
    task_runner=cast(Any, ThreadPoolTaskRunner)(max_workers=THREADS),
)
def backup_tree(environment: str, service: str, source: str, run_id: str, policy: str) -> SourceOutcome:
    """Back up one tree of files, or an export: a whole backup, for which only what changed travels."""
    with aboard_tree(Ticket(environment, service, source, run_id, policy)) as voyage:
        watch = clock.Stopwatch()
        with ExitStack() as views:
            frozen = snapshot_tree(voyage, views)
            backup_id = backup_id_of(voyage, frozen.data_timestamp)
            under_way = set_sail(voyage, backup_id, frozen, lanes_of_tree(voyage, frozen))
            for batch in under_way:
                batch.sealed.result()
        checked = [batch.arrived() for batch in under_way]
        contents = contents_of_tree(voyage, backup_id, frozen, checked)
        published = publish(voyage, contents, {"data_path": watch.milliseconds()})
        report_backup(voyage.chain, part_rows(frozen, checked), published.manifest)
        refuse_suspect(published)
        pruned = prune(voyage, published, dt.timedelta(0))
        report_prune(voyage.chain, pruned)
        return committed(published, pruned, contents.findings, watch.seconds())


@dataclass(frozen=True)
class BatchUnderWay:
    """The three futures of a batch. Each is resolved in turn, so that the first failure is the one that shows."""

    sealed: PrefectFuture[SealedBatch]
    sent: PrefectFuture[SentBatch]
    checked: PrefectFuture[CheckedBatch]

    def arrived(self) -> CheckedBatch:
        """Wait until the batch was read back; raises what its upload or its checksum raised."""
        self.sent.result()
        return self.checked.result()


def set_sail(voyage: Voyage, backup_id: str, frozen: Frozen, lanes: list[Lane]) -> list[BatchUnderWay]:
    """Batches of a lane are sealed one after the other, lanes side by side; each goes on as soon as it is sealed."""
    fleet = []
    for lane in lanes:
        before: list[PrefectFuture[SealedBatch]] = []
        for batch in lane:
            sealed = encrypt.submit(voyage, frozen, batch, wait_for=before, return_state=False)
            # A bare future is looked up at Prefect's server when its reader starts; opaque, it is only waited for, so
            # that a server that went away in mid-run ends nothing (F41).
            sent = upload.submit(voyage, backup_id, opaque(sealed), return_state=False)
            checked = checksum.submit(voyage, opaque(sent), return_state=False)
            fleet.append(BatchUnderWay(sealed, sent, checked))
            before = [sealed]
    return fleet

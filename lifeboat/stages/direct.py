"""A backup of one source, stage after stage and lane beside lane, without Prefect.

The same stages in the same order as ``flows.backup``; what Prefect adds there is the picture, retries and the schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from lifeboat import clock
from lifeboat.model.parts import Lane
from lifeboat.stages import snapshot
from lifeboat.stages.batches import lanes_of, turns_of
from lifeboat.stages.contents import contents_of_server
from lifeboat.stages.encrypt import Frozen, SealedBatch, account_for, dump_batch, make_ready
from lifeboat.stages.publish import Published, publish
from lifeboat.stages.snapshot import FrozenServer
from lifeboat.stages.survey import survey
from lifeboat.stages.tree import STREAMS, frozen_tree, lanes_of_tree, open_view
from lifeboat.stages.tree_contents import contents_of_tree
from lifeboat.stages.upload import CheckedBatch, check_batch, upload_batch
from lifeboat.stages.voyage import ServerVoyage, TreeVoyage, Voyage, backup_id_of


def take_backup(voyage: ServerVoyage) -> Published:
    """Survey to publish. The manifest's timing ``data_path`` is snapshot to read-back. Raises what the stages raise."""
    make_ready(voyage, voyage.source.streams)
    found = survey(voyage)
    watch = clock.Stopwatch()
    turns: list[FrozenServer] = []
    checked: list[CheckedBatch] = []
    backup_id = ""
    planned = turns_of(voyage, found.census)
    for number, names in enumerate(planned):
        with snapshot.frozen(
            voyage.server,
            names,
            lock_wait=voyage.environment.limits.lock_wait,
            age_limit=voyage.environment.limits.snapshot_age,
            findings=found.census.findings,
            yesterday=found.yesterday,
        ) as frozen:
            turns.append(frozen)
            backup_id = backup_id or backup_id_of(voyage, frozen.data_timestamp)
            lanes = lanes_of(voyage, frozen, turn=number, turns=len(planned))
            checked += sail(voyage, frozen, backup_id, lanes)
    contents = contents_of_server(voyage, backup_id, turns, checked)
    return publish(voyage, contents, {"data_path": watch.milliseconds()})


def take_tree_backup(voyage: TreeVoyage) -> Published:
    """The same for a tree."""
    make_ready(voyage, STREAMS)
    watch = clock.Stopwatch()
    with open_view(voyage.tree, voyage.environment.limits.snapshot_age) as view:
        frozen = frozen_tree(voyage, view)
        backup_id = backup_id_of(voyage, frozen.data_timestamp)
        checked = sail(voyage, frozen, backup_id, lanes_of_tree(voyage, frozen))
    contents = contents_of_tree(voyage, backup_id, frozen, checked)
    return publish(voyage, contents, {"data_path": watch.milliseconds()})


def sail(voyage: Voyage, frozen: Frozen, backup_id: str, lanes: Sequence[Lane]) -> list[CheckedBatch]:
    """Batches of a lane are sealed one after the other, lanes side by side; each goes on as soon as it is sealed."""
    lanes = lanes or [()]
    with ThreadPoolExecutor(len(lanes)) as sealers, ThreadPoolExecutor(len(lanes)) as carriers:

        def seal_lane(lane: Lane) -> list[Future[CheckedBatch]]:
            return [
                carriers.submit(carry, account_for(batch, dump_batch(voyage, frozen, batch), frozen))
                for batch in lane
            ]

        def carry(sealed: SealedBatch) -> CheckedBatch:
            return check_batch(voyage, upload_batch(voyage, backup_id, sealed))

        sealed_lanes = [sealers.submit(seal_lane, lane) for lane in lanes]
        return [batch.result() for lane in sealed_lanes for batch in lane.result()]

"""Drill: prove a backup by restoring it, and measure what a recovery would take."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.harbour import load_drill_signer
from lifeboat import clock
from lifeboat.adapters.policy_file import read_policy
from lifeboat.errors import CouldNotMeasure, StoreUnreachable
from lifeboat.model.drill_record import DrillRecord, new_drill_id
from lifeboat.model.restore_choice import Point
from lifeboat.stages.drill_facts import DrillOrder
from lifeboat.stages.drill_interrupted import begun
from lifeboat.stages.voyage import random_seed, random_suffix
from tasks.drill import (
    announce,
    carry_out,
    publish,
    read_catalogs,
    refuse_verdict,
    report,
    tell_interrupted,
)
from tasks.progress import ProgressBoard
from tasks.restore_board import drill_places, loader_aboard


def _run_name() -> str:
    return f"drill of {flow_run.parameters['environment']} {clock.utc_now():%Y-%m-%d %H:%M}"


@flow(name="drill", flow_run_name=_run_name)
def drill(
    environment: str,
    sources: list[str] | None = None,
    run: str | None = None,
    incident: dt.datetime | None = None,
    seed: int | None = None,
    page: str = "",
    cold: bool = False,
    files: int = 0,
    policy: str = "digital-automotive",
    jobs: int = 2,
) -> DrillRecord:
    """Restore an environment's newest backups into a sandbox, compare, measure RTO and RPO, destroy the sandbox.

    A drill of everything also restores and compares an older backup of each source, without timing it.

    The run is red unless both objectives were met and everything was equal; the signed record is on the store anyway.

    Args:
        environment: Whose backups, by its name in the policy.
        sources: Sources as service/source; all of them when empty. A drill of some is never green: it has no RTO.
        run: A run id, for the backups that one run took together; each source's newest when empty.
        incident: When the disaster struck, for the RPO; the start of the drill when empty.
        seed: The seed of an earlier drill's record, to draw the same older backups again; a new one when empty.
        page: A file of the drill host for the page in HTML, besides the folder of the policy's drills.pages.
        cold: By recovery/restore.sh in an empty environment instead of by Lifeboat; older backups are left out.
        files: So many files of each source, drawn at random, alone: a drill of kind file, without RTO and RPO.
        policy: A shipped policy's name, or the path of a policy file.
        jobs: Parts loaded, and tables compared, at the same time.
    """
    rules = read_policy(Path(policy))
    places = drill_places(rules, environment)
    drill_id = new_drill_id(clock.utc_now(), random_suffix())
    drawn = random_seed() if seed is None else seed
    order = DrillOrder(
        rules,
        environment,
        drill_id,
        tuple(sources or ()),
        Point(run_id=run),
        incident,
        drawn,
        jobs,
        cold,
        files,
    )
    signer = load_drill_signer(environment)
    try:
        for interrupted in tell_interrupted(order, signer, places):
            announce(interrupted)
        view = read_catalogs(order, places)
    except StoreUnreachable as error:
        raise CouldNotMeasure(f"The drill was not begun: {error.message}", hint=error.hint) from None
    with begun(order, view) as has_record:
        with (
            ProgressBoard(f"drill {environment}") as board,
            loader_aboard(places, rules.environment(environment), board.note) as loader,
        ):
            finished = carry_out(order, places, view, loader)
        publish(finished, signer, places)
        has_record()
    announce(finished.record)
    pages = [Path(folder) / f"{drill_id}.html" for folder in [rules.drills.pages] if folder]
    report(finished, view.past, [*pages, *([Path(page)] if page else [])])
    refuse_verdict(finished.record)
    return finished.record

"""The alarm self-test: drills of backups that are known to be bad, in a shadow folder, each of which must turn red.

The drill is the one that proves real backups, on the host that does it; only what it is given is made for the test.
Nothing is read from, or written to, a real store.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import newest_major
from lifeboat.adapters.sandbox import sandbox, sweep_sandboxes
from lifeboat.errors import CouldNotMeasure, LifeboatError
from lifeboat.model.alarm_test import CONTROL, AlarmResult, AlarmTest
from lifeboat.model.drill_record import new_drill_id
from lifeboat.model.objectives import Verdict
from lifeboat.stages.alarm_faults import FAULTS, Fault
from lifeboat.stages.alarm_specimen import (
    ENVIRONMENT,
    Specimen,
    add_entry,
    back_up,
    empty_database,
    make_database,
    specimen_policy,
)
from lifeboat.stages.drill import drill
from lifeboat.stages.drill_facts import DrillOrder
from lifeboat.stages.drill_view import view_for_drill
from lifeboat.stages.restore_order import RestorePlaces
from lifeboat.stages.voyage import random_suffix

_NEEDED = 512 * 2**20
"""Bytes of disk: two small clusters at a time, and a dozen copies of a small store."""


def alarm_test(root: Path, report: Callable[[str], None] = lambda _: None) -> AlarmTest:
    """Plant every fault, drill each, and say which were caught.

    ``root`` is where sandboxes are made; nothing of the test stays there. Raises ``PreflightRefused`` when the host has
    no PostgreSQL, ``CouldNotMeasure`` when it has no room.
    """
    started = clock.utc_now()
    major = newest_major()
    sweep_sandboxes(root)
    with sandbox(root, new_drill_id(started, random_suffix()), needed=_NEEDED) as place, Crew() as crew:
        policy = specimen_policy(place.folder / "drills")
        shadow = place.tree("shadow")
        shadow.mkdir(mode=0o700)
        sound = Specimen(policy, shadow / CONTROL)
        emptied = Specimen(policy, shadow / "emptied")
        server = place.server(major, "specimen")
        make_database(server)
        for _ in range(2):
            back_up(sound, server, shadow / "spool")
            add_entry(server)
        empty_database(server)
        back_up(emptied, server, shadow / "spool")
        report(f"{CONTROL}: drilling")
        control = _drilled(sound, Fault(CONTROL, "nothing", "", lambda _: None), crew)
        results = []
        for fault in FAULTS:
            report(f"{fault.name}: {fault.done}")
            specimen = (emptied if fault.emptied else sound).copied_to(shadow / fault.name)
            fault.plant(specimen)
            results.append(_drilled(specimen, fault, crew))
    return AlarmTest(
        started_at=started,
        ended_at=clock.utc_now(),
        postgresql=major,
        control=control,
        results=tuple(results),
    )


def _drilled(specimen: Specimen, fault: Fault, crew: Crew) -> AlarmResult:
    verdict, reasons = _verdict_of(specimen, crew)
    return AlarmResult(
        fault=fault.name, done=fault.done, expected=fault.expected, verdict=verdict, reasons=reasons
    )


def _verdict_of(specimen: Specimen, crew: Crew) -> tuple[Verdict, tuple[str, ...]]:
    """The drill's verdict with its reasons and explanations; one that could not even begin is red, or unmeasured."""
    order = DrillOrder(specimen.policy, ENVIRONMENT, new_drill_id(clock.utc_now(), random_suffix()))
    places = RestorePlaces(
        store=specimen.store, trusted=specimen.trusted, identities=(specimen.holder.identity,)
    )
    limit = specimen.policy.environment(ENVIRONMENT).limits.source.total_seconds()
    deadline = clock.Deadline.after(limit)
    loader = Loader(store=specimen.store, identities=places.identities, crew=crew, deadline=deadline)
    try:
        finished = drill(order, places, view_for_drill(order, places), loader)
    except CouldNotMeasure as error:
        return Verdict.UNMEASURED, (error.message,)
    except LifeboatError as error:
        return Verdict.MISSED, (error.message,)
    record = finished.record
    told = (*finished.explanations, *finished.differences) if record.reasons else ()
    return record.verdict, (*record.reasons, *told)

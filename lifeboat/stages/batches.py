"""From what was found on the server to what is taken in which order: thin glue over ``model.parts``."""

from __future__ import annotations

from lifeboat.model.parts import Lane, TableSize, plan_lanes, plan_parts
from lifeboat.stages.snapshot import Census, FrozenServer
from lifeboat.stages.voyage import ServerVoyage

TURNS = 8
"""With recovery point ``source`` the databases are frozen in so many turns, not all at once."""
PARTS_PER_TURN = 10_000


def turns_of(voyage: ServerVoyage, census: Census) -> list[tuple[str, ...]]:
    """All databases in one turn, so that they are one recovery point; or a few at a time, where the policy prefers
    short snapshots to one moment (``recovery_point: source``)."""
    names = census.names
    if voyage.environment.services[voyage.service].recovery_point == "service":
        return [names]
    size = -(-len(names) // TURNS)
    return [names[start : start + size] for start in range(0, len(names), size)]


def lanes_of(voyage: ServerVoyage, frozen: FrozenServer, *, turn: int, turns: int) -> list[Lane]:
    """The lanes of one turn, which progress then reckons with. Part numbers of different turns lie apart; the roles go
    with the first."""
    tables = {
        database.name: [TableSize(position, table.size) for position, table in enumerate(database.tables)]
        for database in frozen.databases
    }
    parts = plan_parts(tables, first=turn * PARTS_PER_TURN + 1, with_globals=turn == 0)
    voyage.progress.expect(parts, turns=turns)
    return plan_lanes(parts, streams=voyage.source.streams, batches=40 // turns)

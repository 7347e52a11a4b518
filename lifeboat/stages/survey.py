"""Survey: what is on the server, and what of it the newest backup may hold already."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from lifeboat import clock
from lifeboat.model.carried import Yesterday
from lifeboat.stages.heartbeat import beat
from lifeboat.stages.snapshot import Census, take_census_of
from lifeboat.stages.voyage import ServerVoyage
from lifeboat.stages.yesterday import yesterdays_tables


@dataclass(frozen=True)
class Survey:
    """What a run knows before it freezes anything."""

    census: Census
    yesterday: Yesterday


def survey(voyage: ServerVoyage) -> Survey:
    """Look at server and store at the same time. Raises what either raises, and ``SourceDenied`` for a heartbeat."""
    if voyage.source.heartbeat:
        beat(voyage.server, voyage.source.heartbeat)
    today = clock.utc_now().astimezone(ZoneInfo(voyage.time_zone)).date()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(yesterdays_tables, voyage, today)
        census = take_census_of(voyage.server, voyage.source, where=voyage.label)
        return Survey(census, fetching.result())

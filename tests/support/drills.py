"""A drill in which all holds, to start from; a test changes only what it is about."""

from __future__ import annotations

import datetime as dt
from typing import Any

from support.examples import POLICY

from lifeboat.model.drill_record import DrillFacts
from lifeboat.model.extrapolation import Measurement, extrapolate
from lifeboat.model.phases import Phase, PhaseName
from lifeboat.model.policy import WorkingHours
from lifeboat.model.rpo import AchievedRpo, GoodBackup, judge_rpo, worst_loss
from lifeboat.model.rto import AchievedRto, judge_rto
from lifeboat.model.working_time import WorkingClock

BACKUP_ID = "main-databases-20261125T001503Z-k3v9qz"
STARTED = dt.datetime(2026, 11, 25, 9, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
CLOCK = WorkingClock(
    WorkingHours.model_validate(
        {
            "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
            "from": "08:00",
            "until": "17:00",
            "holidays": "DE",
        }
    ),
    "Europe/Berlin",
)
MINUTES = {
    "detect": 30,
    "decide": 15,
    "provision": 5,
    "fetch": 20,
    "restore": 60,
    "verify": 10,
    "release": 20,
}
"""What each phase takes."""
DECLARED = ("detect", "decide", "release")


def phases(*, over: bool = False, missing: str = "", extrapolated: bool = False) -> tuple[Phase, ...]:
    told = []
    for name in PhaseName:
        time = (MINUTES[name] + (180 if over and name == "restore" else 0)) * 60_000
        fields: dict[str, Any] = {"name": name, "owner": "On call", "basis": "measured", "milliseconds": time}
        if name in DECLARED:
            fields["basis"] = "allowance"
        if name == missing:
            fields["milliseconds"] = None
        if name == "restore" and extrapolated:
            line = [Measurement(size, 0, time * size // 4000) for size in (1000, 2000, 3000)]
            found = extrapolate(line, plain_bytes=4000, rows=0)
            fields |= {
                "basis": "extrapolated",
                "milliseconds": found.bound_milliseconds,
                "sample_milliseconds": time // 4,
                "extrapolation": found,
            }
        told.append(Phase.model_validate(fields))
    return tuple(told)


def rto(**changes: Any) -> AchievedRto:
    return judge_rto(phases(**changes), detected_at=STARTED, objective=4 * HOUR, clock=CLOCK)


def rpo(*, hours: int = 9) -> AchievedRpo:
    data = GoodBackup(STARTED - hours * HOUR, STARTED - hours * HOUR + HOUR / 4)
    worst = worst_loss([data], since=STARTED - 30 * 24 * HOUR, now=STARTED)
    return judge_rpo([data], incident=STARTED, now=STARTED, objective=24 * HOUR, worst=worst)


def facts(**changes: Any) -> DrillFacts:
    fields: dict[str, Any] = {
        "environment": "production",
        "drill_id": "drill-20261125T090000Z-7mfx2c",
        "drill_kind": "full",
        "started_at": STARTED,
        "ended_at": STARTED + 3 * HOUR,
        "policy": POLICY,
        "backups": (
            {
                "backup_id": BACKUP_ID,
                "service": "main",
                "source": "databases",
                "data_timestamp": STARTED - 9 * HOUR,
                "choice": "newest",
                "plain_bytes": 4000,
                "rows": 30,
                "milliseconds": 80 * 60_000,
            },
        ),
        "sandbox": {
            "kind": "cluster",
            "postgresql": 15,
            "settings": {"fsync": "off"},
            "destroyed_at": STARTED + 3 * HOUR,
        },
        "phases": phases(),
        "rto": rto(),
        "rpo": rpo(),
        "comparisons": ({"backup_id": BACKUP_ID, "databases": 1, "tables": 2, "rows": 30},),
        "probes": ({"service": "main", "source": "databases", "name": "orders", "verdict": "met"},),
        "tools": {"lifeboat": "0.1.0", "postgresql": "15.18", "tzdata": "2026.3"},
    }
    return DrillFacts.model_validate(fields | changes)

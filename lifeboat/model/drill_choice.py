"""Which older backups a drill proves besides the newest ones (clause P7, reliability §6.4).

The newest tell how long a recovery takes. That an old one still opens and is whole is proven by restoring it: one at
random each time, and the oldest monthly of each source once in a quarter. Pure: chance enters as a seed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import ZoneInfo

from lifeboat.model.canonical import sha256_hex
from lifeboat.model.catalog import Catalog, Entry
from lifeboat.model.drill_record import WITHOUT_OBJECTIVES, DrilledBackup, DrillRecord
from lifeboat.model.policy_values import spoken_duration
from lifeboat.model.retention import RetentionRules
from lifeboat.model.retention_rules import monthlies

AT_LEAST: Final = dt.timedelta(days=31)
"""Each source is restored and found equal once a month (clause P15)."""


@dataclass(frozen=True)
class OlderBackup:
    """A backup to be restored and compared, without being timed. ``source`` as service/source."""

    source: str
    backup_id: str
    plain_bytes: int
    choice: Literal["random", "oldest-monthly"]


def choose_older(
    catalogs: Mapping[str, Catalog],
    rules: Mapping[str, RetentionRules],
    records: Sequence[DrillRecord],
    *,
    seed: int,
    now: dt.datetime,
    time_zone: str,
) -> tuple[OlderBackup, ...]:
    """``catalogs`` and ``rules`` by source, as service/source. A seed chooses the same among the same backups."""
    due = {
        source
        for source in catalogs
        if not _proven_this_quarter(source, records, now=now, time_zone=time_zone)
    }
    chosen: list[OlderBackup] = []
    for source, catalog in catalogs.items():
        older = [entry for entry in _good(catalog) if entry is not catalog.newest_good]
        monthly = _oldest_monthly(older, rules[source]) if source in due else None
        if monthly:
            chosen.append(_chosen(source, monthly, "oldest-monthly"))
        if others := [entry for entry in older if entry is not monthly]:
            drawn = int(sha256_hex(f"{seed} {source}".encode()), 16) % len(others)
            chosen.append(_chosen(source, others[drawn], "random"))
    return tuple(chosen)


def undrilled(
    source: str, catalog: Catalog, records: Iterable[DrillRecord], *, now: dt.datetime
) -> tuple[dt.datetime | None, str | None]:
    """When the source was last restored and found equal, and why that is too long ago (P15).

    A source whose first backup that is still kept is younger than a month has time until then.
    """
    proven = max(_proofs(source, records), default=None)
    first = min((entry.manifest.committed_at for entry in _good(catalog)), default=now)
    if now - max(first, proven or first) <= AT_LEAST:
        return proven, None
    what = f"was last drilled {proven:%Y-%m-%d}" if proven else "was never drilled"
    return proven, f"it {what}; P15 asks for a drill every {spoken_duration(AT_LEAST)}: `lifeboat drill`"


def proven_backups(record: DrillRecord) -> Iterable[DrilledBackup]:
    """What of a drill came back whole and equal, whatever else it found; single files are not the whole."""
    if record.drill_kind in WITHOUT_OBJECTIVES:
        return ()
    equal = {each.backup_id for each in record.comparisons if each.compared and not each.differences}
    return [backup for backup in record.backups if backup.backup_id in equal]


def _proofs(source: str, records: Iterable[DrillRecord]) -> Iterable[dt.datetime]:
    return (
        record.ended_at
        for record in records
        for backup in proven_backups(record)
        if f"{backup.service}/{backup.source}" == source
    )


def _proven_this_quarter(
    source: str, records: Iterable[DrillRecord], *, now: dt.datetime, time_zone: str
) -> bool:
    def quarter(moment: dt.datetime) -> tuple[int, int]:
        day = moment.astimezone(ZoneInfo(time_zone))
        return day.year, (day.month - 1) // 3

    return any(
        backup.choice == "oldest-monthly"
        and f"{backup.service}/{backup.source}" == source
        and quarter(record.started_at) == quarter(now)
        for record in records
        for backup in proven_backups(record)
    )


def _good(catalog: Catalog) -> list[Entry]:
    return [entry for entry in catalog.entries if entry.manifest.quality == "good"]


def _oldest_monthly(older: Sequence[Entry], rules: RetentionRules) -> Entry | None:
    found = monthlies([entry.facts() for entry in older], rules)
    oldest = found[-1].backup.backup_id if found else None
    return next((entry for entry in older if entry.manifest.backup_id == oldest), None)


def _chosen(source: str, entry: Entry, choice: Literal["random", "oldest-monthly"]) -> OlderBackup:
    manifest = entry.manifest
    return OlderBackup(source, manifest.backup_id, manifest.totals.plain_bytes, choice)

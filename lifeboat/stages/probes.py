"""Probe: ask the restored databases what the policy wants to know of them, and look for the files they name (P7)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from lifeboat.adapters.postgres import PostgresServer, Session
from lifeboat.adapters.tree import shown_path
from lifeboat.errors import LifeboatError
from lifeboat.model.objectives import Verdict
from lifeboat.model.policy import Policy
from lifeboat.model.policy_probes import ProbeRule
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.probes import Judged, ProbeResult, judge_files, judge_newest, judge_value
from lifeboat.model.restore_outcome import RestoreOutcome
from lifeboat.model.tree import EntryKind
from lifeboat.stages.restore_items import Item, ServerItem, TreeItem

TIME_LIMIT: Final = "5min"
"""Of one query."""
_AT_ONCE: Final = 2000
"""Rows with paths that are in memory."""


@dataclass(frozen=True)
class _Place:
    """Where a probe is asked, and what lies beside it."""

    server: PostgresServer
    database: str
    data_timestamp: dt.datetime
    files: TreeItem | None


def probe_all(
    policy: Policy, environment: str, restored: Mapping[str, Item], outcomes: Sequence[RestoreOutcome]
) -> Iterator[ProbeResult]:
    """Every probe of the sources in ``restored``, by service/source; ``outcomes`` say what of them failed. One that
    cannot be asked is ``unmeasured``."""
    failed = {(each.source, each.what) for each in outcomes if each.state == "failed"}
    for service_name, service in policy.environment(environment).services.items():
        for source_name, source in service.sources.items():
            item = restored.get(f"{service_name}/{source_name}")
            if not isinstance(source, PostgresSource) or not isinstance(item, ServerItem):
                continue
            for name, rule in source.probes.items():
                if (item.source, rule.database) in failed:
                    told = f"{rule.database!r} did not come back"
                    yield ProbeResult(service_name, source_name, name, Verdict.UNMEASURED, told)
                    continue
                files = restored.get(f"{service_name}/{rule.files_of}")
                verdict, told = _probe(rule, item, files if isinstance(files, TreeItem) else None)
                yield ProbeResult(service_name, source_name, name, verdict, told)


def _probe(rule: ProbeRule, item: ServerItem, files: TreeItem | None) -> Judged:
    target = next((each.target for each in item.plan.databases if each.source.name == rule.database), None)
    if target is None:
        return Verdict.UNMEASURED, f"the backup has no database {rule.database!r}"
    place = _Place(item.server, target, item.manifest.data_timestamp, files)
    try:
        with place.server.connect(target) as session:
            session.execute(f"SET statement_timeout = '{TIME_LIMIT}'; BEGIN READ ONLY".encode())
            return _judged(rule, place, session)
    except (psycopg.Error, LifeboatError) as error:
        return Verdict.UNMEASURED, f"it cannot be asked: {' '.join(str(error).split())}"


def _judged(rule: ProbeRule, place: _Place, session: Session) -> Judged:
    if rule.files_of is not None:
        return _files(rule, place, session)
    rows = session.execute(rule.sql.encode()).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        return Verdict.UNMEASURED, "it gives no single value"
    if rule.newest_within is not None:
        return judge_newest(rule, rows[0][0], place.data_timestamp)
    return judge_value(rule, rows[0][0])


def _files(rule: ProbeRule, place: _Place, session: Session) -> Judged:
    """By a cursor of the server's: a table may name more files than memory holds."""
    if place.files is None:
        return Verdict.UNMEASURED, f"{rule.files_of} was not restored beside it"
    asked = missing = 0
    first = ""
    with place.files.target.tree().connect() as tree, session.cursor("probe") as cursor:
        cursor.itersize = _AT_ONCE
        for path, *_ in cursor.execute(rule.sql.encode()):
            asked += 1
            name = str(path).encode("utf-8", "surrogateescape").strip(b"/")
            found = tree.look_again(name) if _inside(name) else None
            if found is None or found.kind is not EntryKind.FILE:
                missing += 1
                first = first or shown_path(name)
    return judge_files(asked, missing, first)


def _inside(name: bytes) -> bool:
    return bool(name) and b"\0" not in name and not {b"", b".", b".."} & set(name.split(b"/"))

"""The drill record: the signed statement of what a drill restored, compared and measured, and of its verdict.

It lies open on the store, so it holds nothing personal: differences are counts by code, and no database, table, file or
customer has a name here. Format and every change to it: ``docs/format.md``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from lifeboat.model.manifest import ObjectName, PolicyReference, Slug, Value
from lifeboat.model.objectives import Verdict
from lifeboat.model.phases import Instant, Milliseconds, Phase
from lifeboat.model.rpo import AchievedRpo
from lifeboat.model.rto import AchievedRto

_DRILL_ID: Final = r"drill-[0-9]{8}T[0-9]{6}Z-[a-z0-9]{1,20}"
_Count = Annotated[int, Field(ge=0)]

WITHOUT_OBJECTIVES: Final = ("key", "file")
"""Kinds of drill that restore too little to say anything about RTO and RPO."""


class DrilledBackup(Value):
    """One backup that was restored, or in a key drill opened. ``choice``: the ``newest``; at ``random`` among the older
    ones; the ``oldest`` of all or the ``oldest-monthly``; or ``named`` by somebody. ``plain_bytes`` and ``rows`` are
    what it holds, ``milliseconds`` what fetching and restoring it took: what later restores are foretold by."""

    backup_id: ObjectName
    service: Slug
    source: Slug
    data_timestamp: Instant
    choice: Literal["newest", "random", "oldest", "oldest-monthly", "named"]
    plain_bytes: _Count
    rows: _Count
    milliseconds: Milliseconds


class Sandbox(Value):
    """Where it was restored to: a throw-away PostgreSQL ``cluster``, a drill ``server``, or a ``folder``.

    ``postgresql`` is the major version. ``settings`` are those that bear on the times, like ``fsync``.
    ``destroyed_at`` is None when it may still be there.
    """

    kind: Literal["cluster", "server", "folder"]
    postgresql: Annotated[int, Field(ge=1)] | None = None
    settings: dict[str, str]
    destroyed_at: Instant | None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.kind == "folder") != (self.postgresql is None):
            raise ValueError("a PostgreSQL sandbox has a major version, and a folder has none")
        return self


class CountedCode(Value):
    """How often something went wrong in one way. Where it did is in the drill's own report, not on the store."""

    code: Slug
    count: Annotated[int, Field(ge=1)] = 1


class Comparison(Value):
    """What of one backup was compared with its index, and how much of it differed."""

    backup_id: ObjectName
    databases: _Count = 0
    tables: _Count = 0
    rows: _Count = 0
    files: _Count = 0
    definitions: _Count = 0
    differences: tuple[CountedCode, ...] = ()

    @property
    def compared(self) -> bool:
        return bool(self.databases or self.tables or self.files or self.definitions)

    @property
    def told(self) -> str:
        """``3 databases, 7 tables, 1,526,801 rows``: what there was of, in words."""
        counts = {
            name: getattr(self, name) for name in ("databases", "tables", "rows", "files", "definitions")
        }
        told = (f"{count:,} {name if count > 1 else name[:-1]}" for name, count in counts.items() if count)
        return ", ".join(told) or "nothing"


class Probe(Value):
    """One check of the policy's own on the restored data, by where it stands there."""

    service: Slug
    source: Slug
    name: Slug
    verdict: Verdict


class DrillFacts(Value):
    """What is known when a drill has ended: all of its record but the verdict.

    ``drill_kind``: ``full``; ``partial``, a sample whose time for the whole is extrapolated; ``cold``, on a clean
    machine; ``key``, that an identity from escrow opens a backup; ``file``, that one file comes back. ``seed`` is what
    a choice at random can be repeated with. ``failures`` are what ended it early. ``interrupted``: it was killed, or
    ended without a record of its own, which a later drill made for it.
    """

    environment: Slug
    drill_id: Annotated[str, Field(pattern=f"^{_DRILL_ID}$")]
    drill_kind: Literal["full", "partial", "cold", "key", "file"]
    started_at: Instant
    ended_at: Instant
    policy: PolicyReference
    backups: Annotated[tuple[DrilledBackup, ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    sandbox: Sandbox
    phases: tuple[Phase, ...]
    rto: AchievedRto | None
    rpo: AchievedRpo | None
    comparisons: tuple[Comparison, ...]
    probes: tuple[Probe, ...] = ()
    failures: tuple[CountedCode, ...] = ()
    interrupted: bool = False
    tools: dict[str, str]

    @model_validator(mode="after")
    def _facts_agree(self) -> Self:
        if self.ended_at < self.started_at:
            raise ValueError("a drill ends after it starts")
        if self.seed is None and any(backup.choice == "random" for backup in self.backups):
            raise ValueError("a choice at random has a seed")
        if {each.backup_id for each in self.comparisons} - {each.backup_id for each in self.backups}:
            raise ValueError("only what was drilled was compared")
        return self


class DrillRecord(DrillFacts):
    """One drill, with its verdict. One that says ``met`` although its facts do not is refused, also when read."""

    format: Literal[1] = 1
    kind: Literal["drill"] = "drill"
    verdict: Verdict
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, facts: DrillFacts) -> DrillRecord:
        """The record of these facts: the worst of what they say, and why."""
        shortcomings = tuple(_shortcomings(facts))
        return cls(
            **{name: getattr(facts, name) for name in DrillFacts.model_fields},
            verdict=Verdict.worst([Verdict.MET, *(verdict for verdict, _ in shortcomings)]),
            reasons=tuple(reason for _, reason in shortcomings),
        )

    @model_validator(mode="after")
    def _verdict_agrees(self) -> Self:
        if (self.verdict is Verdict.MET) == bool(self.reasons):
            raise ValueError("reasons go with every verdict but 'met'")
        if self.verdict is Verdict.MET and (told := [reason for _, reason in _shortcomings(self)]):
            raise ValueError(f"'met' is contradicted: {'; '.join(told)}")
        return self

    @property
    def file_name(self) -> str:
        return drill_name(self.drill_id)


def drill_name(drill_id: str) -> str:
    return f"{drill_id}.drill.json"


def parse_drill_name(name: str) -> str | None:
    """The drill id of a drill record's file name, or None if it is no such name."""
    match = re.fullmatch(rf"({_DRILL_ID})\.drill\.json", name)
    return match[1] if match else None


def new_drill_id(started_at: dt.datetime, suffix: str) -> str:
    """``drill-20261125T031500Z-k3v9qz``: UTC start, random suffix."""
    return f"drill-{started_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{suffix}"


def record_key(environment: str) -> str:
    """Of the artifact that brings a record to whoever waits for a run and sees no store."""
    return f"drill-record-{environment}"


def record_as_artifact(record: DrillRecord) -> str:
    """Markdown around the record as JSON."""
    told = f"The record of {record.drill_id}, as it lies signed on the store"
    return f"{told}:\n\n```json\n{record.model_dump_json()}\n```"


def record_from_artifact(text: str) -> DrillRecord:
    """The record out of such an artifact. Raises ``ValueError`` when there is none in it."""
    _, _, inside = text.partition("```json\n")
    return DrillRecord.model_validate_json(inside.partition("\n```")[0])


def _shortcomings(facts: DrillFacts) -> Iterator[tuple[Verdict, str]]:
    """What keeps a drill from having met its objectives, each with how bad it is. Texts are made of codes, ids and
    times only: they lie open on the store."""
    if facts.interrupted:
        yield Verdict.UNMEASURED, "the drill was ended before it had a record; what it found out is not known"
    for failure in facts.failures:
        yield Verdict.MISSED, f"the drill failed: {failure.count} × {failure.code}"
    yield from _objective_shortcomings(facts)
    yield from _comparison_shortcomings(facts)
    for probe in facts.probes:
        if probe.verdict is not Verdict.MET:
            yield probe.verdict, f"probe {probe.service}/{probe.source} {probe.name}: {probe.verdict}"
    if facts.sandbox.destroyed_at is None:
        yield Verdict.MISSED, "the sandbox was not destroyed: data that was restored may still be there"


def _objective_shortcomings(facts: DrillFacts) -> Iterator[tuple[Verdict, str]]:
    for name, judged in (("RTO", facts.rto), ("RPO", facts.rpo)):
        if judged is not None:
            yield from ((judged.verdict, f"{name}: {reason}") for reason in judged.reasons)
        elif facts.drill_kind not in WITHOUT_OBJECTIVES:
            yield Verdict.UNMEASURED, f"{name}: not measured"
    if facts.drill_kind == "partial" and facts.rto and not facts.rto.extrapolated:
        yield Verdict.UNMEASURED, "RTO: what a sample took says nothing about the whole"


def _comparison_shortcomings(facts: DrillFacts) -> Iterator[tuple[Verdict, str]]:
    if facts.drill_kind == "key":
        # It opens headers, each identity a probe: there is nothing to compare, and it proves no backup.
        if not facts.probes:
            yield Verdict.UNMEASURED, "no identity was tried"
        return
    compared = {each.backup_id for each in facts.comparisons if each.compared}
    for backup in facts.backups:
        if backup.backup_id not in compared:
            yield Verdict.UNMEASURED, f"{backup.backup_id}: nothing was compared"
    for each in facts.comparisons:
        for difference in each.differences:
            yield Verdict.MISSED, f"{each.backup_id}: {difference.count} × {difference.code}"

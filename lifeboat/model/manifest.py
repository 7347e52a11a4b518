"""The manifest: the signed statement that a backup exists. Written last, it *is* the commit.

It holds nothing personal: no database, table, file or customer name (those are in the sealed index).
Format and every change to it: ``docs/format.md``.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = 1

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Consistency = Literal["snapshot", "crash", "live"]
ObjectName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]


class Value(BaseModel):
    """A frozen value that knows exactly its own fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredObject(Value):
    """An object as it lies on the store: length in bytes and SHA-256 of the sealed bytes."""

    name: ObjectName
    size: Annotated[int, Field(gt=0)]
    sha256: Sha256


class ChainLink(Value):
    """The valid manifest before this one: its sequence, and the SHA-256 of its file."""

    sequence: Annotated[int, Field(ge=1)]
    sha256: Sha256


class PolicyReference(Value):
    """Which policy held when the backup was taken (clause P18)."""

    name: str
    version: str
    sha256: Sha256


class Totals(Value):
    """Counts over the whole backup. ``plain_bytes`` is before compression, ``sealed_bytes`` what travelled to the store
    for it, ``referenced_bytes`` what it needs of older backups' parts, sealed."""

    databases: Annotated[int, Field(ge=0)] = 0
    tables: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[int, Field(ge=0)] = 0
    files: Annotated[int, Field(ge=0)] = 0
    plain_bytes: Annotated[int, Field(ge=0)] = 0
    sealed_bytes: Annotated[int, Field(ge=0)] = 0
    referenced_bytes: Annotated[int, Field(ge=0)] = 0


class ManifestFinding(Value):
    """How often something the policy does not allow was seen; names are in the index."""

    code: Slug
    clause: str
    count: Annotated[int, Field(ge=1)] = 1


class Manifest(Value):
    """One backup: one source at one data timestamp.

    ``day`` is the local date of the data timestamp in the policy's time zone, computed once here and
    never again (requirements, decision 2). ``erasures`` is the newest record of the ledger of erasures then known; None
    while there is no ledger. ``references`` are parts of older backups that this one needs: they go
    when no kept manifest names them. ``timings`` are milliseconds on the monotonic clock.
    """

    format: Literal[1] = FORMAT
    kind: Literal["backup"] = "backup"
    environment: Slug
    service: Slug
    source: Slug
    source_kind: Slug
    backup_id: ObjectName
    run_id: ObjectName
    sequence: Annotated[int, Field(ge=1)]
    previous: ChainLink | None
    data_timestamp: dt.datetime
    committed_at: dt.datetime
    day: dt.date
    time_zone: str
    policy: PolicyReference
    recipients: Annotated[tuple[str, ...], Field(min_length=2)]
    consistency: Consistency
    quality: Literal["good", "suspect"]
    doubts: tuple[str, ...] = ()
    index: StoredObject
    parts: tuple[StoredObject, ...]
    references: tuple[StoredObject, ...] = ()
    totals: Totals
    timings: dict[str, int]
    tools: dict[str, str]
    findings: tuple[ManifestFinding, ...] = ()
    erasures: ChainLink | None = None

    @property
    def needed(self) -> tuple[StoredObject, ...]:
        """Every object that a restore may read: index, parts, and parts of older backups."""
        return (self.index, *self.parts, *self.references)

    @property
    def chain(self) -> str:
        """The name of the chain this manifest belongs to: one per source of an environment."""
        return chain_name(self.service, self.source)

    @property
    def file_name(self) -> str:
        return manifest_name(self.chain, self.sequence)


def chain_name(service: str, source: str) -> str:
    return f"{service}-{source}"


def manifest_name(chain: str, sequence: int) -> str:
    """``main-databases.00000042.manifest.json``: the name is the place in the chain (decision D1)."""
    return f"{chain}.{sequence:08d}.manifest.json"


def parse_manifest_name(name: str) -> tuple[str, int] | None:
    """The chain and sequence of a manifest's file name, or None if it is no such name."""
    match = re.fullmatch(r"([a-z0-9][a-z0-9-]*)\.([0-9]{8})\.manifest\.json", name)
    return (match[1], int(match[2])) if match else None


def new_backup_id(chain: str, data_timestamp: dt.datetime, suffix: str) -> str:
    """``main-databases-20261123T011503Z-k3v9qz``: source, UTC data timestamp, random suffix."""
    return f"{chain}-{data_timestamp.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{suffix}"


def part_name(backup_id: str, number: int) -> str:
    return f"{backup_id}.{number:04d}.age"


def index_name(backup_id: str) -> str:
    return f"{backup_id}.index.age"


_OBJECT = re.compile(r"(?P<backup_id>.+-(?P<stamp>[0-9]{8}T[0-9]{6}Z)-[a-z0-9]+)\.(?:[0-9]{4,}|index)\.age")


def parse_object_name(name: str) -> tuple[str, dt.datetime] | None:
    """The backup id and its data timestamp of a part's or an index's name; None for any other name."""
    match = _OBJECT.fullmatch(name)
    if not match:
        return None
    try:
        stamp = dt.datetime.strptime(match["stamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:  # digits that are no moment: no name of ours
        return None
    return match["backup_id"], stamp

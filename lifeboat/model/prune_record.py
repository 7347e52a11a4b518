"""The prune record: the signed tombstone written before anything is deleted (decision D2).

It names every object that goes, with the reason, and - cumulatively - every place of every chain that was ever
pruned, so that only the newest record must be read to know which gaps are ours.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lifeboat.errors import SignatureInvalid
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.manifest import ObjectName, PolicyReference, Slug, Value
from lifeboat.model.signed import TrustedKeys

Range = tuple[int, int]


class PrunedBackup(Value):
    """One backup that goes. ``objects`` are exact names: its manifest first, then index and parts."""

    backup_id: ObjectName
    chain: Slug
    sequence: int
    reasons: tuple[str, ...]
    objects: Annotated[tuple[ObjectName, ...], Field(min_length=1)]
    size: int


class PruneRecord(Value):
    """What one prune deletes, and all that was pruned up to and with it.

    ``orphans`` are objects past their grace that no manifest named. They are announced like backups: a run that is
    about to commit looks here for the parts of older backups that it needs.
    """

    format: Literal[1] = 1
    kind: Literal["prune"] = "prune"
    environment: Slug
    sequence: Annotated[int, Field(ge=1)]
    run_id: ObjectName
    decided_at: dt.datetime
    policy: PolicyReference
    backups: tuple[PrunedBackup, ...]
    orphans: tuple[ObjectName, ...] = ()
    pruned: dict[str, tuple[Range, ...]]

    @property
    def announced(self) -> tuple[str, ...]:
        """Every object that goes, the manifests first; an object of two doomed backups once."""
        manifests = [backup.objects[0] for backup in self.backups]
        payload = [name for backup in self.backups for name in backup.objects[1:]]
        return tuple(dict.fromkeys((*manifests, *payload, *self.orphans)))


def record_name(sequence: int) -> str:
    return f"prune.{sequence:08d}.record.json"


def parse_record_name(name: str) -> int | None:
    match = re.fullmatch(r"prune\.([0-9]{8})\.record\.json", name)
    return int(match[1]) if match else None


def newest_record(
    environment: str, files: Mapping[str, bytes], trusted: TrustedKeys
) -> tuple[PruneRecord | None, int]:
    """The newest valid record, and the next free sequence.

    A record torn by a crash never caused a deletion (it is read back before the first), so an unreadable one is
    passed over when an older one explains all gaps; a gap it does not explain is a doubt of the catalog anyway.
    """
    best: PruneRecord | None = None
    for name, raw in files.items():
        sequence = parse_record_name(name) or 0
        record = _parse(environment, name, sequence, raw, trusted)
        if record and (best is None or record.sequence > best.sequence):
            best = record
    after = best.sequence + 1 if best else 1
    return best, next(sequence for sequence in itertools.count(after) if record_name(sequence) not in files)


def _parse(
    environment: str, name: str, sequence: int, raw: bytes, trusted: TrustedKeys
) -> PruneRecord | None:
    try:
        record = PruneRecord.model_validate_json(canonical_bytes(trusted.verify(raw, where=name)))
    except (SignatureInvalid, ValidationError):
        return None
    return record if (record.environment, record.sequence) == (environment, sequence) else None

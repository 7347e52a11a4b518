"""What a backup consists of once all its parts are on the store: what publish puts into the index and the manifest."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import zstandard

from lifeboat.errors import SealingFailed
from lifeboat.model.carried import CarriedTables
from lifeboat.model.index import Database, Index, IndexFinding, IndexPart, Table
from lifeboat.model.manifest import Consistency, StoredObject, Totals
from lifeboat.model.parts import PartKind
from lifeboat.model.policy_sources import SuspectRules
from lifeboat.stages.encrypt import DumpedPart
from lifeboat.stages.sealed_index import seal_index
from lifeboat.stages.snapshot import FrozenDatabase, FrozenServer
from lifeboat.stages.upload import CheckedBatch
from lifeboat.stages.voyage import ServerVoyage, Voyage


@dataclass(frozen=True)
class Contents:
    """``index`` is sealed already. ``references`` are parts of older backups that this one needs."""

    backup_id: str
    source_kind: str
    data_timestamp: dt.datetime
    consistency: Consistency
    index: bytes = field(repr=False)
    objects: tuple[StoredObject, ...]
    references: tuple[StoredObject, ...]
    totals: Totals
    suspect: SuspectRules
    tools: dict[str, str]
    findings: tuple[IndexFinding, ...]


def contents_of_server(
    voyage: ServerVoyage, backup_id: str, turns: Sequence[FrozenServer], batches: Sequence[CheckedBatch]
) -> Contents:
    """Raises ``SealingFailed`` when a table of the inventory was not sealed."""
    index = build_index(voyage, backup_id, turns, batches)
    packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(index.model_dump_json().encode())
    objects = tuple(stored for batch in batches for stored in batch.objects)
    own = {stored.name for stored in objects}
    references = tuple(
        StoredObject(name=part.name, size=part.size, sha256=part.sha256)
        for part in index.parts
        if part.name not in own
    )
    return Contents(
        backup_id=backup_id,
        source_kind="postgres",
        data_timestamp=index.data_timestamp,
        consistency="snapshot",
        index=sealed_for(voyage, [packed]),
        objects=objects,
        references=references,
        totals=Totals(
            databases=len(index.databases),
            tables=sum(len(database.tables) for database in index.databases),
            rows=sum(database.rows for database in index.databases),
            plain_bytes=sum(part.plain_bytes for part in index.parts),
            sealed_bytes=sum(stored.size for stored in objects),
            referenced_bytes=sum(stored.size for stored in references),
        ),
        suspect=voyage.source.suspect,
        tools={"postgresql": index.server_version},
        findings=index.findings,
    )


def sealed_for(voyage: Voyage, packed: Iterable[bytes]) -> bytes:
    """The index as it goes to the store; see ``seal_index``."""
    recipients = (*voyage.keys.recipients, voyage.keys.index_recipient)
    return seal_index(packed, recipients, voyage.keys.index_identity)


def build_index(
    voyage: ServerVoyage, backup_id: str, turns: Sequence[FrozenServer], batches: Sequence[CheckedBatch]
) -> Index:
    """Put the table of contents together from what each batch sealed."""
    own = [
        (part, stored)
        for batch in batches
        for part, stored in zip(batch.sealed.travelling, batch.objects, strict=True)
    ]
    number = {(part.planned.kind, part.planned.database): part.planned.number for part, _ in own}
    carried = _carried(batches)
    databases = []
    for turn in turns:
        for frozen in turn.databases:
            found = [table for batch in batches for table in batch.sealed.tables.get(frozen.name, ())]
            if len(found) != len(frozen.tables):
                raise SealingFailed(
                    f"{voyage.label}: database {frozen.name!r} has {len(frozen.tables)} tables, "
                    f"{len(found)} were sealed"
                )
            databases.append(_database(frozen, found, number, carried))
    findings = [finding for turn in turns for finding in turn.findings]
    findings += [finding for batch in batches for finding in batch.sealed.findings]
    first = turns[0]
    return Index(
        backup_id=backup_id,
        environment=voyage.environment_name,
        service=voyage.service,
        source=voyage.source_name,
        data_timestamp=min(turn.data_timestamp for turn in turns),
        server_version=first.version,
        server_version_number=first.version_number,
        bootstrap_role=first.bootstrap_role,
        globals_part=number[PartKind.GLOBALS, ""],
        databases=tuple(sorted(databases, key=lambda database: database.name)),
        parts=(*_own_parts(own), *(older.part for older in carried.values())),
        findings=tuple(dict.fromkeys(findings)),
    )


def _carried(batches: Sequence[CheckedBatch]) -> dict[int, CarriedTables]:
    """By the number of the part that did not travel: the older one, numbered on after all planned ones."""
    parts = [part for batch in batches for part in batch.sealed.parts]
    numbers = itertools.count(max((part.planned.number for part in parts), default=0) + 1)
    return {
        part.planned.number: _renumbered(part.carried, next(numbers))
        for part in parts
        if part.carried is not None
    }


def _renumbered(older: CarriedTables, number: int) -> CarriedTables:
    return CarriedTables(
        part=older.part.model_copy(update={"number": number}),
        tables=tuple(table.model_copy(update={"part": number}) for table in older.tables),
    )


def _database(
    frozen: FrozenDatabase,
    found: Sequence[Table],
    number: Mapping[tuple[PartKind, str], int],
    carried: Mapping[int, CarriedTables],
) -> Database:
    tables = [table for table in found if table.part not in carried]
    for planned in {table.part for table in found} & carried.keys():
        tables += carried[planned].tables
    return Database(
        name=frozen.name,
        data_timestamp=frozen.data_timestamp,
        wal_position=frozen.wal_position,
        properties=frozen.properties,
        schema_part=number[PartKind.SCHEMA, frozen.name],
        rest_part=number[PartKind.REST, frozen.name],
        tables=tuple(sorted(tables, key=lambda table: (table.schema_name, table.name))),
    )


def _own_parts(own: Sequence[tuple[DumpedPart, StoredObject]]) -> Iterator[IndexPart]:
    for part, stored in sorted(own, key=lambda pair: pair[0].planned.number):
        yield IndexPart(
            number=part.planned.number,
            name=stored.name,
            kind=part.planned.kind.value,
            size=stored.size,
            sha256=stored.sha256,
            plain_bytes=part.sealed.plain_bytes,
            plain_sha256=None if part.planned.kind is PartKind.TABLES else part.sealed.segments[0].sha256,
        )

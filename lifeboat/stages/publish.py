"""Publish: the sealed index, then the signed manifest - the commit.

The manifest is created under the next free place of the chain. A place taken by another run meanwhile is refused by
the store, and we link ourselves behind it (decision D1): two runs at once harm nothing (F24).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from zoneinfo import ZoneInfo

import pyrage
import zstandard

from lifeboat import clock
from lifeboat.adapters.store import StoreTarget
from lifeboat.errors import SealingFailed, StoreObjectExists, StoreObjectMissing, StoreUnreachable
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.catalog import Catalog
from lifeboat.model.index import Database, Index, IndexFinding, IndexPart
from lifeboat.model.manifest import ChainLink, Manifest, ManifestFinding, StoredObject, Totals, index_name
from lifeboat.model.parts import PartKind
from lifeboat.model.quality import doubts_about
from lifeboat.stages.catalog import look, read_whole
from lifeboat.stages.snapshot import FrozenServer
from lifeboat.stages.upload import CheckedBatch, check_object
from lifeboat.stages.voyage import Voyage, fingerprint

PLACES_TRIED = 5


@dataclass(frozen=True)
class Published:
    """A committed backup: its manifest and the chain's new head, to be kept off the store."""

    manifest: Manifest
    head: ChainLink


def publish(
    voyage: Voyage,
    backup_id: str,
    turns: Sequence[FrozenServer],
    batches: Sequence[CheckedBatch],
    timings: Mapping[str, int],
) -> Published:
    """Commit what was checked. Raises without having committed, or returns with the manifest read back."""
    index = build_index(voyage, backup_id, turns, batches)
    stored_index = _send_index(voyage, index)
    objects = tuple(stored for batch in batches for stored in batch.objects)
    for _ in range(PLACES_TRIED):
        with voyage.store.connect() as store:
            view = look(store, voyage.environment_name, voyage.keys.trusted, chain=voyage.chain)
        catalog = view.catalog(voyage.chain, voyage.keys.trusted, voyage.anchor)
        manifest = _manifest(voyage, index, stored_index, objects, catalog, timings)
        raw = voyage.keys.signer.sign(manifest.model_dump(mode="json"))
        if _commit(voyage.store, manifest.file_name, raw):
            return Published(manifest, ChainLink(sequence=manifest.sequence, sha256=sha256_hex(raw)))
    raise StoreObjectExists(
        f"{voyage.label}: {PLACES_TRIED} places of the chain were taken while publishing.",
        hint="Find out which other workers back up this source; the parts are complete and will be reaped.",
    )


def _commit(target: StoreTarget, name: str, raw: bytes) -> bool:
    """Create the manifest and read it back over a new session; False when the place went to another.

    A connection that is lost while committing leaves it open whether the manifest arrived: the store is asked.
    """
    try:
        with target.connect() as store:
            store.create_new(name, [raw])
    except StoreObjectExists:
        return False
    except StoreUnreachable:
        pass
    with target.connect() as store:
        try:
            return read_whole(store, name) == raw
        except StoreObjectMissing:
            return False


def build_index(
    voyage: Voyage, backup_id: str, turns: Sequence[FrozenServer], batches: Sequence[CheckedBatch]
) -> Index:
    """Put the table of contents together from what each batch sealed."""
    parts = [
        (part, stored)
        for batch in batches
        for part, stored in zip(batch.sealed.parts, batch.objects, strict=True)
    ]
    number = {(part.planned.kind, part.planned.database): part.planned.number for part, _ in parts}
    databases = []
    for turn in turns:
        for frozen in turn.databases:
            found = [table for batch in batches for table in batch.sealed.tables.get(frozen.name, ())]
            if len(found) != len(frozen.tables):
                raise SealingFailed(
                    f"{voyage.label}: database {frozen.name!r} has {len(frozen.tables)} tables, "
                    f"{len(found)} were sealed"
                )
            databases.append(
                Database(
                    name=frozen.name,
                    data_timestamp=frozen.data_timestamp,
                    wal_position=frozen.wal_position,
                    properties=frozen.properties,
                    schema_part=number[PartKind.SCHEMA, frozen.name],
                    rest_part=number[PartKind.REST, frozen.name],
                    tables=tuple(sorted(found, key=lambda table: (table.schema_name, table.name))),
                )
            )
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
        parts=tuple(
            IndexPart(
                number=part.planned.number,
                name=stored.name,
                kind=part.planned.kind.value,
                size=stored.size,
                sha256=stored.sha256,
                plain_bytes=part.sealed.plain_bytes,
                plain_sha256=None if part.planned.kind is PartKind.TABLES else part.sealed.segments[0].sha256,
            )
            for part, stored in sorted(parts, key=lambda pair: pair[0].planned.number)
        ),
        findings=tuple(dict.fromkeys(findings)),
    )


def seal_index(index: Index, recipients: Sequence[str], index_identity: str) -> bytes:
    """The index as zstd inside age, opened again with the index identity before it counts."""
    plain = index.model_dump_json().encode()
    packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(plain)
    sealed: bytes = pyrage.encrypt(
        packed, [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    )
    if open_index(sealed, index_identity) != index:
        raise SealingFailed("The sealed index does not open to what was sealed.")
    return sealed


def open_index(sealed: bytes, identity: str) -> Index:
    """Raises ``pyrage.DecryptError`` when the identity does not open it."""
    packed = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    return Index.model_validate_json(zstandard.ZstdDecompressor().decompress(packed))


def _send_index(voyage: Voyage, index: Index) -> StoredObject:
    sealed = seal_index(
        index, (*voyage.keys.recipients, voyage.keys.index_recipient), voyage.keys.index_identity
    )
    stored = StoredObject(name=index_name(index.backup_id), size=len(sealed), sha256=sha256_hex(sealed))
    with voyage.store.connect() as store:
        store.create_new(stored.name, [sealed])
    with voyage.store.connect() as store:
        check_object(voyage, store, stored)
    return stored


def _manifest(
    voyage: Voyage,
    index: Index,
    stored_index: StoredObject,
    objects: tuple[StoredObject, ...],
    catalog: Catalog,
    timings: Mapping[str, int],
) -> Manifest:
    totals = Totals(
        databases=len(index.databases),
        tables=sum(len(database.tables) for database in index.databases),
        rows=sum(database.rows for database in index.databases),
        plain_bytes=sum(part.plain_bytes for part in index.parts),
        sealed_bytes=sum(stored.size for stored in objects),
    )
    rules = voyage.source.suspect
    history = [entry.manifest.totals for entry in catalog.entries if entry.manifest.quality == "good"]
    doubts = doubts_about(
        totals, history, minimum_tables=rules.minimum_tables, row_drop_percent=rules.row_drop_percent
    )
    return Manifest(
        environment=voyage.environment_name,
        service=voyage.service,
        source=voyage.source_name,
        source_kind="postgres",
        backup_id=index.backup_id,
        run_id=voyage.run_id,
        sequence=catalog.next_sequence,
        previous=catalog.head,
        data_timestamp=index.data_timestamp,
        committed_at=clock.utc_now(),
        day=index.data_timestamp.astimezone(ZoneInfo(voyage.time_zone)).date(),
        time_zone=voyage.time_zone,
        policy=voyage.policy,
        recipients=tuple(fingerprint(recipient) for recipient in voyage.keys.recipients),
        consistency="snapshot",
        quality="suspect" if doubts else "good",
        doubts=doubts,
        index=stored_index,
        parts=objects,
        totals=totals,
        timings=dict(timings),
        tools={
            "lifeboat": version("lifeboat"),
            "postgresql": index.server_version,
            "pyrage": version("pyrage"),
            "zstandard": version("zstandard"),
        },
        findings=_counted(index.findings),
    )


def _counted(findings: Sequence[IndexFinding]) -> tuple[ManifestFinding, ...]:
    counts = Counter((finding.code, finding.clause) for finding in findings)
    return tuple(
        ManifestFinding(code=code, clause=clause, count=n) for (code, clause), n in sorted(counts.items())
    )

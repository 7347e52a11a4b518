"""Valid manifests, indexes and chains to start from; a test changes only what it is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lifeboat.model.canonical import sha256_hex
from lifeboat.model.catalog import Catalog, Ranges, build_catalog, merge_ranges
from lifeboat.model.index import Database, DatabaseProperties, Index, IndexPart, Table
from lifeboat.model.manifest import (
    ChainLink,
    Manifest,
    PolicyReference,
    StoredObject,
    Totals,
    index_name,
    manifest_name,
    new_backup_id,
    part_name,
)
from lifeboat.model.prune_record import PrunedBackup, PruneRecord
from lifeboat.model.signed import Signer, TrustedKeys

EPOCH = dt.datetime(2026, 11, 23, 1, 15, 3, tzinfo=dt.UTC)
POLICY = PolicyReference(name="digital-automotive", version="1.2.0", sha256="8" * 64)


def signing_key(seed: int) -> str:
    """An Ed25519 private key in PEM, the same for the same ``seed`` (0 to 255)."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


SIGNER = Signer.from_pem(signing_key(1))
STRANGER = Signer.from_pem(signing_key(2))
TRUSTED = TrustedKeys.from_pems(SIGNER.public_pem)


def stored(name: str, size: int = 1000) -> StoredObject:
    return StoredObject(name=name, size=size, sha256="a" * 64)


def manifest(sequence: int = 1, previous: ChainLink | None = None, **changes: Any) -> Manifest:
    """A backup of ``production/main/databases``, one per day from ``EPOCH`` on."""
    moment = EPOCH + dt.timedelta(days=sequence - 1)
    backup_id = new_backup_id("main-databases", moment, "k3v9qz")
    fields: dict[str, Any] = {
        "environment": "production",
        "service": "main",
        "source": "databases",
        "source_kind": "postgres",
        "backup_id": backup_id,
        "run_id": "run-20261123T011500Z-7mfx2c",
        "sequence": sequence,
        "previous": previous,
        "data_timestamp": moment,
        "committed_at": moment + dt.timedelta(minutes=5),
        "day": moment.date(),
        "time_zone": "Europe/Berlin",
        "policy": POLICY,
        "recipients": ("037aeaeaf4bbf26d", "a8437843cad2ee17"),
        "consistency": "snapshot",
        "quality": "good",
        "index": stored(index_name(backup_id)),
        "parts": (stored(part_name(backup_id, 1), 4000), stored(part_name(backup_id, 2), 5000)),
        "totals": Totals(databases=1, tables=2, rows=30, plain_bytes=20_000, sealed_bytes=9000),
        "timings": {"dump": 1200},
        "tools": {"lifeboat": "0.1.0"},
    }
    return Manifest(**(fields | changes))


def signed(made: Manifest | PruneRecord, *, signer: Signer = SIGNER, **statement: Any) -> bytes:
    """The file of a manifest or prune record; ``statement`` overrides fields without any validation."""
    return signer.sign(made.model_dump(mode="json") | statement)


class Chain:
    """A chain on a store, moved as publish and prune move it. ``files`` are what lies there."""

    name = "main-databases"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.pruned: Ranges = ()
        self.anchor: ChainLink | None = None

    def catalog(self, *, files: Mapping[str, bytes] | None = None, anchored: bool = False) -> Catalog:
        return build_catalog(
            "production",
            self.name,
            self.files if files is None else files,
            TRUSTED,
            pruned=self.pruned,
            anchor=self.anchor if anchored else None,
        )

    def commit(self, **changes: Any) -> Manifest:
        """Publish the next backup, and keep its place off the store."""
        catalog = self.catalog(anchored=True)
        made = manifest(catalog.next_sequence, catalog.head, **changes)
        assert made.file_name not in self.files, "a store creates a name once"
        raw = self.files[made.file_name] = signed(made)
        self.anchor = ChainLink(sequence=made.sequence, sha256=sha256_hex(raw))
        return made

    def commits(self, count: int) -> None:
        for _ in range(count):
            self.commit()

    def tear(self, kept: int = 300) -> str:
        """A crash while publishing: the first ``kept`` bytes of a manifest. Returns its name."""
        catalog = self.catalog(anchored=True)
        made = manifest(catalog.next_sequence, catalog.head)
        self.files[made.file_name] = signed(made)[:kept]
        return made.file_name

    def prune(self, sequence: int) -> None:
        """Delete one backup, with the torn places before it that only its manifest explains."""
        catalog = self.catalog()
        entry = next(entry for entry in catalog.entries if entry.manifest.sequence == sequence)
        before = entry.manifest.previous.sequence if entry.manifest.previous else 0
        self.pruned = merge_ranges([*self.pruned, (before + 1, sequence)])
        for place in range(before + 1, sequence + 1):
            self.files.pop(manifest_name(self.name, place), None)


def prune_record(sequence: int = 1, /, **changes: Any) -> PruneRecord:
    doomed = manifest(1)
    fields: dict[str, Any] = {
        "environment": "production",
        "sequence": sequence,
        "run_id": "run-20261223T011500Z-7mfx2c",
        "decided_at": EPOCH + dt.timedelta(days=30 + sequence),
        "policy": POLICY,
        "backups": (
            PrunedBackup(
                backup_id=doomed.backup_id,
                chain=doomed.chain,
                sequence=doomed.sequence,
                reasons=("older than 30 days",),
                objects=(doomed.file_name, doomed.index.name, *(part.name for part in doomed.parts)),
                size=11_000,
            ),
        ),
        "pruned": {doomed.chain: ((1, 1),)},
    }
    return PruneRecord(**(fields | changes))


def table(name: str, part: int, *, schema: str = "public", rows: int = 10) -> Table:
    return Table(
        schema_name=schema,
        name=name,
        columns=("id",),
        rows=rows,
        sha256="b" * 64,
        part=part,
        offset=0,
        length=rows * 2,
    )


def database(name: str, *tables: Table, schema_part: int, rest_part: int) -> Database:
    properties = DatabaseProperties(
        owner="app",
        encoding="UTF8",
        locale_provider="c",
        collate="C.UTF-8",
        ctype="C.UTF-8",
        locale=None,
        collation_version=None,
        connection_limit=-1,
        comment=None,
        grants=None,
        settings=(),
        extensions={},
        size=100_000,
    )
    return Database(
        name=name,
        data_timestamp=EPOCH,
        wal_position="0/16B3748",
        properties=properties,
        schema_part=schema_part,
        rest_part=rest_part,
        tables=tables,
    )


def index(*databases: Database, **changes: Any) -> Index:
    """The index of ``manifest(1)``: part 1 holds the roles; every other part a database names is there too."""
    numbers = {1} | {
        number
        for each in databases
        for number in (each.schema_part, each.rest_part, *(table.part for table in each.tables))
    }
    backup_id = manifest(1).backup_id
    fields: dict[str, Any] = {
        "backup_id": backup_id,
        "environment": "production",
        "service": "main",
        "source": "databases",
        "data_timestamp": EPOCH,
        "server_version": "15.18",
        "server_version_number": 150_018,
        "bootstrap_role": "postgres",
        "globals_part": 1,
        "databases": databases,
        "parts": tuple(
            IndexPart(
                number=number,
                name=part_name(backup_id, number),
                kind="tables",
                size=1000 * number,
                sha256="c" * 64,
                plain_bytes=3000 * number,
            )
            for number in sorted(numbers)
        ),
    }
    return Index(**(fields | changes))

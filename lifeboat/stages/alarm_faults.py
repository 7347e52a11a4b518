"""The faults that the alarm self-test plants: each is one thing that a drill must not let pass.

A fault changes a specimen's newest backup, or its catalog, as the accident or the intruder would.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyrage
import zstandard

from lifeboat.model.canonical import sha256_hex
from lifeboat.model.index import Index, IndexPart
from lifeboat.model.manifest import Manifest, StoredObject, part_name
from lifeboat.stages.alarm_specimen import OWNER, Specimen
from lifeboat.stages.fetch import fetch_index
from lifeboat.stages.keygen import new_identity
from lifeboat.stages.sealed_index import seal_index

_STALE: Final = dt.timedelta(days=3)


@dataclass(frozen=True)
class Fault:
    """``expected`` is what the drill's reasons must say; ``emptied``: the backup is of an emptied database."""

    name: str
    done: str
    expected: str
    plant: Callable[[Specimen], None]
    emptied: bool = False


def _truncated(specimen: Specimen) -> None:
    part = _tables_part(specimen)
    specimen.rewrite(part.name, _bytes(specimen, part.name)[: part.size // 2])


def _flipped(specimen: Specimen) -> None:
    part = _tables_part(specimen)
    data = bytearray(_bytes(specimen, part.name))
    data[part.size // 2] ^= 1
    specimen.rewrite(part.name, bytes(data))


def _swapped(specimen: Specimen) -> None:
    """An authentic part of the backup before, in the place of the newest one's."""
    newest, before = (entry.manifest for entry in reversed(specimen.catalog().entries[-2:]))
    own = _tables_part(specimen, newest)
    specimen.rewrite(own.name, _bytes(specimen, _tables_part(specimen, before).name))


def _unsigned(specimen: Specimen) -> None:
    manifest = specimen.newest().manifest
    specimen.rewrite(manifest.file_name, manifest.model_dump_json().encode())


def _foreign_signature(specimen: Specimen) -> None:
    stranger = Specimen(specimen.policy, specimen.folder)
    stranger.sign_again(specimen.newest().manifest)


def _wrong_recipient(specimen: Specimen) -> None:
    """All is signed, and sealed for somebody else."""
    manifest = specimen.newest().manifest
    stranger = new_identity()
    packed = _open(specimen, manifest.index.name)
    sealed = seal_index([packed], [stranger.recipient], stranger.identity)
    specimen.rewrite(manifest.index.name, sealed)
    specimen.sign_again(manifest.model_copy(update={"index": _stored(manifest.index.name, sealed)}))


def _missing_role(specimen: Specimen) -> None:
    """A backup that is sound and signed, and does not know the owner of its database."""
    manifest = specimen.newest().manifest
    index = fetch_index(specimen.store, manifest, [specimen.holder.identity])
    old = index.part(index.globals_part)
    told = zstandard.ZstdDecompressor().decompressobj().decompress(_open(specimen, old.name))
    without = b"".join(line for line in told.splitlines(keepends=True) if OWNER.encode() not in line)
    sealed = _seal(specimen, zstandard.ZstdCompressor().compress(without))
    name = part_name(manifest.backup_id, len(index.parts) + 1)
    new = old.model_copy(
        update={
            "name": name,
            "size": len(sealed),
            "sha256": sha256_hex(sealed),
            "plain_bytes": len(without),
            "plain_sha256": sha256_hex(without),
        }
    )
    specimen.rewrite(name, sealed)
    _replace_part(specimen, manifest, index, old, new)


def _stale(specimen: Specimen) -> None:
    """Backups went on being reported, and the newest that is there is three days old."""
    for entry in specimen.catalog().entries:
        manifest = entry.manifest
        specimen.sign_again(
            manifest.model_copy(
                update={
                    "data_timestamp": manifest.data_timestamp - _STALE,
                    "committed_at": manifest.committed_at - _STALE,
                }
            )
        )


def _missing_monthly(specimen: Specimen) -> None:
    """The oldest backup, which retention keeps for its month, is gone from the store."""
    (specimen.folder / specimen.catalog().entries[0].manifest.file_name).unlink()


def _missing_part_of_monthly(specimen: Specimen) -> None:
    (specimen.folder / _tables_part(specimen, specimen.catalog().entries[0].manifest).name).unlink()


def _nothing(_: Specimen) -> None:
    """The backup is bad by itself."""


FAULTS: Final = (
    Fault("truncated", "half of a part of tables is cut off", "is not what was signed", _truncated),
    Fault("flipped", "one bit of a part of tables is another", "is not what was signed", _flipped),
    Fault("swapped", "a part of tables is the older backup's", "is not what was signed", _swapped),
    Fault("unsigned", "the manifest is there without its signature", "manifest-damaged", _unsigned),
    Fault("foreign-signature", "a key that is not trusted signed the manifest", "manifest-damaged", _foreign_signature),
    Fault("wrong-key", "the index is sealed for somebody else", "None of the 1 identities", _wrong_recipient),
    Fault("missing-role", "the owner of the database is not among the roles", OWNER, _missing_role),
    Fault("stale", "the newest data is three days old", "RPO", _stale),
    Fault("missing-monthly", "the oldest manifest is gone", "backup-missing", _missing_monthly),
    Fault("missing-part", "a part of the oldest backup is gone", "object-missing", _missing_part_of_monthly),
    Fault("empty-database", "the database was empty when it was backed up", "entries: missed", _nothing, emptied=True),
)  # fmt: skip


def _bytes(specimen: Specimen, name: str) -> bytes:
    return (specimen.folder / name).read_bytes()


def _open(specimen: Specimen, name: str) -> bytes:
    identity = pyrage.x25519.Identity.from_str(specimen.holder.identity)
    opened: bytes = pyrage.decrypt(_bytes(specimen, name), [identity])
    return opened


def _seal(specimen: Specimen, data: bytes) -> bytes:
    recipient = pyrage.x25519.Recipient.from_str(specimen.holder.recipient)
    sealed: bytes = pyrage.encrypt(data, [recipient])
    return sealed


def _stored(name: str, data: bytes) -> StoredObject:
    return StoredObject(name=name, size=len(data), sha256=sha256_hex(data))


def _tables_part(specimen: Specimen, manifest: Manifest | None = None) -> IndexPart:
    """The part that holds the table which changes between backups."""
    manifest = manifest or specimen.newest().manifest
    index = fetch_index(specimen.store, manifest, [specimen.holder.identity])
    (entries,) = (table for each in index.databases for table in each.tables if table.name == "entries")
    return index.part(entries.part)


def _replace_part(
    specimen: Specimen, manifest: Manifest, index: Index, old: IndexPart, new: IndexPart
) -> None:
    parts = tuple(new if part == old else part for part in index.parts)
    packed = zstandard.ZstdCompressor().compress(
        index.model_copy(update={"parts": parts}).model_dump_json().encode()
    )
    sealed = _seal(specimen, packed)
    specimen.rewrite(manifest.index.name, sealed)
    stored = tuple(
        StoredObject(name=new.name, size=new.size, sha256=new.sha256) if part.name == old.name else part
        for part in manifest.parts
    )
    specimen.sign_again(
        manifest.model_copy(update={"parts": stored, "index": _stored(manifest.index.name, sealed)})
    )

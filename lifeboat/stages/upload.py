"""Upload and checksum: sealed parts to the store, and back over another session.

Nothing that an upload returns is evidence. A part counts when its length and SHA-256 were read back over a new
connection (F18, F21, F22).
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass

from lifeboat.adapters.sealing import SealedPart
from lifeboat.adapters.store import FreeSpace
from lifeboat.adapters.transfers import Digest, Transfers, transfers
from lifeboat.errors import ChecksumMismatch, StoreFull
from lifeboat.model.manifest import StoredObject, part_name
from lifeboat.stages.encrypt import SealedBatch
from lifeboat.stages.voyage import Voyage

ATTEMPT = 100_000
"""Attempt k of part n is object n + k * ATTEMPT: no name is ever used twice (decision D4)."""


@dataclass(frozen=True)
class SentBatch:
    """A batch whose bytes were handed to the store: not yet evidence of anything."""

    sealed: SealedBatch
    objects: tuple[StoredObject, ...]


@dataclass(frozen=True)
class CheckedBatch:
    """A batch that was read back whole; ``objects`` are in the order of its parts that travelled."""

    sealed: SealedBatch
    objects: tuple[StoredObject, ...]


def upload_batch(voyage: Voyage, backup_id: str, batch: SealedBatch, *, attempt: int = 0) -> SentBatch:
    """Send every part of a batch in one fresh session.

    ``attempt`` counts from 0; each uses names of its own. Raises the ``StoreError`` family, ``StoreFull`` before
    the first byte when the store would fall below its reserve (F13).
    """
    objects = []
    # Before the first connection: a repeated upload must not wait for a dead store past the limit (F16).
    voyage.refuse_if_over(f"upload of {batch.batch.label}")
    if not batch.travelling:
        return SentBatch(batch, ())
    with _transfers(voyage, batch.size) as store:
        refuse_if_full(store.free_space(), batch.size, voyage.environment.store.reserve, voyage.store.label)
        for part in batch.travelling:
            name = part_name(backup_id, part.planned.number + attempt * ATTEMPT)
            voyage.report(f"upload {name}: {part.sealed.size / 2**20:,.1f} MiB")
            store.send(name, part.sealed.path)
            objects.append(StoredObject(name=name, size=part.sealed.size, sha256=part.sealed.sha256))
    return SentBatch(batch, tuple(objects))


def refuse_if_full(space: FreeSpace | None, size: int, reserve: int, label: str) -> None:
    """Raise ``StoreFull`` when ``size`` more bytes would eat into the reserve. Nothing is pruned to make room."""
    if space is not None and space.available - size < reserve:
        raise StoreFull(
            f"{label} has {space.available:,} bytes free; {size:,} more would leave less than its reserve of "
            f"{reserve:,}.",
            hint="Add space to the NAS or shorten retention in the policy; nothing was deleted to make room.",
        )


def check_batch(voyage: Voyage, batch: SentBatch) -> CheckedBatch:
    """Read every object of a batch back over a new session; then its parts leave the spool.

    Raises ``ChecksumMismatch`` naming the object, and whether the spool or the store changed its bytes.
    """
    voyage.refuse_if_over(f"read-back of {batch.sealed.batch.label}")
    if batch.objects:
        with _transfers(voyage, batch.sealed.size) as store:
            for part, stored in zip(batch.sealed.travelling, batch.objects, strict=True):
                found = store.digest(stored.name)
                if found != _expected(stored):
                    _refuse_spool(part.sealed, stored)
                refuse_if_other(found, stored)
    for part in batch.sealed.parts:
        voyage.spool.release(part.sealed.path)
    return CheckedBatch(batch.sealed, batch.objects)


def refuse_if_other(found: Digest, stored: StoredObject) -> None:
    """Raise ``ChecksumMismatch`` when an object is not what was sealed."""
    if found != _expected(stored):
        raise ChecksumMismatch(
            f"{stored.name} reads back as {found.size} bytes with SHA-256 {found.sha256[:16]}…, "
            f"sealed were {stored.size} bytes with {stored.sha256[:16]}….",
            hint="The store does not keep what it acknowledges: check its disks and memory. Nothing was committed.",
        )


def _refuse_spool(part: SealedPart, stored: StoredObject) -> None:
    """Raise ``ChecksumMismatch`` when it is the spool that holds other bytes than were sealed."""
    with part.path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != part.sha256:
            raise ChecksumMismatch(
                f"The spool holds other bytes for {stored.name} than were sealed.",
                hint="Check the disk of the spool folder. Nothing was committed.",
            )


def _expected(stored: StoredObject) -> Digest:
    return Digest(stored.size, stored.sha256)


def _transfers(voyage: Voyage, size: int) -> AbstractContextManager[Transfers]:
    return transfers(
        voyage.store, voyage.crew, size=size, deadline=voyage.deadline, check=voyage.refuse_if_over
    )

"""Upload and checksum: sealed parts to the store, and back over another session.

Nothing that an upload returns is evidence. A part counts when its length and SHA-256 were read back over a new
connection (F18, F21, F22).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from lifeboat.adapters.sealing import SealedPart
from lifeboat.adapters.store import CHUNK, Store
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
    the first byte when the store would fall below its reserve (F13), ``ChecksumMismatch`` when the spool changed.
    """
    objects = []
    # Before the first connection: a repeated upload must not wait for a dead store past the limit (F16).
    voyage.refuse_if_over(f"upload of {batch.batch.label}")
    if not batch.travelling:
        return SentBatch(batch, ())
    with voyage.store.connect() as store:
        refuse_if_full(store, batch.size, voyage.environment.store.reserve, voyage.store.label)
        for part in batch.travelling:
            name = part_name(backup_id, part.planned.number + attempt * ATTEMPT)
            voyage.report(f"upload {name}: {part.sealed.size / 2**20:,.1f} MiB")
            send_file(voyage, store, name, part.sealed)
            objects.append(StoredObject(name=name, size=part.sealed.size, sha256=part.sealed.sha256))
    return SentBatch(batch, tuple(objects))


def refuse_if_full(store: Store, size: int, reserve: int, label: str) -> None:
    """Raise ``StoreFull`` when ``size`` more bytes would eat into the reserve. Nothing is pruned to make room."""
    space = store.free_space()
    if space is not None and space.available - size < reserve:
        raise StoreFull(
            f"{label} has {space.available:,} bytes free; {size:,} more would leave less than its reserve of "
            f"{reserve:,}.",
            hint="Add space to the NAS or shorten retention in the policy; nothing was deleted to make room.",
        )


def send_file(voyage: Voyage, store: Store, name: str, part: SealedPart) -> None:
    """Send one file of the spool, and insist that what was sent is what was sealed."""
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        with part.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                voyage.refuse_if_over(f"upload of {name}")
                digest.update(chunk)
                yield chunk

    store.create_new(name, chunks())
    if digest.hexdigest() != part.sha256:
        raise ChecksumMismatch(
            f"The spool holds other bytes for {name} than were sealed.",
            hint="Check the disk of the spool folder.",
        )


def check_batch(voyage: Voyage, batch: SentBatch) -> CheckedBatch:
    """Read every object of a batch back over a new session; then its parts leave the spool.

    Raises ``ChecksumMismatch`` naming the object.
    """
    voyage.refuse_if_over(f"read-back of {batch.sealed.batch.label}")
    if batch.objects:
        with voyage.store.connect() as store:
            for stored in batch.objects:
                check_object(voyage, store, stored)
    for part in batch.sealed.parts:
        voyage.spool.release(part.sealed.path)
    return CheckedBatch(batch.sealed, batch.objects)


def check_object(voyage: Voyage, store: Store, stored: StoredObject) -> None:
    """Compare length and SHA-256 of an object with what they must be."""
    digest, size = hashlib.sha256(), 0
    for chunk in store.read(stored.name):
        voyage.refuse_if_over(f"read-back of {stored.name}")
        digest.update(chunk)
        size += len(chunk)
    if (size, digest.hexdigest()) != (stored.size, stored.sha256):
        raise ChecksumMismatch(
            f"{stored.name} reads back as {size} bytes with SHA-256 {digest.hexdigest()[:16]}…, "
            f"sealed were {stored.size} bytes with {stored.sha256[:16]}….",
            hint="The store does not keep what it acknowledges: check its disks and memory. Nothing was committed.",
        )

"""Key drill: does each identity, from escrow or the restore host, still open what is kept? Headers only (clause P7).

A backup that nobody can open is none, and an identity in a safe is believed in until the day it is needed. Of each
source the oldest, the newest and a random backup are tried; nothing is decrypted but the key that a header holds.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

import pyrage

from lifeboat import clock
from lifeboat.adapters.store import Store
from lifeboat.errors import CouldNotMeasure, StoreObjectMissing
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.catalog import Catalog, Entry
from lifeboat.model.drill_record import DrilledBackup, DrillFacts, DrillRecord, Probe, Sandbox
from lifeboat.model.manifest import Manifest
from lifeboat.model.objectives import Verdict
from lifeboat.stages.drill_facts import DrillOrder
from lifeboat.stages.drill_view import DrillView
from lifeboat.stages.restore_order import RestorePlaces
from lifeboat.stages.voyage import fingerprint

_BEGINNING: Final = 2**16
"""Bytes of an object that hold its header, and no whole chunk of what is in it."""
Choice = Literal["newest", "oldest", "random"]


@dataclass(frozen=True)
class TriedKey:
    """What one identity opens. ``shut`` names objects that it does not open."""

    source: str
    recipient: str
    opened: int
    shut: tuple[str, ...]


@dataclass(frozen=True)
class KeyDrill:
    record: DrillRecord
    tried: tuple[TriedKey, ...]
    untried: tuple[str, ...]
    """Fingerprints of recipients of these backups for whom no identity was given."""


def drill_keys(
    order: DrillOrder, places: RestorePlaces, view: DrillView, identities: Sequence[str]
) -> KeyDrill:
    """Try every identity on the chosen backups of every source. Raises ``CouldNotMeasure`` when there is no backup, and
    the ``StoreError`` family."""
    started = clock.utc_now()
    chosen = {label: list(_chosen(label, view.catalogs[label], order.seed)) for label in order.labels}
    backups = [(choice, entry.manifest) for each in chosen.values() for choice, entry in each]
    if not backups:
        raise CouldNotMeasure(
            f"{order.environment} has no good backup to try.", hint="Take one: lifeboat backup."
        )
    with places.store.connect() as store:
        tried = tuple(
            _tried(store, label, identity, [entry.manifest for _, entry in entries], order.seed)
            for label, entries in chosen.items()
            for identity in identities
            if entries
        )
    facts = DrillFacts(
        environment=order.environment,
        drill_id=order.drill_id,
        drill_kind="key",
        started_at=started,
        ended_at=clock.utc_now(),
        policy=order.policy.reference,
        backups=tuple(_drilled(choice, manifest) for choice, manifest in backups),
        seed=order.seed,
        sandbox=Sandbox(kind="folder", settings={}, destroyed_at=clock.utc_now()),
        phases=(),
        rto=None,
        rpo=None,
        comparisons=(),
        probes=tuple(_probe(each) for each in tried),
        tools={name: version(name) for name in ("lifeboat", "pyrage")},
    )
    known = {name for _, manifest in backups for name in manifest.recipients}
    return KeyDrill(DrillRecord.of(facts), tried, tuple(sorted(known - {each.recipient for each in tried})))


def _chosen(label: str, catalog: Catalog, seed: int) -> Iterator[tuple[Choice, Entry]]:
    """The newest, the oldest and one between them, as far as there are so many."""
    good = [entry for entry in catalog.entries if entry.manifest.quality == "good"]
    good.sort(key=lambda entry: entry.manifest.data_timestamp)
    if good:
        yield "newest", good[-1]
    if len(good) > 1:
        yield "oldest", good[0]
    if between := good[1:-1]:
        yield "random", between[_drawn(seed, label, len(between))]


def _drawn(seed: int, what: str, count: int) -> int:
    return int(sha256_hex(f"{seed} {what}".encode()), 16) % count


def _tried(store: Store, label: str, identity: str, manifests: Sequence[Manifest], seed: int) -> TriedKey:
    """Of each backup its index, and one of its parts."""
    names = [name for manifest in manifests for name in (manifest.index.name, *_a_part(manifest, seed))]
    key = pyrage.x25519.Identity.from_str(identity)
    shut = tuple(name for name in names if not _opens(store, name, key))
    return TriedKey(label, fingerprint(str(key.to_public())), len(names) - len(shut), shut)


def _a_part(manifest: Manifest, seed: int) -> list[str]:
    parts = (*manifest.parts, *manifest.references)
    return [parts[_drawn(seed, manifest.backup_id, len(parts))].name] if parts else []


def _opens(store: Store, name: str, identity: pyrage.x25519.Identity) -> bool:
    """Whether the identity opens the header, whose authenticity age checks with the key in it. The rest is cut off."""
    try:
        chunks = store.read(name)
        beginning = next(chunks, b"")[:_BEGINNING]
    except StoreObjectMissing:
        return False
    try:
        pyrage.decrypt_io(io.BytesIO(beginning), io.BytesIO(), [identity])
    except pyrage.DecryptError:
        return False
    except OSError:  # the header is open, and the first chunk is not whole
        return True
    return True


def _drilled(choice: Choice, manifest: Manifest) -> DrilledBackup:
    return DrilledBackup(
        backup_id=manifest.backup_id,
        service=manifest.service,
        source=manifest.source,
        data_timestamp=manifest.data_timestamp,
        choice=choice,
        plain_bytes=manifest.totals.plain_bytes,
        rows=manifest.totals.rows,
        milliseconds=0,
    )


def _probe(tried: TriedKey) -> Probe:
    """Called after the recipient; who holds the identity stands in the policy."""
    service, source = tried.source.split("/")
    verdict = Verdict.MISSED if tried.shut else Verdict.MET
    return Probe(service=service, source=source, name=tried.recipient, verdict=verdict)

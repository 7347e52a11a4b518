"""The catalog: what the manifests of one chain say exists, and every doubt about it.

Pure: the bytes of the manifest files in, a verdict on each place of the chain out. A place is *committed*
(a valid manifest), *torn* (an unreadable file that its valid successor skipped: a crash while publishing),
*damaged*, *pruned* (named by the prune record) or *missing*. Retention and prune act only on a chain without
doubts.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from lifeboat.errors import SignatureInvalid
from lifeboat.model.canonical import canonical_bytes, sha256_hex
from lifeboat.model.manifest import ChainLink, Manifest, manifest_name, parse_manifest_name
from lifeboat.model.retention import BackupFacts
from lifeboat.model.signed import TrustedKeys

Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges of sequences, ascending and apart."""


@dataclass(frozen=True)
class Entry:
    """A committed backup and the hash of its manifest file."""

    manifest: Manifest
    sha256: str
    size: int

    def facts(self) -> BackupFacts:
        """``size`` is what deleting the backup would free: its parts, index and manifest."""
        manifest = self.manifest
        return BackupFacts(
            backup_id=manifest.backup_id,
            sequence=manifest.sequence,
            data_timestamp=manifest.data_timestamp,
            committed_at=manifest.committed_at,
            day=manifest.day,
            good=manifest.quality == "good",
            size=manifest.totals.sealed_bytes + manifest.index.size + self.size,
        )


@dataclass(frozen=True)
class Unreadable:
    """A file that is no manifest of its place. One that bears a trusted signature was not torn by a crash."""

    reason: str
    signed: bool = True


@dataclass(frozen=True)
class Catalog:
    """One chain. ``doubts`` are sentences; while there is one, nothing is pruned (F30, F31, F37–F39)."""

    environment: str
    chain: str
    entries: tuple[Entry, ...]
    torn: tuple[int, ...]
    damaged: Mapping[int, str]
    missing: tuple[int, ...]
    doubts: tuple[str, ...]
    head: ChainLink | None
    """What the next manifest links to: the newest committed one that is known, be it by the anchor only."""
    next_sequence: int

    @property
    def newest(self) -> Entry | None:
        return self.entries[-1] if self.entries else None

    @property
    def newest_good(self) -> Entry | None:
        good = [entry for entry in self.entries if entry.manifest.quality == "good"]
        return max(good, key=lambda entry: entry.manifest.data_timestamp, default=None)

    def find(self, backup_id: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.manifest.backup_id == backup_id), None)

    def at(self, moment: dt.datetime) -> Entry | None:
        """The newest good backup whose data is not younger than ``moment``."""
        good = [
            e for e in self.entries if e.manifest.quality == "good" and e.manifest.data_timestamp <= moment
        ]
        return max(good, key=lambda entry: entry.manifest.data_timestamp, default=None)


def build_catalog(
    environment: str,
    chain: str,
    files: Mapping[str, bytes],
    trusted: TrustedKeys,
    *,
    pruned: Ranges = (),
    anchor: ChainLink | None = None,
) -> Catalog:
    """Judge every place of a chain. ``files`` are the manifest files by name, of any chain.

    ``anchor`` is the chain's head as last seen, kept off the store: a store rolled back to an earlier state
    shows by it (F30).
    """
    entries: dict[int, Entry] = {}
    unreadable: dict[int, Unreadable] = {}
    for name, raw in files.items():
        place = parse_manifest_name(name)
        if place is None or place[0] != chain:
            continue
        entry = _read(environment, chain, place[1], raw, trusted)
        if isinstance(entry, Entry):
            entries[place[1]] = entry
        else:
            unreadable[place[1]] = entry
    ordered = tuple(entries[sequence] for sequence in sorted(entries))
    skipped = _skipped(ordered)
    unexplained = {place: file for place, file in sorted(unreadable.items()) if not _within(place, pruned)}
    torn = tuple(place for place, file in unexplained.items() if place in skipped and not file.signed)
    damaged = {place: file.reason for place, file in unexplained.items() if place not in torn}
    # A file that does not verify says nothing about the places before it: anybody may have put it there.
    top = max([*entries, anchor.sequence if anchor else 0, *(end for _, end in pruned)], default=0)
    taken = entries.keys() | unreadable.keys()
    missing = tuple(place for place in range(1, top + 1) if place not in taken and not _within(place, pruned))
    doubts = [
        *(f"the manifest of place {sequence} is damaged: {why}" for sequence, why in damaged.items()),
        *_doubts_about_links(ordered, anchor, pruned),
    ]
    if missing:
        doubts.append(f"the listing lacks {len(missing)} expected backups: places {_shown(missing)}")
    return Catalog(
        environment=environment,
        chain=chain,
        entries=ordered,
        torn=torn,
        damaged=damaged,
        missing=missing,
        doubts=tuple(doubts),
        head=_head(ordered, anchor),
        next_sequence=next(place for place in itertools.count(top + 1) if place not in taken),
    )


def _read(
    environment: str, chain: str, sequence: int, raw: bytes, trusted: TrustedKeys
) -> Entry | Unreadable:
    name = manifest_name(chain, sequence)
    try:
        statement = trusted.verify(raw, where=name)
    except SignatureInvalid as error:
        return Unreadable(error.message, signed=False)
    if statement.get("format") != 1:
        return Unreadable(
            f"{name} has format {statement.get('format')!r}; this version reads format 1: upgrade Lifeboat"
        )
    try:
        manifest = Manifest.model_validate_json(canonical_bytes(statement))
    except ValidationError as error:
        return Unreadable(f"{name} is signed but not a manifest: {error.error_count()} fields are wrong")
    if manifest.environment != environment:
        return Unreadable(f"{name} belongs to environment {manifest.environment!r}, not {environment!r}")
    if (manifest.chain, manifest.sequence) != (chain, sequence):
        return Unreadable(f"{name} was signed as place {manifest.sequence} of {manifest.chain}")
    return Entry(manifest, sha256_hex(raw), len(raw))


def _head(entries: tuple[Entry, ...], anchor: ChainLink | None) -> ChainLink | None:
    """The anchor, unless the chain went on since: after a rollback nothing must ever link past the loss."""
    newest = entries[-1] if entries else None
    if newest is None or (anchor and anchor.sequence >= newest.manifest.sequence):
        return anchor
    return ChainLink(sequence=newest.manifest.sequence, sha256=newest.sha256)


def _skipped(entries: Iterable[Entry]) -> set[int]:
    """Places that a valid successor attests were never committed."""
    skipped: set[int] = set()
    for entry in entries:
        before = entry.manifest.previous.sequence if entry.manifest.previous else 0
        skipped.update(range(before + 1, entry.manifest.sequence))
    return skipped


def _doubts_about_links(entries: tuple[Entry, ...], anchor: ChainLink | None, pruned: Ranges) -> list[str]:
    doubts = []
    by_sequence = {entry.manifest.sequence: entry for entry in entries}
    for entry in entries:
        link = entry.manifest.previous
        before = by_sequence.get(link.sequence) if link else None
        if link and before and before.sha256 != link.sha256:
            doubts.append(
                f"place {link.sequence} is not the manifest that place {entry.manifest.sequence} was linked "
                "to: replaced, or a fork of the chain"
            )
    last = entries[-1].manifest.sequence if entries else 0
    if anchor and anchor.sequence > last and not _within(anchor.sequence, pruned):
        doubts.append(
            f"the store ends at place {last}, but place {anchor.sequence} was committed: "
            "rolled back, or its newest manifests were removed"
        )
    at_anchor = by_sequence.get(anchor.sequence) if anchor else None
    if anchor and at_anchor and at_anchor.sha256 != anchor.sha256:
        doubts.append(f"place {anchor.sequence} is not the manifest that was committed there")
    return doubts


def _within(sequence: int, ranges: Ranges) -> bool:
    return any(start <= sequence <= end for start, end in ranges)


def _shown(sequences: tuple[int, ...]) -> str:
    return ", ".join(str(sequence) for sequence in sequences[:5]) + (" …" if len(sequences) > 5 else "")


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort and join ranges that touch or overlap."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)

"""Fetch: a backup's manifest and index, trusted before anything is done with them (F26–F29)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyrage
import zstandard

from lifeboat.adapters.store import Store, StoreTarget
from lifeboat.errors import ChecksumMismatch, ConfigurationError, EnvironmentMismatch, RestoreRefused
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.catalog import Catalog
from lifeboat.model.index import Index
from lifeboat.model.manifest import Manifest
from lifeboat.model.signed import TrustedKeys
from lifeboat.model.tree_index import TreeIndex, TreeIndexHeader
from lifeboat.stages.catalog import look, read_whole
from lifeboat.stages.sealed_index import open_index


def read_catalog(target: StoreTarget, environment: str, chain: str, trusted: TrustedKeys) -> Catalog:
    """The catalog of one chain, from a fresh session."""
    with target.connect() as store:
        return look(store, environment, trusted, chain=chain).catalog(chain, trusted)


def fetch_index(target: StoreTarget, manifest: Manifest, identities: Sequence[str]) -> Index:
    """The index of a verified manifest of a PostgreSQL server, trusted as ``read_packed_index`` says."""
    with target.connect() as store:
        return read_index(store, manifest, identities)


def read_index(store: Store, manifest: Manifest, identities: Sequence[str]) -> Index:
    """The same over a session that is open already."""
    packed = read_packed_index(store, manifest, identities)
    index = Index.model_validate_json(zstandard.ZstdDecompressor().decompress(packed))
    _refuse_foreign(manifest, index)
    return index


def fetch_tree_index(target: StoreTarget, manifest: Manifest, identities: Sequence[str]) -> TreeIndex:
    """The index of a verified manifest of a tree, trusted as ``read_packed_index`` says."""
    with target.connect() as store:
        return read_tree_index(store, manifest, identities)


def read_tree_index(store: Store, manifest: Manifest, identities: Sequence[str]) -> TreeIndex:
    """The same over a session that is open already."""
    index = TreeIndex(read_packed_index(store, manifest, identities))
    _refuse_foreign(manifest, index.header)
    return index


def read_packed_index(store: Store, manifest: Manifest, identities: Sequence[str]) -> bytes:
    """The zstd frame of an index: length and SHA-256 first, then opened with any of the identities.

    Raises ``ChecksumMismatch``, ``EnvironmentMismatch``, or ``RestoreRefused`` when no identity fits (F32).
    """
    sealed = read_whole(store, manifest.index.name, manifest.index.size + 1)
    if (len(sealed), sha256_hex(sealed)) != (manifest.index.size, manifest.index.sha256):
        raise ChecksumMismatch(f"{manifest.index.name} is not the index that was signed.")
    return _open(sealed, manifest, identities)


def _refuse_foreign(manifest: Manifest, index: Index | TreeIndexHeader) -> None:
    if (index.backup_id, index.environment) != (manifest.backup_id, manifest.environment):
        raise EnvironmentMismatch(
            f"{manifest.index.name} is the index of {index.environment}/{index.backup_id}, not of {manifest.backup_id}."
        )
    signed = {part.name: (part.size, part.sha256) for part in (*manifest.parts, *manifest.references)}
    if signed != {part.name: (part.size, part.sha256) for part in index.parts}:
        raise ChecksumMismatch(f"{manifest.index.name} names other parts than the signed manifest.")


def _open(sealed: bytes, manifest: Manifest, identities: Sequence[str]) -> bytes:
    for identity in identities:
        try:
            return open_index(sealed, identity)
        except pyrage.DecryptError:
            continue
    raise RestoreRefused(
        f"None of the {len(identities)} identities at hand opens {manifest.backup_id}.",
        hint=f"It is sealed for the recipients with fingerprints {', '.join(manifest.recipients)}.",
    )


def read_identities(path: Path) -> tuple[str, ...]:
    """The identities of an age identity file. Raises ``ConfigurationError``; never quotes what is in it."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"The identity file {path} cannot be read: {error.strerror}.",
            hint="An identity lies on the restore host only, as a file of mode 0400.",
        ) from None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"The identity file {path} is open to others.", hint=f"chmod 0400 {path}")
    found = tuple(line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-1"))
    if not found:
        raise ConfigurationError(f"{path} holds no age identity (a line AGE-SECRET-KEY-1…).")
    return found

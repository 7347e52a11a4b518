"""Publish: the sealed index, then the signed manifest - the commit.

The manifest is created under the next free place of the chain. A place taken by another run meanwhile is refused by
the store, and we link ourselves behind it (decision D1): two runs at once harm nothing (F24).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from zoneinfo import ZoneInfo

from lifeboat import clock
from lifeboat.adapters.store import Store, StoreTarget
from lifeboat.adapters.transfers import StoreTransfers
from lifeboat.errors import StoreObjectExists, StoreObjectMissing, StoreUnreachable, TimeLimitExceeded
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.catalog import Catalog
from lifeboat.model.index import IndexFinding
from lifeboat.model.manifest import ChainLink, Manifest, ManifestFinding, StoredObject, index_name
from lifeboat.model.orphans import COMMIT_LIMIT
from lifeboat.model.quality import doubts_about
from lifeboat.stages.catalog import StoreView, look, read_whole
from lifeboat.stages.contents import Contents
from lifeboat.stages.upload import refuse_if_other
from lifeboat.stages.voyage import Voyage, fingerprint

PLACES_TRIED = 5


@dataclass(frozen=True)
class Published:
    """A committed backup: its manifest and the chain's new head, to be kept off the store."""

    manifest: Manifest
    head: ChainLink


def publish(voyage: Voyage, contents: Contents, timings: Mapping[str, int]) -> Published:
    """Commit what was checked. Raises without having committed, or returns with the manifest read back."""
    deadline = clock.Deadline.after(COMMIT_LIMIT.total_seconds())
    stored_index = _send_index(voyage, contents)
    for _ in range(PLACES_TRIED):
        if published := _try_to_commit(voyage, contents, stored_index, timings, deadline):
            return published
    raise StoreObjectExists(
        f"{voyage.label}: {PLACES_TRIED} places of the chain were taken while publishing.",
        hint="Find out which other workers back up this source; the parts are complete and will be reaped.",
    )


def _refuse_lost(voyage: Voyage, references: Sequence[StoredObject], view: StoreView) -> None:
    """Raise ``StoreObjectMissing`` for a part of an older backup that is gone, or announced to go (see ``prune``)."""
    going = set(view.record.announced) if view.record else set[str]()
    sizes = {stat.name: stat.size for stat in view.listing if stat.name not in going}
    lost = [stored.name for stored in references if sizes.get(stored.name) != stored.size]
    if lost:
        raise StoreObjectMissing(
            f"{voyage.label}: {len(lost)} parts of older backups, {lost[0]} first, were pruned while this run "
            "referred to them; nothing was committed.",
            hint="Run it again: the data of those parts then travels anew.",
        )


def _try_to_commit(
    voyage: Voyage,
    contents: Contents,
    stored_index: StoredObject,
    timings: Mapping[str, int],
    deadline: clock.Deadline,
) -> Published | None:
    """Check the index, look, and take the chain's next place; None when the place went to another.

    A session of its own, so that the index comes back over another than it went; and the manifest over one more.
    """
    with voyage.store.connect() as store:
        refuse_if_other(StoreTransfers(store, voyage.refuse_if_over).digest(stored_index.name), stored_index)
        view = look(store, voyage.environment_name, voyage.keys.trusted, chain=voyage.chain)
        _refuse_lost(voyage, contents.references, view)
        catalog = view.catalog(voyage.chain, voyage.keys.trusted, voyage.anchor)
        manifest = _manifest(voyage, contents, stored_index, catalog, timings)
        raw = voyage.keys.signer.sign(manifest.model_dump(mode="json"))
        if deadline.passed():
            raise TimeLimitExceeded(
                f"{voyage.label}: not committed within {deadline.limit:.0f} s of its index, "
                "after which a prune does not wait for it.",
                hint="The store answers too slowly; look at its load and its line, and run the backup again.",
            )
        _commit(store, manifest.file_name, raw)
    if not _is_there(voyage.store, manifest.file_name, raw):
        return None
    return Published(manifest, ChainLink(sequence=manifest.sequence, sha256=sha256_hex(raw)))


def _commit(store: Store, name: str, raw: bytes) -> None:
    """Create the manifest, unless the place is another's.

    A connection that is lost meanwhile leaves it open whether the manifest arrived: the store is asked.
    """
    with suppress(StoreObjectExists, StoreUnreachable):
        store.create_new(name, [raw])


def _is_there(target: StoreTarget, name: str, raw: bytes) -> bool:
    """Whether the place is ours, by a session of its own."""
    with target.connect() as store:
        try:
            return read_whole(store, name) == raw
        except StoreObjectMissing:
            return False


def _send_index(voyage: Voyage, contents: Contents) -> StoredObject:
    name, sealed = index_name(contents.backup_id), contents.index
    with voyage.store.connect() as store:
        store.create_new(name, [sealed])
    return StoredObject(name=name, size=len(sealed), sha256=sha256_hex(sealed))


def _manifest(
    voyage: Voyage,
    contents: Contents,
    stored_index: StoredObject,
    catalog: Catalog,
    timings: Mapping[str, int],
) -> Manifest:
    rules = contents.suspect
    history = [entry.manifest.totals for entry in catalog.entries if entry.manifest.quality == "good"]
    doubts = doubts_about(contents.totals, history, rules)
    return Manifest(
        environment=voyage.environment_name,
        service=voyage.service,
        source=voyage.source_name,
        source_kind=contents.source_kind,
        backup_id=contents.backup_id,
        run_id=voyage.run_id,
        sequence=catalog.next_sequence,
        previous=catalog.head,
        data_timestamp=contents.data_timestamp,
        committed_at=clock.utc_now(),
        day=contents.data_timestamp.astimezone(ZoneInfo(voyage.time_zone)).date(),
        time_zone=voyage.time_zone,
        policy=voyage.policy,
        recipients=tuple(fingerprint(recipient) for recipient in voyage.keys.recipients),
        consistency=contents.consistency,
        quality="suspect" if doubts else "good",
        doubts=doubts,
        index=stored_index,
        parts=contents.objects,
        references=contents.references,
        totals=contents.totals,
        timings=dict(timings),
        tools={
            "lifeboat": version("lifeboat"),
            "pyrage": version("pyrage"),
            "zstandard": version("zstandard"),
            **contents.tools,
        },
        findings=_counted(contents.findings),
    )


def _counted(findings: Sequence[IndexFinding]) -> tuple[ManifestFinding, ...]:
    counts = Counter((finding.code, finding.clause) for finding in findings)
    return tuple(
        ManifestFinding(code=code, clause=clause, count=n) for (code, clause), n in sorted(counts.items())
    )

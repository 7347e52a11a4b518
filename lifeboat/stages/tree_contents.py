"""The index of a tree's backup: yesterday's members that are carried and today's that travelled, in one walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lifeboat.errors import SealingFailed
from lifeboat.model.index import IndexPart
from lifeboat.model.manifest import StoredObject, Totals
from lifeboat.model.policy_sources import SuspectRules
from lifeboat.model.tree import EntryKind, member_line, path_in
from lifeboat.model.tree_index import TreeIndexHeader, pack_index
from lifeboat.stages.contents import Contents, sealed_for
from lifeboat.stages.encrypt import FILE_UNREADABLE, FILE_VANISHED
from lifeboat.stages.tree import FrozenTree
from lifeboat.stages.upload import CheckedBatch
from lifeboat.stages.voyage import TreeVoyage


def contents_of_tree(
    voyage: TreeVoyage, backup_id: str, frozen: FrozenTree, batches: Sequence[CheckedBatch]
) -> Contents:
    """Raises ``SealingFailed`` when a file of the listing is neither carried nor packed nor known to be gone."""
    own = _own_parts(batches)
    first = max((part.number for part in own), default=0) + 1
    renumbered = {part.number: first + place for place, part in enumerate(frozen.referenced())}
    carried = tuple(
        part.model_copy(update={"number": renumbered[part.number]}) for part in frozen.referenced()
    )
    findings = [*frozen.findings, *(finding for batch in batches for finding in batch.sealed.findings)]
    gone = sum(finding.code in (FILE_VANISHED, FILE_UNREADABLE) for finding in findings)
    counts = frozen.counts
    header = TreeIndexHeader(
        backup_id=backup_id,
        environment=voyage.environment_name,
        service=voyage.service,
        source=voyage.source_name,
        data_timestamp=frozen.data_timestamp,
        consistency=frozen.consistency,
        parts=(*own, *carried),
        files=counts[EntryKind.FILE] - gone,
        directories=counts[EntryKind.DIRECTORY],
        links=counts[EntryKind.SYMLINK] + counts[EntryKind.HARDLINK],
        specials_skipped=counts[EntryKind.SPECIAL],
        findings=tuple(dict.fromkeys(findings)),
    )
    index = sealed_for(voyage, pack_index(header, _members(frozen, batches, renumbered, gone)))
    objects = tuple(stored for batch in batches for stored in batch.objects)
    references = tuple(StoredObject(name=part.name, size=part.size, sha256=part.sha256) for part in carried)
    return Contents(
        backup_id=backup_id,
        source_kind="tree",
        data_timestamp=frozen.data_timestamp,
        consistency=frozen.consistency,
        index=index,
        objects=objects,
        references=references,
        totals=Totals(
            files=header.files,
            plain_bytes=frozen.listing.size,
            sealed_bytes=sum(stored.size for stored in objects),
            referenced_bytes=sum(stored.size for stored in references),
        ),
        suspect=SuspectRules(minimum_tables=0),
        tools={},
        findings=header.findings,
    )


def _own_parts(batches: Sequence[CheckedBatch]) -> tuple[IndexPart, ...]:
    return tuple(
        IndexPart(
            number=part.planned.number,
            name=stored.name,
            kind=part.planned.kind.value,
            size=stored.size,
            sha256=stored.sha256,
            plain_bytes=part.sealed.plain_bytes,
        )
        for batch in batches
        for part, stored in zip(batch.sealed.travelling, batch.objects, strict=True)
    )


def _members(
    frozen: FrozenTree, batches: Sequence[CheckedBatch], renumbered: dict[int, int], gone: int
) -> Iterator[str]:
    """The line of every member in walk order; parts were cut in that order, so their lines come in it, too."""
    lines = {number: part for batch in batches for number, part in batch.sealed.members.items()}
    packed = (line for number in sorted(lines) for line in lines[number])
    next_packed = next(packed, None)
    missing = 0
    for each in frozen.pairs():
        kind, carried = each.told["kind"], each.carried
        if kind == EntryKind.SPECIAL:
            continue
        if kind != EntryKind.FILE:
            yield each.line
        elif carried is not None and carried["part"] in renumbered:
            number = renumbered[carried["part"]]
            yield member_line(each.line, number, carried["offset"], carried["length"], carried["sha256"])
        elif next_packed is not None and next_packed.startswith(path_in(each.line)):
            yield next_packed
            next_packed = next(packed, None)
        else:
            missing += 1
    if missing != gone or next_packed is not None:
        last = path_in(next_packed) if next_packed else ""
        raise SealingFailed(f"{missing} files are in no part, {gone} could not be read; left over: {last}")

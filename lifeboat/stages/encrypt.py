"""Encrypt: the parts of a batch, dumped and sealed in one streaming pass into the spool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from lifeboat.adapters.sealing import SEALING_CHILD, Producer, SealedPart, Unusual, seal
from lifeboat.errors import SealingFailed, SourceDenied
from lifeboat.model.carried import CarriedTables
from lifeboat.model.index import IndexFinding, Table
from lifeboat.model.listing import PackedLines
from lifeboat.model.parts import Batch, PartKind, PlannedPart
from lifeboat.stages.dump import judge_complaints, producer
from lifeboat.stages.snapshot import FrozenServer
from lifeboat.stages.tree import FrozenTree
from lifeboat.stages.voyage import ServerVoyage, Voyage

FILE_VANISHED = "file-vanished"
FILE_UNREADABLE = "file-unreadable"


@dataclass(frozen=True)
class DumpedPart:
    """A planned part and what became of it in the spool. ``carried`` is the older part that holds the same tables: this
    one then does not travel."""

    planned: PlannedPart
    sealed: SealedPart
    carried: CarriedTables | None = None


@dataclass(frozen=True)
class SealedBatch:
    """A batch in the spool, every byte of it accounted for."""

    batch: Batch
    parts: tuple[DumpedPart, ...]
    tables: dict[str, tuple[Table, ...]]
    findings: tuple[IndexFinding, ...]

    @property
    def members(self) -> dict[int, PackedLines]:
        """Of a tree: the files of each part, as lines of the index."""
        return {part.planned.number: part.sealed.files.lines for part in self.parts if part.sealed.files}

    @property
    def travelling(self) -> tuple[DumpedPart, ...]:
        return tuple(part for part in self.parts if part.carried is None)

    @property
    def size(self) -> int:
        """Bytes that travel."""
        return sum(part.sealed.size for part in self.travelling)


def make_ready(voyage: Voyage, count: int) -> None:
    """Start sealing children while the source is surveyed and frozen: their imports then cost nobody's time."""
    voyage.crew.make_ready(SEALING_CHILD, count)


Frozen = FrozenServer | FrozenTree


def dump_batch(voyage: Voyage, frozen: Frozen, batch: Batch) -> tuple[DumpedPart, ...]:
    """Run the producers of a batch, part by part, each piped into its sealing child.

    Raises what ``sealing.seal`` raises, ``TimeLimitExceeded`` at the source's limit or at that of its snapshots,
    whichever comes first; parts sealed before are released again.
    """
    deadline = voyage.deadline.or_earlier(frozen.deadline)
    done: list[DumpedPart] = []
    try:
        for part in batch.parts:
            program = _producer(voyage, frozen, part)
            sealed = seal(
                [program],
                voyage.spool.path(part.number),
                recipients=voyage.keys.recipients,
                spool=voyage.spool,
                crew=voyage.crew,
                deadline=deadline,
                label=f"{voyage.label}: {program.label}",
                progress=partial(_tell, voyage, part, program.label),
            )
            done.append(DumpedPart(part, sealed))
            voyage.progress.sealed(part, sealed.plain_bytes)
    except BaseException:
        for part_done in done:
            voyage.spool.release(part_done.sealed.path)
        raise
    return tuple(done)


def _producer(voyage: Voyage, frozen: Frozen, part: PlannedPart) -> Producer:
    if isinstance(frozen, FrozenTree):
        return frozen.producer(part)
    assert isinstance(voyage, ServerVoyage)
    lock_wait = voyage.environment.limits.lock_wait
    return producer(part, frozen, voyage.server, lock_wait_ms=round(lock_wait.total_seconds() * 1000))


def _tell(voyage: Voyage, part: PlannedPart, label: str, _sealed: int, plain: int) -> None:
    voyage.progress.grown(part, plain)
    voyage.report(f"{label}: {plain / 2**20:,.0f} MiB")


def account_for(batch: Batch, parts: tuple[DumpedPart, ...], frozen: Frozen) -> SealedBatch:
    """Put names to what was sealed. Raises what the kind of source makes of what was left out."""
    if isinstance(frozen, FrozenTree):
        return _account_for_files(batch, parts, frozen)
    return _account_for_tables(batch, parts, frozen)


def _account_for_tables(batch: Batch, parts: tuple[DumpedPart, ...], frozen: FrozenServer) -> SealedBatch:
    """Put names to what was sealed, and judge what the producers complained of (F5, F10).

    Raises ``SealingFailed`` when a part holds another number of tables than planned, or an empty stream.
    """
    tables: dict[str, tuple[Table, ...]] = {}
    findings: list[IndexFinding] = []
    judged = []
    for part in parts:
        planned, sealed = part.planned, part.sealed
        label = f"part {planned.number} ({planned.kind} of {planned.database or 'the server'})"
        expected = len(planned.tables) or 1
        if len(sealed.segments) != expected or (
            planned.kind is not PartKind.TABLES and sealed.plain_bytes == 0
        ):
            raise SealingFailed(
                f"{label} holds {len(sealed.segments)} streams and {sealed.plain_bytes} bytes"
            )
        findings += judge_complaints(label, sealed.complaints)
        if planned.kind is PartKind.TABLES:
            named = _tables(planned, sealed, frozen)
            tables[planned.database] = tables.get(planned.database, ()) + named
            part = replace(part, carried=frozen.yesterday.find(planned.database, named))
        judged.append(part)
    return SealedBatch(batch, tuple(judged), tables, tuple(findings))


def _tables(planned: PlannedPart, sealed: SealedPart, frozen: FrozenServer) -> tuple[Table, ...]:
    facts = frozen.database(planned.database).tables
    return tuple(
        Table(
            schema_name=facts[position].schema_name,
            name=facts[position].name,
            columns=facts[position].columns,
            rows=segment.rows,
            sha256=segment.sha256,
            part=planned.number,
            offset=segment.offset,
            length=segment.length,
        )
        for position, segment in zip(planned.tables, sealed.segments, strict=True)
    )


def _account_for_files(batch: Batch, parts: tuple[DumpedPart, ...], frozen: FrozenTree) -> SealedBatch:
    """The lines of the index for what was read, a finding for each that was not or that changed (F46).

    Raises ``SourceDenied`` for files that could not be read, unless the policy takes them as findings.
    """
    findings: list[IndexFinding] = []
    for part in parts:
        number, files = part.planned.number, part.sealed.files
        assert files is not None
        findings += [_finding(unusual, frozen) for unusual in files.unusual]
        held = files.lines.count + sum(unusual.state != "changed" for unusual in files.unusual)
        if held != len(frozen.packs[number]):
            raise SealingFailed(f"part {number} holds {held} of {len(frozen.packs[number])} files")
    return SealedBatch(batch, parts, {}, tuple(findings))


def _finding(unusual: Unusual, frozen: FrozenTree) -> IndexFinding:
    if unusual.state == "denied" and not frozen.may_leave_out:
        raise SourceDenied(
            f"{unusual.path!r} may not be read: {unusual.why}",
            hint="Give the backup account read rights, or exclude the file in the policy; nothing was committed.",
        )
    code, what = _STATES[unusual.state]
    return IndexFinding(code=code, clause="P7", message=f"{unusual.path!r} {what}")


_STATES = {
    "changed": (
        "file-changed-while-read",
        "changed twice while it was read; what was kept may be of two moments",
    ),
    "vanished": (FILE_VANISHED, "was listed and gone before it was read"),
    "denied": (FILE_UNREADABLE, "may not be read by the backup's account; it is in no backup"),
}

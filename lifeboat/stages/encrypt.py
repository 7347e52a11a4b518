"""Encrypt: the parts of a batch, dumped and sealed in one streaming pass into the spool."""

from __future__ import annotations

from dataclasses import dataclass

from lifeboat.adapters.sealing import SEALING_CHILD, SealedPart, seal
from lifeboat.errors import SealingFailed
from lifeboat.model.index import IndexFinding, Table
from lifeboat.model.parts import Batch, PartKind, PlannedPart
from lifeboat.stages.dump import judge_complaints, producer
from lifeboat.stages.snapshot import FrozenServer
from lifeboat.stages.voyage import Voyage


@dataclass(frozen=True)
class DumpedPart:
    """A planned part and what became of it in the spool."""

    planned: PlannedPart
    sealed: SealedPart


@dataclass(frozen=True)
class SealedBatch:
    """A batch in the spool, every byte of it accounted for."""

    batch: Batch
    parts: tuple[DumpedPart, ...]
    tables: dict[str, tuple[Table, ...]]
    findings: tuple[IndexFinding, ...]

    @property
    def size(self) -> int:
        return sum(part.sealed.size for part in self.parts)


def make_ready(voyage: Voyage) -> None:
    """Start the sealing children while the source is surveyed and frozen: their imports then cost nobody's time."""
    voyage.crew.make_ready(SEALING_CHILD, voyage.source.streams)


def dump_batch(voyage: Voyage, frozen: FrozenServer, batch: Batch) -> tuple[DumpedPart, ...]:
    """Run the producers of a batch, part by part, each piped into its sealing child.

    Raises what ``sealing.seal`` raises; parts sealed before are released again.
    """
    lock_wait_ms = round(voyage.environment.limits.lock_wait.total_seconds() * 1000)
    done: list[DumpedPart] = []
    try:
        for part in batch.parts:
            program = producer(part, frozen, voyage.server, lock_wait_ms=lock_wait_ms)
            sealed = seal(
                [program],
                voyage.spool.path(part.number),
                recipients=voyage.keys.recipients,
                spool=voyage.spool,
                crew=voyage.crew,
                deadline=voyage.deadline,
                label=f"{voyage.label}: {program.label}",
                progress=lambda _, plain, label=program.label: voyage.report(
                    f"{label}: {plain / 2**20:,.0f} MiB"
                ),  # type: ignore[misc]
            )
            done.append(DumpedPart(part, sealed))
    except BaseException:
        for part_done in done:
            voyage.spool.release(part_done.sealed.path)
        raise
    return tuple(done)


def account_for(batch: Batch, parts: tuple[DumpedPart, ...], frozen: FrozenServer) -> SealedBatch:
    """Put names to what was sealed, and judge what the producers complained of (F5, F10).

    Raises ``SealingFailed`` when a part holds another number of tables than planned, or an empty stream.
    """
    tables: dict[str, tuple[Table, ...]] = {}
    findings: list[IndexFinding] = []
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
    return SealedBatch(batch, parts, tables, tuple(findings))


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

"""From what the stages returned to one outcome per source, and to the colour of the run."""

from __future__ import annotations

from collections.abc import Sequence

from lifeboat.errors import LifeboatError, SourcesFailed
from lifeboat.model.index import IndexFinding
from lifeboat.model.manifest import Manifest
from lifeboat.model.outcome import SourceOutcome, human_bytes
from lifeboat.model.tree import EntryKind
from lifeboat.stages.plan import PlannedSource
from lifeboat.stages.prune import PruneReport
from lifeboat.stages.publish import Published
from lifeboat.stages.snapshot import FrozenServer
from lifeboat.stages.tree import FrozenTree
from lifeboat.stages.upload import CheckedBatch


def committed(
    published: Published, pruned: PruneReport, found: Sequence[IndexFinding], seconds: float
) -> SourceOutcome:
    """The outcome of a source that went well."""
    findings = [f"{finding.code} ({finding.clause}): {finding.message}" for finding in found]
    findings += [f"{finding.code} ({finding.clause}): {finding.message}" for finding in pruned.plan.findings]
    return outcome_of(published.manifest).model_copy(
        update={
            "seconds": seconds,
            "pruned": len(pruned.plan.delete),
            "freed": pruned.freed,
            "findings": tuple(dict.fromkeys(findings)),
        }
    )


def outcome_of(manifest: Manifest) -> SourceOutcome:
    """What the manifest alone tells; ``seconds`` is the data path."""
    suspect = manifest.quality == "suspect"
    return SourceOutcome(
        service=manifest.service,
        source=manifest.source,
        state="suspect" if suspect else "committed",
        failure=f"suspect: {'; '.join(manifest.doubts)}" if suspect else None,
        backup_id=manifest.backup_id,
        data_timestamp=manifest.data_timestamp,
        databases=manifest.totals.databases,
        tables=manifest.totals.tables,
        rows=manifest.totals.rows,
        files=manifest.totals.files,
        plain_bytes=manifest.totals.plain_bytes,
        sealed_bytes=manifest.totals.sealed_bytes,
        referenced_bytes=manifest.totals.referenced_bytes,
        seconds=manifest.timings.get("data_path", 0) / 1000,
    )


def skipped(source: PlannedSource) -> SourceOutcome:
    """A source whose slot is covered by a newer good backup."""
    note = f"{source.covered_by} is newer than this slot"
    return SourceOutcome(service=source.service, source=source.source, state="skipped", findings=(note,))


def failed(source: PlannedSource, error: object) -> SourceOutcome:
    """A source whose run raised. Only our own errors are quoted: others may hold anything (F50)."""
    text = (
        str(error)
        if isinstance(error, LifeboatError)
        else f"{type(error).__name__}; see the run of this source"
    )
    return SourceOutcome(service=source.service, source=source.source, state="failed", failure=text)


def raise_if_red(outcomes: Sequence[SourceOutcome]) -> None:
    """Raise ``SourcesFailed`` naming every source that failed, so that the run is red."""
    red = [outcome for outcome in outcomes if outcome.red]
    if red:
        lines = "\n".join(f"  {outcome.service}/{outcome.source}: {outcome.failure}" for outcome in red)
        raise SourcesFailed(
            f"{len(red)} of {len(outcomes)} sources failed; the others are committed.\n{lines}",
            outcomes=outcomes,
            hint="Each source has a run of its own below this one, with the whole story.",
        )


def part_rows(frozen: FrozenTree, checked: Sequence[CheckedBatch]) -> list[dict[str, object]]:
    """One row per part that travelled, and one for all that were referred to."""
    rows: list[dict[str, object]] = [
        {
            "part": part.planned.number,
            "files": f"{len(frozen.packs[part.planned.number]):,}",
            "size": human_bytes(part.sealed.plain_bytes),
            "sealed": human_bytes(part.sealed.size),
            "seconds": f"{part.sealed.seconds:.1f}",
        }
        for batch in checked
        for part in batch.sealed.parts
    ]
    if referenced := frozen.referenced():
        rows.append(
            {
                "part": f"{len(referenced)} of older backups",
                "files": f"{frozen.counts[EntryKind.FILE] - sum(map(len, frozen.packs.values())):,}",
                "size": human_bytes(sum(part.plain_bytes for part in referenced)),
                "sealed": human_bytes(sum(part.size for part in referenced)),
                "seconds": "0.0",
            }
        )
    return rows


def database_rows(turns: Sequence[FrozenServer], checked: Sequence[CheckedBatch]) -> list[dict[str, object]]:
    """One row per database: what was in it, what it became, how long its parts took."""
    rows: list[dict[str, object]] = []
    for database in (database for turn in turns for database in turn.databases):
        parts = [
            part.sealed
            for batch in checked
            for part in batch.sealed.parts
            if part.planned.database == database.name
        ]
        tables = [table for batch in checked for table in batch.sealed.tables.get(database.name, ())]
        plain, sealed = sum(part.plain_bytes for part in parts), sum(part.size for part in parts)
        rows.append(
            {
                "database": database.name,
                "data of (UTC)": f"{database.data_timestamp:%Y-%m-%d %H:%M:%S}",
                "tables": len(tables),
                "rows": f"{sum(table.rows for table in tables):,}",
                "size": human_bytes(plain),
                "sealed": human_bytes(sealed),
                "ratio": f"{plain / sealed:.1f} : 1" if sealed else "–",
                "seconds": f"{sum(part.seconds for part in parts):.1f}",
            }
        )
    return rows

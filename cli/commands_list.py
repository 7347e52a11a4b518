"""``lifeboat list`` and ``lifeboat show``: what lies on the store, from verified manifests only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, instant, line, table
from lifeboat.errors import ConfigurationError, Refused

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.open_environment import Chain, OpenEnvironment
    from lifeboat.model.catalog import Entry
    from lifeboat.model.index import Index
    from lifeboat.model.tree_index import TreeIndex, TreeIndexHeader


def list_backups(
    environment: EnvironmentName,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="SERVICE/SOURCE", help="Only the backups of this source."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN_ID", help="Only the backups of this run, and how far apart they are."
        ),
    ] = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """List the backups of an environment, newest first, with the reason why each is kept.

    Places of a chain that are damaged, missing or torn are shown, never hidden.
    """
    from cli.open_environment import chains_of, open_environment, read_view

    opened = open_environment(policy, environment)
    chains = [chain for chain in chains_of(opened, read_view(opened)) if _wanted(chain, source)]
    if not chains:
        raise ConfigurationError(
            f"Environment {environment!r} has no source {source!r}.",
            hint=f"`lifeboat list {environment}` shows them.",
        )
    told = [_chain_data(opened, chain, run) for chain in chains]
    if run is not None:
        told = [data for data in told if _tells(data)]
    tables = [table_ for data in told for table_ in _chain_tables(data)]
    data: dict[str, Any] = {"environment": environment, "sources": told}
    if run is not None:
        data["run"] = of_run = _run_data(opened, chains, run)
        tables += _run_lines(of_run)
    Output(as_json).result(data, *tables)


def show(
    environment: EnvironmentName,
    backup_id: Annotated[str, typer.Argument(metavar="BACKUP_ID", help="As `lifeboat list` shows it.")],
    tables: Annotated[bool, typer.Option("--tables", help="Also every table of every database.")] = False,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Show one backup: its signed manifest, and the databases that its sealed index names."""
    from cli.open_backup import find_entry, open_index
    from cli.open_environment import open_environment

    opened = open_environment(policy, environment)
    entry = find_entry(opened, backup_id)
    output = Output(as_json)
    if not as_json:
        # Before the index is opened: what is signed shows also when the index is damaged.
        output.result(None, _manifest_table(entry))
    index = open_index(opened, entry.manifest)
    data = {
        "manifest": entry.manifest,
        "sha256": entry.sha256,
        "index": index_data(index, with_tables=tables),
    }
    output.result(data, *_index_tables(index, with_tables=tables))


def _wanted(chain: Chain, source: str | None) -> bool:
    return source is None or (chain.service, chain.source_name) == split_source(source)


def _run_data(opened: OpenEnvironment, chains: Sequence[Chain], run_id: str) -> dict[str, Any]:
    """How far the data of a run's backups is apart; raises ``Refused`` when there are none."""
    from lifeboat.model.recovery_point import recovery_points_on_store

    entries = [entry for chain in chains for entry in chain.catalog.entries]
    manifests = [entry.manifest for entry in entries if entry.manifest.run_id == run_id]
    if not manifests:
        raise Refused(
            f"Nothing here was committed by a run {run_id!r}.",
            hint="`lifeboat show` names the run of a backup, `lifeboat list --json` that of each.",
        )
    moments = [manifest.data_timestamp for manifest in manifests]
    return {
        "run_id": run_id,
        "backups": len(manifests),
        "first": min(moments),
        "last": max(moments),
        "skew": max(moments) - min(moments),
        "recovery_points": recovery_points_on_store(opened.environment, manifests),
    }


def _run_lines(data: dict[str, Any]) -> list[RenderableType]:
    summary = (
        f"{data['run_id']}: {data['backups']} backups, data of {instant(data['first'])} to "
        f"{instant(data['last'])}, {data['skew'].total_seconds():.1f} s apart"
    )
    return [line(summary), *(line(str(point)) for point in data["recovery_points"])]


def _chain_data(opened: OpenEnvironment, chain: Chain, run_id: str | None) -> dict[str, Any]:
    """With ``run_id`` only the backups of that run; what is wrong with the chain is told all the same."""
    from cli.open_environment import retention_of

    catalog = chain.catalog
    plan = retention_of(opened, catalog)
    backups = []
    for decision in plan.decisions:
        entry = catalog.find(decision.backup.backup_id)
        assert entry is not None
        manifest = entry.manifest
        if run_id not in (None, manifest.run_id):
            continue
        backups.append(
            {
                "day": manifest.day,
                "backup_id": manifest.backup_id,
                "run_id": manifest.run_id,
                "place": manifest.sequence,
                "data_timestamp": manifest.data_timestamp,
                "committed_at": manifest.committed_at,
                "quality": manifest.quality,
                "doubts": manifest.doubts,
                **manifest.totals.model_dump(),
                "size_on_store": decision.backup.size,
                "verdict": decision.verdict,
                "reasons": decision.reasons,
            }
        )
    return {
        "source": chain.label,
        "backups": backups,
        "damaged": {str(place): why for place, why in catalog.damaged.items()},
        "missing": catalog.missing,
        "torn": catalog.torn,
        "doubts": catalog.doubts,
    }


def _tells(data: dict[str, Any]) -> bool:
    return any(data[what] for what in ("backups", "damaged", "missing", "torn", "doubts"))


def _chain_tables(data: dict[str, Any]) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes

    rows: list[tuple[object, ...]] = [
        (
            backup["day"],
            backup["backup_id"],
            instant(backup["data_timestamp"]),
            backup["quality"],
            f"{backup['rows'] or backup['files']:,}",
            human_bytes(backup["plain_bytes"]),
            human_bytes(backup["size_on_store"]),
            f"{backup['verdict']}: {'; '.join(backup['reasons'])}",
        )
        for backup in data["backups"]
    ]
    gaps = [(place, "DAMAGED", why) for place, why in data["damaged"].items()]
    gaps += [(place, "MISSING", "expected on the store, and not there") for place in data["missing"]]
    gaps += [(place, "torn", "a crash while publishing; never committed") for place in data["torn"]]
    rows += [("", f"place {place}", "", state, "", "", "", why) for place, state, why in gaps]
    columns = ["=day", "=backup", "=data of", "quality", ">rows or files", ">size", ">on store", "kept why"]
    shown: list[RenderableType] = [table(columns, rows, title=data["source"])]
    return shown + [line(f"doubt: {doubt}") for doubt in data["doubts"]]


def _manifest_table(entry: Entry) -> RenderableType:
    from lifeboat.model.outcome import holdings, human_bytes

    manifest, totals = entry.manifest, entry.manifest.totals
    policy = manifest.policy
    rows = [
        ("source", f"{manifest.environment}/{manifest.service}/{manifest.source} ({manifest.source_kind})"),
        ("place in its chain", f"{manifest.sequence}, manifest {manifest.file_name}"),
        ("data of", f"{instant(manifest.data_timestamp)}, day {manifest.day} in {manifest.time_zone}"),
        ("committed", f"{instant(manifest.committed_at)} by {manifest.run_id}"),
        ("quality", "; ".join((manifest.quality, *manifest.doubts))),
        ("consistency", manifest.consistency),
        ("holds", holdings(totals)),
        (
            "size",
            f"{human_bytes(totals.plain_bytes)}, of which {human_bytes(totals.sealed_bytes)} travelled, sealed",
        ),
        ("on the store", f"{len(manifest.parts)} parts and the index {manifest.index.name}"),
        ("of older backups", f"{len(manifest.references)} parts, {human_bytes(totals.referenced_bytes)}"),
        ("sealed for", ", ".join(manifest.recipients)),
        ("policy", f"{policy.name} {policy.version} (SHA-256 {policy.sha256[:16]}…)"),
        ("tools", ", ".join(f"{name} {version}" for name, version in sorted(manifest.tools.items()))),
        ("milliseconds", ", ".join(f"{name} {spent:,}" for name, spent in manifest.timings.items())),
        ("findings", ", ".join(f"{f.code} ({f.clause}) × {f.count}" for f in manifest.findings) or "none"),
    ]
    return table([manifest.backup_id, ""], rows)


def index_data(index: Index | TreeIndex, *, with_tables: bool) -> dict[str, Any]:
    """What an index says of databases, and of tables when wanted; of a tree its header."""
    from lifeboat.model.tree_index import TreeIndex

    if isinstance(index, TreeIndex):
        return index.header.model_dump()
    databases = []
    for database in index.databases:
        tables = [
            {"table": table.label, "rows": table.rows, "bytes": table.length} for table in database.tables
        ]
        told = {
            "name": database.name,
            "data_timestamp": database.data_timestamp,
            "owner": database.properties.owner,
            "encoding": database.properties.encoding,
            "extensions": database.properties.extensions,
            "table_count": len(tables),
            "rows": database.rows,
        }
        databases.append({**told, "tables": tables} if with_tables else told)
    return {
        "server_version": index.server_version,
        "databases": databases,
        "findings": [finding.model_dump() for finding in index.findings],
    }


def _index_tables(index: Index | TreeIndex, *, with_tables: bool) -> list[RenderableType]:
    from lifeboat.model.outcome import human_bytes
    from lifeboat.model.tree_index import TreeIndex

    if isinstance(index, TreeIndex):
        return _header_tables(index.header)
    databases = [
        (
            d.name,
            instant(d.data_timestamp),
            d.properties.owner,
            d.properties.encoding,
            len(d.tables),
            f"{d.rows:,}",
        )
        for d in index.databases
    ]
    columns = ["database", "data of", "owner", "encoding", ">tables", ">rows"]
    shown: list[RenderableType] = [table(columns, databases, title=f"PostgreSQL {index.server_version}")]
    if with_tables:
        for database in index.databases:
            rows = [(found.label, f"{found.rows:,}", human_bytes(found.length)) for found in database.tables]
            shown.append(table([f"tables of {database.name}", ">rows", ">size"], rows))
    return shown + [line(f"finding {f.code} ({f.clause}): {f.message}") for f in index.findings]


def _header_tables(header: TreeIndexHeader) -> list[RenderableType]:
    row = (
        f"{header.files:,}",
        f"{header.directories:,}",
        f"{header.links:,}",
        f"{header.specials_skipped:,}",
    )
    shown: list[RenderableType] = [table([">files", ">directories", ">links", ">specials left out"], [row])]
    return shown + [line(f"finding {f.code} ({f.clause}): {f.message}") for f in header.findings]

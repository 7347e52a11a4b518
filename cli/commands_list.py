"""``lifeboat list`` and ``lifeboat show``: what lies on the store, from verified manifests only."""

from __future__ import annotations

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
    from lifeboat.model.manifest import Manifest
    from lifeboat.model.tree_index import TreeIndex, TreeIndexHeader


def list_backups(
    environment: EnvironmentName,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="SERVICE/SOURCE", help="Only the backups of this source."),
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
    told = [_chain_data(opened, chain) for chain in chains]
    tables = [table_ for data in told for table_ in _chain_tables(data)]
    Output(as_json).result({"environment": environment, "sources": told}, *tables)


def show(
    environment: EnvironmentName,
    backup_id: Annotated[str, typer.Argument(metavar="BACKUP_ID", help="As `lifeboat list` shows it.")],
    tables: Annotated[bool, typer.Option("--tables", help="Also every table of every database.")] = False,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Show one backup: its signed manifest, and the databases that its sealed index names."""
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


def find_entry(opened: OpenEnvironment, backup_id: str) -> Entry:
    """A committed backup of any chain of the environment; raises ``Refused`` when there is none of that id."""
    from cli.open_environment import chains_of, read_view

    chains = chains_of(opened, read_view(opened))
    entry = next((found for chain in chains if (found := chain.catalog.find(backup_id))), None)
    if entry is None:
        raise Refused(
            f"Environment {opened.name!r} has no committed backup {backup_id!r}.",
            hint=f"`lifeboat list {opened.name}` shows what there is, and what is damaged or missing.",
        )
    return entry


def _wanted(chain: Chain, source: str | None) -> bool:
    return source is None or (chain.service, chain.source_name) == split_source(source)


def _chain_data(opened: OpenEnvironment, chain: Chain) -> dict[str, Any]:
    from cli.open_environment import retention_of

    catalog = chain.catalog
    plan = retention_of(opened, catalog)
    backups = []
    for decision in plan.decisions:
        entry = catalog.find(decision.backup.backup_id)
        assert entry is not None
        manifest = entry.manifest
        backups.append(
            {
                "day": manifest.day,
                "backup_id": manifest.backup_id,
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


def open_index(opened: OpenEnvironment, manifest: Manifest) -> Index | TreeIndex:
    """The index of a backup, opened with the identity for indexes."""
    from blocks.harbour import load_index_identity
    from cli.prefect_api import prefect_errors
    from lifeboat.stages.fetch import fetch_index, fetch_tree_index

    with prefect_errors():
        identities = [load_index_identity(opened.name)]
    if manifest.source_kind == "tree":
        return fetch_tree_index(opened.store, manifest, identities)
    return fetch_index(opened.store, manifest, identities)


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

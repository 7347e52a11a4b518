"""Restore: choose a backup, show what will happen, bring databases back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact

from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.model.outcome import human_bytes
from lifeboat.model.restore_plan import DatabaseRestore, RestorePlan, plan_restore
from lifeboat.model.signed import TrustedKeys
from lifeboat.stages import restore as stage
from lifeboat.stages import restore_roles as roles_stage
from lifeboat.stages.fetch import choose, fetch_index, read_catalog
from lifeboat.stages.restore import RestoredDatabase
from tasks.options import ONCE, REPEATED


@task(name="choose backup", task_run_name="choose backup of {environment}/{chain}", **REPEATED)
def plan_from_store(
    environment: str,
    chain: str,
    loader: Loader,
    trusted: TrustedKeys,
    server: PostgresServer,
    *,
    backup: str | None,
    at: dt.datetime | None,
    databases: Sequence[str],
    tables: Sequence[str],
    new_name: str | None,
    with_roles: bool,
) -> RestorePlan:
    """Verify signature, chain and index of the backup, and plan against what the target already has."""
    entry = choose(read_catalog(loader.store, environment, chain, trusted), backup_id=backup, at=at)
    return plan_restore(
        entry.manifest,
        fetch_index(loader.store, entry.manifest, loader.identities),
        databases=databases,
        tables=tables,
        new_name=new_name,
        with_roles=with_roles,
        present=stage.databases_present(server),
    )


@task(name="restore roles", **ONCE)
def restore_roles(plan: RestorePlan, loader: Loader, server: PostgresServer) -> list[str]:
    """Create the roles that the target lacks; existing ones are left as they are."""
    return roles_stage.restore_roles(plan, loader, server)


@task(name="restore", task_run_name="restore {wanted.target}", **ONCE)
def restore_database(
    plan: RestorePlan, wanted: DatabaseRestore, loader: Loader, server: PostgresServer, jobs: int
) -> RestoredDatabase:
    """Schema, data in parallel, indexes and constraints; the database gets its name last of all."""
    return stage.restore_database(plan, wanted, loader, server, jobs=jobs)


@task(name="report restore", **ONCE)
def report_restore(key: str, plan: RestorePlan, restored: Sequence[RestoredDatabase]) -> None:
    """A table of what came back."""
    create_table_artifact(
        key=f"restore-{key}",
        table=[
            {
                "database": done.name,
                "restored as": done.target,
                "tables": done.tables,
                "rows": f"{done.rows:,}",
                "seconds": f"{done.seconds:.1f}",
                "findings": "; ".join(done.findings),
            }
            for done in restored
        ],
        description=f"From **{plan.manifest.backup_id}**, "
        f"data of {plan.manifest.data_timestamp:%Y-%m-%d %H:%M:%S} UTC; "
        f"{human_bytes(plan.fetch_bytes)} fetched, every part verified against the signed manifest.",
    )

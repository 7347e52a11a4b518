"""Restore: databases of a backup into new databases of a server, files into a new folder; all of it verified."""

from __future__ import annotations

import datetime as dt

from prefect import flow
from prefect.runtime import flow_run

from blocks.harbour import load_block_server
from lifeboat.stages.restore import RestoredDatabase
from lifeboat.stages.restore_tree import RestoredTree
from tasks.restore import plan_from_store, report_restore, restore_database, restore_roles
from tasks.restore_board import restore_aboard
from tasks.restore_files import choose_tree, report_files, restore_into


def _run_name() -> str:
    parameters = flow_run.parameters
    what = ", ".join(parameters["databases"] or ["all databases"])
    source = f"{parameters['environment']} {parameters['service']}/{parameters['source']}"
    return f"{source} {what} into {parameters['target']}"


@flow(name="restore-databases", flow_run_name=_run_name)
def restore_databases(
    environment: str,
    service: str,
    source: str,
    target: str,
    databases: list[str] | None = None,
    tables: list[str] | None = None,
    backup: str | None = None,
    at: dt.datetime | None = None,
    new_name: str | None = None,
    with_roles: bool = False,
    target_environment: str | None = None,
    policy: str = "digital-automotive",
    jobs: int = 2,
) -> list[RestoredDatabase]:
    """Bring databases back under new names; existing ones are never touched.

    Args:
        environment: Whose backup, by its name in the policy.
        service: The service of the source.
        source: The source.
        target: Name of the postgres-server block to restore into.
        databases: Databases to bring back; all of them when empty.
        tables: Only these tables (schema.table) of one database.
        backup: A backup id; the newest good one when empty.
        at: The newest good backup whose data is not younger than this.
        new_name: The new database's name; <database>-restored-<day> when empty.
        with_roles: Also create the roles that the target lacks.
        target_environment: The target's environment, when it is another one; the policy must allow the pair.
        policy: A shipped policy's name, or the path of a policy file.
        jobs: Tables loaded, and indexes built, at the same time.
    """
    with restore_aboard(environment, service, source, target_environment, policy) as deck:
        server = load_block_server(target)
        plan = plan_from_store(
            environment, deck.chain, deck.loader, deck.trusted, server,
            backup=backup, at=at, databases=databases or [], tables=tables or [], new_name=new_name,
            with_roles=with_roles,
        )  # fmt: skip
        if with_roles:
            restore_roles(plan, deck.loader, server)
        restored = [restore_database(plan, wanted, deck.loader, server, jobs) for wanted in plan.databases]
        report_restore(deck.chain, plan, restored)
        return restored


def _files_run_name() -> str:
    parameters = flow_run.parameters
    what = ", ".join(parameters["paths"] or ["all files"])
    source = f"{parameters['environment']} {parameters['service']}/{parameters['source']}"
    return f"{source} {what} into {parameters['folder']}"


@flow(name="restore-files", flow_run_name=_files_run_name)
def restore_files(
    environment: str,
    service: str,
    source: str,
    folder: str,
    paths: list[str] | None = None,
    backup: str | None = None,
    at: dt.datetime | None = None,
    policy: str = "digital-automotive",
    jobs: int = 3,
) -> RestoredTree:
    """Bring files back into a folder of the restore host that does not exist yet.

    Args:
        environment: Whose backup, by its name in the policy.
        service: The service of the source.
        source: The source.
        folder: The folder to make; its name appears when everything is in it.
        paths: Glob patterns of files and folders below the top of the source; all of them when empty.
        backup: A backup id; the newest good one when empty.
        at: The newest good backup whose data is not younger than this.
        policy: A shipped policy's name, or the path of a policy file.
        jobs: Parts fetched at the same time.
    """
    with restore_aboard(environment, service, source, None, policy) as deck:
        manifest, index = choose_tree(
            environment, deck.chain, deck.loader, deck.trusted, backup=backup, at=at
        )
        restored = restore_into(index, folder, deck.loader, paths or [], jobs)
        report_files(deck.chain, manifest, restored)
        return restored

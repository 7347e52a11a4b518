"""Restore: databases of a backup into new databases of a server, verified before anything is applied."""

from __future__ import annotations

import datetime as dt

from prefect import flow
from prefect.runtime import flow_run

from lifeboat.stages.restore import RestoredDatabase
from tasks.restore import plan_from_store, report_restore, restore_database, restore_roles
from tasks.restore_board import restore_aboard


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
    with restore_aboard(environment, service, source, target, target_environment, policy) as deck:
        plan = plan_from_store(
            environment, deck.chain, deck.loader, deck.trusted, deck.server,
            backup=backup, at=at, databases=databases or [], tables=tables or [], new_name=new_name,
            with_roles=with_roles,
        )  # fmt: skip
        if with_roles:
            restore_roles(plan, deck.loader, deck.server)
        restored = [
            restore_database(plan, wanted, deck.loader, deck.server, jobs) for wanted in plan.databases
        ]
        report_restore(deck.chain, plan, restored)
        return restored

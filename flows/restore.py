"""Restore: plan, approve where something live is touched, bring back; all of it verified."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from lifeboat.adapters.policy_file import read_policy
from lifeboat.model.restore_choice import Point
from lifeboat.model.restore_outcome import RestoreOutcome, approval_wanted
from lifeboat.stages.restore_order import RestoreOrder
from tasks.progress import ProgressBoard
from tasks.restore import carry_out, plan, raise_if_failed, report, show_plan, wait_for_approval
from tasks.restore_board import loader_aboard, open_places


def _run_name() -> str:
    parameters = flow_run.parameters
    what = ", ".join(parameters.get("sources") or ["everything"])
    verb = "plan of" if parameters.get("dry_run") else "restore of"
    return f"{verb} {parameters['environment']} {what}"


@flow(name="restore", flow_run_name=_run_name)
def restore(
    environment: str,
    sources: list[str] | None = None,
    server: str = "",
    folder: str = "",
    files_block: str = "",
    broker: str = "",
    backup: str | None = None,
    run: str | None = None,
    at: dt.datetime | None = None,
    newest_of_each: bool = False,
    databases: list[str] | None = None,
    tables: list[str] | None = None,
    paths: list[str] | None = None,
    new_name: str | None = None,
    replace: bool = False,
    with_roles: bool = False,
    owner: str = "",
    into_used: bool = False,
    dry_run: bool = False,
    approval: str = "",
    policy: str = "digital-automotive",
    jobs: int = 2,
) -> list[RestoreOutcome]:
    """Bring back databases and files of an environment; nothing that exists is touched unless it is to be replaced.

    Args:
        environment: Whose backups, by its name in the policy.
        sources: Sources as service/source; everything of one run when empty.
        server: The postgres-server block to restore databases into.
        folder: The folder to make for files: a path of the restore host, sftp://host/folder, or
            azure-files://account/share/folder. Its name appears when everything is in it.
        files_block: The sftp-account or azure-file-shares block that may write to such a URL.
        broker: The http-export block of the account that imports RabbitMQ's definitions; else they come as files.
        backup: A backup id. Left out, like run and at: the newest good one.
        run: A run id, for the backups that one run took together.
        at: The newest good backup whose data is not younger than this.
        newest_of_each: Take each source's newest good backup, even if they are of different runs.
        databases: Databases to bring back; all of them when empty.
        tables: Only these tables of one database; schema.table, or a pattern like public.*.
        paths: Glob patterns of files and folders below the top of the source; all of them when empty.
        new_name: The new database's name; <database>-restored-<day> when empty.
        replace: Put restored databases in the place of the live ones, which are kept under dated names.
        with_roles: Also create the roles that the target lacks.
        owner: Give everything to this role instead of its owners, and leave grants out.
        into_used: Import definitions also into a broker that holds some; what it has stays.
        dry_run: Show the plan and end there.
        approval: What the plan asks to be typed, if you know it already; else the run waits for it.
        policy: A shipped policy's name, or the path of a policy file.
        jobs: Parts loaded, and indexes built, at the same time.
    """
    rules = read_policy(Path(policy))
    destination = open_places(
        rules, environment, server=server, folder=folder, files_block=files_block, broker=broker
    )
    order = RestoreOrder(
        environment, destination.environment, rules.environment(environment).source_labels, tuple(sources or ()),
        Point(backup, at, run), newest_of_each, tuple(databases or ()), tuple(tables or ()), tuple(paths or ()),
        new_name, replace, with_roles, owner, into_used,
    )  # fmt: skip
    items = plan(order, destination.places)
    planned = [each for item in items for each in item.described()]
    wanted = approval_wanted(planned, environment, destination.environment)
    text = show_plan(order, destination.places, planned, wanted)
    if dry_run:
        return []
    approved = wait_for_approval(wanted, approval, text)
    with (
        ProgressBoard(f"restore {environment}") as board,
        loader_aboard(destination.places, rules.environment(environment), board.note) as loader,
    ):
        outcomes = [outcome for item in items for outcome in carry_out(item, loader, jobs)]
    report(environment, outcomes, approved)
    raise_if_failed(outcomes)
    return outcomes

"""``lifeboat runbook``: pages to print and to keep with the escrow, for the day when Lifeboat is not at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, table

if TYPE_CHECKING:
    from lifeboat.adapters.store import StoreTarget
    from lifeboat.model.policy import Policy
    from lifeboat.model.runbook import RunbookFacts
    from lifeboat.model.runbook_text import StorePlace


def runbook(
    environment: EnvironmentName,
    folder: Annotated[
        str, typer.Option("--output", metavar="FOLDER", help="Where to write; made if it is not there.")
    ] = "runbook",
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="From the policy alone: no accounts, no keys, no sizes; the pages say so."
        ),
    ] = False,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Write the recovery runbook of an environment: an overview and a page per service, as Markdown and for printing.

    The script restore.sh and the public signing keys come with them: print the pages, and keep all of it with the
    escrowed identities.
    """
    from cli.runbook_html import printable_page
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.adapters.recovery_script import recovery_script
    from lifeboat.model.runbook import runbook as write

    read = read_policy(Path(policy))
    rules = read.environment(environment)
    facts = _offline() if offline else _look(policy, environment)
    files = {"restore.sh": recovery_script().read_text()}
    if facts.signing_keys:
        files[f"{environment}.signing.pem"] = "".join(facts.signing_keys.values())
    for page, markdown in write(read, rules, facts).items():
        files[f"{environment}.{page}.md"] = markdown
        files[f"{environment}.{page}.html"] = printable_page(markdown)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(text, encoding="utf-8")
    missing = _missing(read, environment, facts)
    rows = [(str(target / name),) for name in sorted(files)]
    data = {"folder": str(target), "files": sorted(files), "offline": offline, "without_backup": missing}
    output = Output(as_json)
    output.result(data, table([f"runbook of {environment}"], rows))
    if missing:
        output.message(f"There is no good backup of: {', '.join(missing)}; the pages say so.")


def _offline() -> RunbookFacts:
    from lifeboat import clock
    from lifeboat.model.runbook import RunbookFacts

    return RunbookFacts(printed=clock.utc_now(), offline=True)


def _look(policy_name: str, name: str) -> RunbookFacts:
    """What the blocks and the store say. Raises what they raise: a runbook with holes is asked for with --offline."""
    from blocks.harbour import load_recipients
    from cli.open_environment import chains_of, open_environment, read_view
    from cli.prefect_api import prefect_errors
    from lifeboat import clock
    from lifeboat.model.runbook import BackupFacts, RunbookFacts

    opened = open_environment(policy_name, name)
    with prefect_errors():
        recipients = load_recipients(name)
    chains = chains_of(opened, read_view(opened))
    newest = {chain.catalog.chain: chain.catalog.newest_good for chain in chains}
    return RunbookFacts(
        printed=clock.utc_now(),
        offline=False,
        store=_place(opened.store),
        signing_keys=opened.trusted.pems(),
        recipients=recipients,
        backups={chain: BackupFacts(entry.manifest) for chain, entry in newest.items() if entry},
    )


def _place(target: StoreTarget) -> StorePlace:
    from lifeboat.adapters.store_local import LocalTarget
    from lifeboat.adapters.store_sftp import SftpTarget
    from lifeboat.model.runbook_text import StorePlace

    if isinstance(target, SftpTarget):
        return StorePlace(
            folder=target.folder,
            host=target.host,
            port=target.port,
            user=target.user,
            host_key=target.host_key,
        )
    assert isinstance(target, LocalTarget)
    return StorePlace(folder=str(target.folder))


def _missing(policy: Policy, environment: str, facts: RunbookFacts) -> list[str]:
    from cli.open_environment import sources_of
    from lifeboat.model.manifest import chain_name

    if facts.offline:
        return []
    return [
        f"{service}/{source}"
        for service, source, _ in sources_of(policy.environment(environment))
        if chain_name(service, source) not in facts.backups
    ]

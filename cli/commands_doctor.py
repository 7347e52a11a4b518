"""``lifeboat doctor``: look at everything that the next backup will need, and say what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from cli.options import DEFAULT_POLICY, AsJson, OptionalEnvironmentName, PolicyName
from cli.output import Output, table

if TYPE_CHECKING:
    from lifeboat.adapters.store import StoreTarget
    from lifeboat.model.policy import Policy
    from lifeboat.model.policy_environment import Environment
    from lifeboat.model.policy_sources import PostgresSource, TreeSource
    from lifeboat.model.signed import TrustedKeys
    from lifeboat.stages.doctor import Check


def doctor(
    environment: OptionalEnvironmentName = None, policy: PolicyName = DEFAULT_POLICY, as_json: AsJson = False
) -> None:
    """Check every connection, version, permission, clock and schedule, and say what to do about each.

    Writes one small object probe-… to each store, reads it back, and deletes it if any account may. Exits with 1 when a
    check failed.
    """
    from lifeboat.stages.doctor import Verdict

    checks = list(_checks(policy, environment))
    rows = [
        (check.subject, check.verdict, check.message + (f"\n→ {check.next_step}" if check.next_step else ""))
        for check in checks
    ]
    Output(as_json).result(checks, table(["what", "verdict", "found"], rows))
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise typer.Exit(1)


def _checks(policy_name: str, only: str | None) -> Iterator[Check]:
    """Policy, then the API, then each environment; without the first two there is nothing to look at."""
    from pathlib import Path

    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.errors import LifeboatError
    from lifeboat.stages.doctor import examined, failed, ok

    try:
        policy = read_policy(Path(policy_name))
        environments = [policy.environment(only)] if only else list(policy.environments.values())
    except LifeboatError as error:
        yield failed("policy", error.message, error.hint or "Mend the file, then ask the doctor again.")
        return
    yield ok("policy", f"{policy.name} {policy.version} holds together")
    api = examined("Prefect API", _api_checks())
    yield from api
    reachable = api[0].verdict == "ok"
    for environment in environments:
        yield from _environment_checks(policy, environment) if reachable else _local_checks(environment)


def _local_checks(environment: Environment) -> Iterator[Check]:
    from lifeboat.stages.doctor import check_spool, examined

    subject = f"{environment.name}: spool on this host"
    yield from examined(subject, check_spool(subject, environment))


def _environment_checks(policy: Policy, environment: Environment) -> Iterator[Check]:
    from lifeboat.stages.doctor import examined

    name = environment.name
    yield from examined(f"{name}: store", _store_checks(environment))
    yield from examined(f"{name}: keys", _key_checks(environment))
    yield from _local_checks(environment)
    yield from _source_checks(environment)
    yield from examined(f"{name}: schedule", _schedule_checks(policy, environment))


def _api_checks() -> Iterator[Check]:
    import prefect

    from cli.prefect_api import require_api, shown_address
    from lifeboat.stages.doctor import ok, warning

    version = require_api()
    yield ok("Prefect API", f"{shown_address()} answers, version {version}")
    if version != prefect.__version__:
        yield warning(
            "Prefect API",
            f"its version {version} is not this host's {prefect.__version__}",
            "Install what requirements.lock says on both.",
        )


def _store_checks(environment: Environment) -> Iterator[Check]:
    from blocks.harbour import load_prune_store, load_store, load_trusted
    from cli.prefect_api import prefect_errors
    from lifeboat.stages.doctor_store import check_store

    name = environment.name
    with prefect_errors():
        store, pruning = load_store(name, environment), load_prune_store(name, environment)
        trusted = load_trusted(name)
    usual = _newest_sizes(name, store, trusted)
    yield from check_store(f"{name}: store", store, pruning, environment, usual=usual)


def _newest_sizes(name: str, store: StoreTarget, trusted: TrustedKeys) -> int:
    """Bytes of the newest backup of each source together: what the next run will need."""
    from lifeboat.stages.catalog import look

    with store.connect() as session:
        view = look(session, name, trusted)
    newest = [view.catalog(chain, trusted).newest for chain in view.chains]
    return sum(entry.facts().size for entry in newest if entry)


def _key_checks(environment: Environment) -> Iterator[Check]:
    from blocks.harbour import load_keys
    from cli.prefect_api import prefect_errors
    from lifeboat.stages.doctor import check_keys

    with prefect_errors():
        keys = load_keys(environment.name, environment)
    yield from check_keys(f"{environment.name}: keys", keys, environment)


def _source_checks(environment: Environment) -> Iterator[Check]:
    from cli.open_environment import sources_of
    from lifeboat.model.policy_sources import PostgresSource
    from lifeboat.stages.doctor import examined

    for service, source_name, source in sources_of(environment):
        subject = f"{environment.name}: {service}/{source_name}"
        if isinstance(source, PostgresSource):
            yield from examined(subject, _server_checks(environment.name, service, source_name, source))
        else:
            yield from examined(subject, _tree_checks(environment.name, service, source_name, source))


def _server_checks(name: str, service: str, source_name: str, source: PostgresSource) -> Iterator[Check]:
    from blocks.harbour import load_server
    from cli.prefect_api import prefect_errors
    from lifeboat.stages.doctor import check_server

    with prefect_errors():
        server = load_server(name, service, source_name, source)
    yield from check_server(f"{name}: {service}/{source_name}", server, source)


def _tree_checks(name: str, service: str, source_name: str, source: TreeSource) -> Iterator[Check]:
    from blocks.trees import load_tree
    from cli.prefect_api import prefect_errors
    from lifeboat.stages.doctor import check_tree

    with prefect_errors():
        origin = load_tree(name, service, source_name, source)
    yield from check_tree(f"{name}: {service}/{source_name}", origin)


def _schedule_checks(policy: Policy, environment: Environment) -> Iterator[Check]:
    from cli.prefect_api import next_scheduled_run, prefect_errors
    from lifeboat import clock
    from lifeboat.model.policy_schedule import worst_interval
    from lifeboat.stages.doctor import check_next_run

    now: dt.datetime = clock.utc_now()
    longest = worst_interval(environment.schedule, first_year=policy.date.year).length
    with prefect_errors():
        upcoming = next_scheduled_run(f"backup-environment/{environment.name}", now)
    yield check_next_run(f"{environment.name}: schedule", upcoming, now, longest)

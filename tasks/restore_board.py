"""Going aboard for a restore: store, trusted keys, target, and the identity that lies on this host only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from blocks.harbour import load_store, load_trusted
from blocks.restore_targets import (
    load_brokers,
    load_drill_broker,
    load_drill_server,
    load_target_server,
    load_tree_place,
)
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.errors import ConfigurationError, RestoreRefused
from lifeboat.model.policy import Policy
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import RabbitMQSource
from lifeboat.stages.fetch import read_identities
from lifeboat.stages.restore_order import RestorePlaces

IDENTITY = "LIFEBOAT_IDENTITY_FILE"
"""Environment variable of the restore host: the path of its age identity file. Never a block, never a parameter."""
READY = 2
"""Loading children started ahead."""


@dataclass(frozen=True)
class Destination:
    """Where a restore goes: a server, a folder, and the one environment that both belong to."""

    environment: str
    places: RestorePlaces


def open_places(
    policy: Policy,
    environment: str,
    *,
    server: str = "",
    folder: str = "",
    files_block: str = "",
    broker: str = "",
) -> Destination:
    """Load what a restore needs, and refuse a target of an environment that the policy does not allow (P8, F51).

    ``server`` and ``broker`` are names of blocks, ``folder`` is a path of this host, or a URL that ``files_block`` has
    the account for; each may be empty. Raises ``ConfigurationError`` and ``RestoreRefused``.
    """
    rules = policy.environment(environment)
    known = tuple(policy.environments)
    found, of_server = load_target_server(server, known) if server else (None, None)
    trees = load_tree_place(folder, files_block, known) if folder else None
    brokers, of_broker = load_brokers(broker, _broker_urls(rules), known) if broker else ({}, None)
    target = _one_environment(environment, of_server, trees.environment if trees else None, of_broker)
    refuse_foreign_target(policy, environment, target)
    places = RestorePlaces(
        store=load_store(environment, rules),
        trusted=load_trusted(environment),
        identities=read_identities(identity_path()),
        server=(lambda _major: found) if found else None,
        trees=trees.target if trees else None,
        trees_are_live=bool(trees and trees.live),
        brokers=brokers,
    )
    return Destination(target, places)


def drill_places(policy: Policy, environment: str) -> RestorePlaces:
    """What a drill needs: no target of anybody's, but the server and the broker of the policy's drills."""
    rules = policy.drills
    return replace(
        open_places(policy, environment).places,
        drill_broker=load_drill_broker(rules.broker) if rules.broker else None,
        drill_server=load_drill_server(rules.server) if rules.server else None,
    )


def _broker_urls(rules: Environment) -> dict[str, str]:
    return {
        f"{service_name}/{source_name}": source.url
        for service_name, service in rules.services.items()
        for source_name, source in service.sources.items()
        if isinstance(source, RabbitMQSource)
    }


def _one_environment(environment: str, *told: str | None) -> str:
    """The environment that all targets belong to; the backup's own where none says."""
    found = {each for each in told if each is not None}
    if len(found) > 1:
        raise RestoreRefused(
            f"The targets belong to different environments: {', '.join(sorted(found))}.",
            hint="Restore into one environment at a time.",
        )
    return found.pop() if found else environment


@contextlib.contextmanager
def loader_aboard(
    places: RestorePlaces, rules: Environment, progress: Callable[[str], None]
) -> Iterator[Loader]:
    """What fetches and opens parts; its child processes are gone at the end."""
    with Crew() as crew:
        loader = Loader(
            store=places.store,
            identities=places.identities,
            crew=crew,
            deadline=clock.Deadline.after(rules.limits.source.total_seconds()),
            progress=progress,
        )
        loader.make_ready(READY)
        yield loader


def identity_path() -> Path:
    """Raises ``ConfigurationError`` on a host that is not meant to restore."""
    path = os.environ.get(IDENTITY)
    if not path:
        raise ConfigurationError(
            f"This host has no identity: {IDENTITY} is not set.",
            hint="Restores run on the restore host, whose worker is started with it (docs/how-to/restore.md).",
        )
    return Path(path)


def refuse_foreign_target(policy: Policy, environment: str, target: str) -> None:
    """Raise ``RestoreRefused`` for a pair that the policy does not allow (clause P8)."""
    if target != environment and target not in policy.environment(environment).restore_to:
        raise RestoreRefused(
            f"The policy does not allow a backup of {environment!r} to be restored into {target!r}.",
            hint=f"Allowed besides itself: {', '.join(policy.environment(environment).restore_to) or 'none'}.",
        )

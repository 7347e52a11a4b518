"""Going aboard for a restore: store, trusted keys, target, and the identity that lies on this host only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from blocks.harbour import load_store, load_target_server, load_trusted
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.errors import ConfigurationError, RestoreRefused
from lifeboat.model.policy import Policy
from lifeboat.model.policy_environment import Environment
from lifeboat.stages.fetch import read_identities
from lifeboat.stages.restore_order import RestorePlaces

IDENTITY = "LIFEBOAT_IDENTITY_FILE"
"""Environment variable of the restore host: the path of its age identity file. Never a block, never a parameter."""
READY = 2
"""Loading children started ahead."""
ENVIRONMENT_FILE = ".environment"
"""Beside or above a folder, the name of the environment it belongs to (F51)."""


@dataclass(frozen=True)
class Destination:
    """Where a restore goes: a server, a folder, and the one environment that both belong to."""

    environment: str
    places: RestorePlaces


def open_places(policy: Policy, environment: str, *, server: str, folder: str) -> Destination:
    """Load what a restore needs, and refuse a target of an environment that the policy does not allow (P8, F51).

    ``server`` is the name of a postgres-server block, ``folder`` an absolute path on this host; either may be empty.
    Raises ``ConfigurationError`` and ``RestoreRefused``.
    """
    rules = policy.environment(environment)
    target, found = environment, None
    if server:
        found, target = load_target_server(server, tuple(policy.environments))
    path = Path(folder) if folder else None
    if path is not None:
        target = _refuse_two_environments(target, path, given=bool(server))
    refuse_foreign_target(policy, environment, target)
    places = RestorePlaces(
        store=load_store(environment, rules),
        trusted=load_trusted(environment),
        identities=read_identities(identity_path()),
        server=found,
        folder=path,
    )
    return Destination(target, places)


def _refuse_two_environments(target: str, folder: Path, *, given: bool) -> str:
    if not folder.is_absolute():
        raise ConfigurationError(
            f"The folder {str(folder)!r} is relative to nothing in particular; begin with /."
        )
    marked = marked_folder(folder)
    if given and marked not in (None, target):
        raise RestoreRefused(
            f"The server is of {target!r}, and the folder {folder} of {marked!r}.",
            hint="Restore into one environment at a time.",
        )
    return marked or target


def marked_folder(folder: Path) -> str | None:
    """The environment that the nearest ``.environment`` file above the folder names; None without one."""
    for above in folder.parents:
        marker = above / ENVIRONMENT_FILE
        if marker.is_file():
            return marker.read_text(encoding="utf-8").strip()
    return None


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

"""Going aboard for a restore: store, trusted keys, target, and the identity that lies on this host only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blocks.harbour import load_store, load_trusted
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.policy_file import read_policy
from lifeboat.errors import ConfigurationError, RestoreRefused
from lifeboat.model.manifest import chain_name
from lifeboat.model.policy import Policy
from lifeboat.model.signed import TrustedKeys
from lifeboat.stages.fetch import read_identities
from tasks.progress import ProgressBoard

IDENTITY = "LIFEBOAT_IDENTITY_FILE"
"""Environment variable of the restore host: the path of its age identity file. Never a block, never a parameter."""


READY = 2
"""Loading children started ahead."""


@dataclass(frozen=True)
class Deck:
    chain: str
    loader: Loader
    trusted: TrustedKeys


@contextlib.contextmanager
def restore_aboard(
    environment: str, service: str, source: str, target_environment: str | None, policy_name: str
) -> Iterator[Deck]:
    """Everything a restore needs; its child processes are gone at the end."""
    policy = read_policy(Path(policy_name))
    rules = policy.environment(environment)
    refuse_foreign_target(policy, environment, target_environment or environment)
    with Crew() as crew, ProgressBoard(f"restore {environment}") as progress:
        loader = Loader(
            store=load_store(environment, rules),
            identities=read_identities(identity_path()),
            crew=crew,
            deadline=clock.Deadline.after(rules.limits.source.total_seconds()),
            progress=progress.note,
        )
        loader.make_ready(READY)
        yield Deck(chain_name(service, source), loader, load_trusted(environment))


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

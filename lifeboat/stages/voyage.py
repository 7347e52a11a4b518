"""A voyage: one source of one environment on its way to the store, with all that its stages need.

Put together once per run from the policy and the blocks; it holds secrets and live sessions, so it never crosses
a process, and no part of it is a Prefect parameter or result.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.spool import Spool
from lifeboat.adapters.store import StoreTarget
from lifeboat.adapters.tree import TreeOrigin
from lifeboat.errors import Cancelled, TimeLimitExceeded
from lifeboat.model.manifest import ChainLink, PolicyReference, chain_name, new_backup_id
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource, TreeSource
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.progress import Progress

ProgressReport = Callable[[str], None]


@dataclass(frozen=True)
class Keys:
    """What a backup worker may hold: public recipients, its signing key, and the identity of indexes only."""

    recipients: tuple[str, ...]
    signer: Signer
    trusted: TrustedKeys
    index_identity: str = field(repr=False)
    index_recipient: str


@dataclass(frozen=True, kw_only=True)
class Voyage:
    """One source's backup, whatever its kind. ``run_id`` is shared by all backups of a run."""

    environment_name: str
    service: str
    source_name: str
    run_id: str
    environment: Environment
    policy: PolicyReference
    time_zone: str
    store: StoreTarget
    prune_store: StoreTarget
    keys: Keys
    spool: Spool
    crew: Crew
    deadline: clock.Deadline
    anchor: ChainLink | None = None
    report: ProgressReport = lambda _: None
    progress: Progress = field(default_factory=Progress, repr=False)

    @property
    def chain(self) -> str:
        return chain_name(self.service, self.source_name)

    @property
    def label(self) -> str:
        return f"{self.environment_name}/{self.service}/{self.source_name}"

    def refuse_if_over(self, what: str) -> None:
        """Raise ``TimeLimitExceeded`` past the source's time limit (F17), ``Cancelled`` when the run is ending."""
        if self.crew.dismissed:
            raise Cancelled(f"{what}: ended with the run")
        if self.deadline.passed():
            raise TimeLimitExceeded(
                f"{what}: not finished within the limit of {self.deadline.limit:.0f} s.",
                hint="The store is too slow for its window, or limits.source in the policy is too short.",
            )


@dataclass(frozen=True, kw_only=True)
class ServerVoyage(Voyage):
    """The backup of a PostgreSQL server."""

    source: PostgresSource
    server: PostgresServer


@dataclass(frozen=True, kw_only=True)
class TreeVoyage(Voyage):
    """The backup of a file tree, or of what was captured as one."""

    source: TreeSource
    tree: TreeOrigin


def backup_id_of(voyage: Voyage, data_timestamp: dt.datetime) -> str:
    """A new id for a backup of this voyage: unlike any other, also of the same second."""
    return new_backup_id(voyage.chain, data_timestamp, random_suffix())


def fingerprint(recipient: str) -> str:
    """First 16 hex digits of the SHA-256 of an age recipient."""
    return hashlib.sha256(recipient.encode()).hexdigest()[:16]


def new_run_id() -> str:
    """``run-20261123T011503Z-k3v9qz``."""
    return f"run-{clock.utc_now():%Y%m%dT%H%M%SZ}-{random_suffix()}"


def random_suffix() -> str:
    """Six characters that keep two runs of the same second apart."""
    return "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(6))


def random_seed() -> int:
    """What a choice is drawn with; JSON readers everywhere hold such a number exactly."""
    return secrets.randbelow(2**53)


def spool_root(environment: Environment) -> Path:
    """The policy's spool folder, or one below the user's cache."""
    return (
        Path(environment.spool.folder) if environment.spool.folder else Path.home() / ".cache/lifeboat/spool"
    )

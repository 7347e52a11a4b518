"""Going aboard: everything a run needs, from the policy and the blocks, and off again whatever happens.

Blocks are loaded here by names derived from the environment, inside the flow; none crosses as a parameter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prefect.variables import Variable

from blocks.harbour import load_keys, load_prune_store, load_server, load_store
from blocks.trees import load_tree
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.spool import Spool
from lifeboat.errors import ConfigurationError
from lifeboat.model.manifest import ChainLink, chain_name
from lifeboat.model.policy_sources import PostgresSource, Source
from lifeboat.stages.encrypt import make_ready
from lifeboat.stages.progress import Progress
from lifeboat.stages.tree import STREAMS
from lifeboat.stages.voyage import ServerVoyage, TreeVoyage, spool_root
from tasks.progress import ProgressBar, ProgressBoard


@dataclass(frozen=True)
class Ticket:
    """Which source a run backs up, and by which policy: the parameters of its flow."""

    environment_name: str
    service: str
    source_name: str
    run_id: str
    policy_name: str


@contextlib.contextmanager
def aboard_server(ticket: Ticket) -> Iterator[ServerVoyage]:
    """The voyage of a PostgreSQL server. At the end, also when the run is cancelled, every child process is gone and
    the spool is empty."""
    with _aboard(ticket) as (source, common):
        if not isinstance(source, PostgresSource):
            raise ConfigurationError(f"{ticket.service}/{ticket.source_name} is no PostgreSQL server.")
        server = load_server(ticket.environment_name, ticket.service, ticket.source_name, source)
        voyage = ServerVoyage(source=source, server=server, **common)
        make_ready(voyage, source.streams)
        yield voyage


@contextlib.contextmanager
def aboard_tree(ticket: Ticket) -> Iterator[TreeVoyage]:
    """The voyage of a tree of files, or of an export; ends like that of a server."""
    with _aboard(ticket) as (source, common):
        if isinstance(source, PostgresSource):
            raise ConfigurationError(f"{ticket.service}/{ticket.source_name} is no tree of files.")
        tree = load_tree(ticket.environment_name, ticket.service, ticket.source_name, source)
        voyage = TreeVoyage(source=source, tree=tree, **common)
        make_ready(voyage, STREAMS)
        yield voyage


@contextlib.contextmanager
def _aboard(ticket: Ticket) -> Iterator[tuple[Source, dict[str, Any]]]:
    """The source, and what the voyages of all kinds have in common."""
    environment_name, service, source_name = ticket.environment_name, ticket.service, ticket.source_name
    policy = read_policy(Path(ticket.policy_name))
    environment = policy.environment(environment_name)
    limit = environment.limits.source.total_seconds()
    label = f"{environment_name}-{service}-{source_name}"
    with (
        Spool(spool_root(environment), f"{label}-{ticket.run_id}", limit=environment.spool.limit) as spool,
        Crew() as crew,
        ProgressBoard(label) as board,
        ProgressBar(label) as bar,
    ):
        yield (
            environment.services[service].sources[source_name],
            {
                "environment_name": environment_name,
                "service": service,
                "source_name": source_name,
                "run_id": ticket.run_id,
                "environment": environment,
                "policy": policy.reference,
                "time_zone": policy.time_zone,
                "store": load_store(environment_name, environment),
                "prune_store": load_prune_store(environment_name, environment),
                "keys": load_keys(environment_name, environment),
                "spool": spool,
                "crew": crew,
                "deadline": clock.Deadline.after(limit),
                "anchor": read_anchor(environment_name, chain_name(service, source_name)),
                "report": board.note,
                "progress": Progress(bar.note),
            },
        )


def _anchor_name(environment_name: str, chain: str) -> str:
    return f"lifeboat-head-{environment_name}-{chain}"


def read_anchor(environment_name: str, chain: str) -> ChainLink | None:
    """The chain's head as last published: kept off the store, so that a rolled-back store is noticed (F30)."""
    value = cast(object, Variable.get(_anchor_name(environment_name, chain)))
    return ChainLink.model_validate(value) if value else None


def keep_anchor(environment_name: str, chain: str, head: ChainLink) -> None:
    """Remember a head, unless a later one is remembered already."""
    known = read_anchor(environment_name, chain)
    if known is None or known.sequence < head.sequence:
        Variable.set(_anchor_name(environment_name, chain), head.model_dump(), overwrite=True)

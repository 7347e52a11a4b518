"""An environment as the commands see it: its policy, its store, and the keys whose signatures count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from cli.prefect_api import prefect_errors, require_api
from lifeboat import clock
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.store import StoreTarget
from lifeboat.model.catalog import Catalog
from lifeboat.model.manifest import chain_name
from lifeboat.model.policy import Policy
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import Source
from lifeboat.model.retention import RetentionPlan, plan_retention
from lifeboat.model.signed import TrustedKeys
from lifeboat.stages.catalog import StoreView, look


@dataclass(frozen=True)
class OpenEnvironment:
    """What reading an environment's store takes; ``store`` holds secrets."""

    policy: Policy
    environment: Environment
    store: StoreTarget
    trusted: TrustedKeys

    @property
    def name(self) -> str:
        return self.environment.name


@dataclass(frozen=True)
class Chain:
    """The backups of one source. ``source`` is None for a chain on the store that the policy names no more."""

    service: str
    source_name: str
    source: Source | None
    catalog: Catalog

    @property
    def label(self) -> str:
        return (
            f"{self.service}/{self.source_name}"
            if self.source
            else f"{self.catalog.chain} (not in the policy)"
        )


def open_environment(policy_name: str, name: str) -> OpenEnvironment:
    """Read the policy and load the environment's blocks. Raises ``PolicyError`` or ``ConfigurationError``."""
    policy = read_policy(Path(policy_name))
    environment = policy.environment(name)
    require_api()
    from blocks.harbour import load_store, load_trusted

    with prefect_errors():
        return OpenEnvironment(policy, environment, load_store(name, environment), load_trusted(name))


def sources_of(environment: Environment) -> Iterator[tuple[str, str, Source]]:
    """Service, name and rules of each source, in the order of the policy."""
    for service, group in environment.services.items():
        for source_name, source in group.sources.items():
            yield service, source_name, source


def read_view(opened: OpenEnvironment) -> StoreView:
    """One look at the store. Raises the ``StoreError`` family."""
    with opened.store.connect() as session:
        return look(session, opened.name, opened.trusted)


def chains_of(opened: OpenEnvironment, view: StoreView) -> list[Chain]:
    """Every chain of the policy, then those that only the store knows; held against the heads kept off the store."""
    chains = [
        Chain(service, source_name, source, _catalog(opened, view, chain_name(service, source_name)))
        for service, source_name, source in sources_of(opened.environment)
    ]
    named = {chain.catalog.chain for chain in chains}
    strangers = [name for name in view.chains if name not in named]
    return chains + [Chain(name, "", None, _catalog(opened, view, name)) for name in strangers]


def retention_of(opened: OpenEnvironment, catalog: Catalog, doubts: tuple[str, ...] = ()) -> RetentionPlan:
    """What a prune would decide about a chain now."""
    now = clock.utc_now()
    return plan_retention(
        [entry.facts() for entry in catalog.entries],
        opened.environment.retention_of(catalog.chain),
        today=now.astimezone(ZoneInfo(opened.policy.time_zone)).date(),
        now=now,
        doubts=(*catalog.doubts, *doubts),
    )


def _catalog(opened: OpenEnvironment, view: StoreView, chain: str) -> Catalog:
    from tasks.board import read_anchor

    with prefect_errors():
        anchor = read_anchor(opened.name, chain)
    return view.catalog(chain, opened.trusted, anchor)

"""What a restore is asked for, and the places it needs: a store to read from, a server or a folder to write to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.store import StoreTarget
from lifeboat.adapters.tree_target import RestoreTarget
from lifeboat.errors import ConfigurationError, RestoreRefused
from lifeboat.model.manifest import ChainLink
from lifeboat.model.restore_choice import Point
from lifeboat.model.signed import TrustedKeys


@dataclass(frozen=True)
class RestoreOrder:
    """What is asked for. ``sources`` are ``service/source``; all of ``known_sources`` when empty, from one run.

    ``replace``: restored databases take the place of those they come from, which are kept under dated names. ``owner``
    gets everything instead of the backup's owners. ``into_used``: a broker that holds something may take more.
    """

    environment: str
    target_environment: str
    known_sources: tuple[str, ...]
    sources: tuple[str, ...] = ()
    point: Point = field(default_factory=Point)
    newest_of_each: bool = False
    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    new_name: str | None = None
    replace: bool = False
    with_roles: bool = False
    owner: str = ""
    into_used: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.sources) - set(self.known_sources))
        if unknown:
            raise ConfigurationError(
                f"The policy has no source {', '.join(map(repr, unknown))} in {self.environment}.",
                hint=f"It has: {', '.join(self.known_sources)}.",
            )
        if len(self.chosen) > 1 and (self.databases or self.tables or self.paths or self.new_name):
            raise RestoreRefused(
                "Databases, tables, paths and a new name are of one source.",
                hint=f"Name one of: {', '.join(self.chosen)}.",
            )
        if self.replace and (self.new_name or self.tables):
            raise RestoreRefused(
                "Only whole databases take the place of others, under their own names.",
                hint="Leave out the new name and the tables, or do not replace.",
            )

    @property
    def chosen(self) -> tuple[str, ...]:
        return self.sources or self.known_sources


@dataclass(frozen=True)
class RestorePlaces:
    """Where backups come from, and where they go. ``identities`` open them and never show.

    ``server`` gives the server for databases of a major version; ``trees`` the place for files, by the name of a folder
    in it, or for an empty name the place itself; ``brokers`` take the definitions of their sources,
    ``drill_broker`` those of all sources, in throw-away virtual hosts. ``drill_server`` is lent to drills.
    """

    store: StoreTarget
    trusted: TrustedKeys
    identities: tuple[str, ...] = field(repr=False)
    server: Callable[[int], PostgresServer] | None = None
    trees: Callable[[str], RestoreTarget] | None = None
    trees_are_live: bool = False
    brokers: Mapping[str, Endpoint] = field(default_factory=dict)
    drill_broker: Endpoint | None = None
    drill_server: PostgresServer | None = None
    erasures: ChainLink | None = None

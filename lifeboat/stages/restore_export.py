"""Restore of an export: RabbitMQ's definitions out of a backup into a broker, and compared afterwards.

They are in memory only, from the verified part to the request: they hold the hashes of passwords.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from lifeboat import clock
from lifeboat.adapters.http_export import written
from lifeboat.adapters.http_session import Endpoint, UserPassword
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.rabbitmq import DEFINITIONS, export_definitions, import_definitions
from lifeboat.errors import RestoreFailed, RestoreRefused, SourceDenied
from lifeboat.model.definitions import (
    Definitions,
    ObjectDifference,
    VirtualHost,
    listed,
    missing_objects,
    only_virtual_host,
    own_objects,
)
from lifeboat.model.tree_index import TreeIndex


@dataclass(frozen=True)
class RestoredExport:
    """What a broker was given. ``objects`` is how many of the backup's there are; ``left_out`` names those that were
    not imported, ``differences`` those that the broker does not hold afterwards as the backup has them."""

    target: str
    objects: int
    left_out: tuple[str, ...]
    differences: tuple[ObjectDifference, ...]
    seconds: float


def restore_export(
    index: TreeIndex,
    loader: Loader,
    endpoint: Endpoint,
    *,
    into_used: bool = False,
    virtual_host: VirtualHost | None = None,
) -> RestoredExport:
    """Import the backup's definitions, all or those of one virtual host, and export again to see that they are there.

    Raises ``RestoreRefused`` when the backup holds none, or the broker holds something of its own and ``into_used``
    does not allow that; ``RestoreFailed`` when the broker no longer lets us in afterwards; and the ``SourceError``
    family.
    """
    watch = clock.Stopwatch()
    wanted = read_definitions(index, loader)
    found = export_definitions(endpoint)
    if not into_used:
        _refuse_used(found, endpoint, virtual_host)
    left_out: list[str] = []
    if virtual_host is not None:
        users = frozenset(str(user.get("name")) for user in found.get("users", []))
        wanted, left_out = only_virtual_host(wanted, virtual_host, users)
        if not wanted["vhosts"]:
            raise RestoreRefused(
                f"The backup {index.header.backup_id} has no virtual host {virtual_host.name!r}.",
                hint="Virtual hosts are written as RabbitMQ shows them; the first one is '/'.",
            )
    import_definitions(endpoint, written(wanted))
    return RestoredExport(
        target=endpoint.url,
        objects=sum(len(value) for value in wanted.values() if isinstance(value, list)),
        left_out=tuple(left_out),
        differences=tuple(missing_objects(wanted, _exported_again(endpoint))),
        seconds=watch.seconds(),
    )


def read_definitions(index: TreeIndex, loader: Loader) -> Definitions:
    """The definitions of a backup, verified. Raises ``RestoreRefused`` when it holds none."""
    member = next((each for each in index.members() if each.entry.path == DEFINITIONS), None)
    if member is None:
        raise RestoreRefused(
            f"{index.header.backup_id} holds no {DEFINITIONS.decode()}: it is no export of RabbitMQ.",
            hint="`lifeboat files` lists what there is; `lifeboat restore --to` brings it into a folder.",
        )
    definitions: Definitions = json.loads(loader.content(index.header.part(member.part), member))
    return definitions


def _refuse_used(found: Definitions, endpoint: Endpoint, virtual_host: VirtualHost | None) -> None:
    user = endpoint.credential.user if isinstance(endpoint.credential, UserPassword) else ""
    own = own_objects(found, user=user, virtual_host=virtual_host.target if virtual_host else "")
    if own:
        where = f"virtual host {virtual_host.target!r} of {endpoint.url}" if virtual_host else endpoint.url
        raise RestoreRefused(
            f"{where} is in use; it holds:\n{listed(own)}",
            hint="Restore into a new broker or virtual host, or say that this one may be used: what it has stays, and "
            "the backup's objects come on top.",
        )


def _exported_again(endpoint: Endpoint) -> Definitions:
    try:
        return export_definitions(endpoint)
    except SourceDenied as error:
        raise RestoreFailed(
            f"{error.message} The definitions are in, and were not compared.",
            hint="The backup holds the account that imported it, with the password of then. Put that into the block "
            "and compare by restoring once more into the same broker.",
        ) from None

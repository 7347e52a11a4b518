"""Drill of RabbitMQ's definitions: into throw-away virtual hosts of a broker, exported again, compared, deleted (P7).

Users and global parameters are everybody's on a broker: they are compared in the file they came back in, and not
imported.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.rabbitmq import delete_virtual_host, virtual_hosts
from lifeboat.errors import SandboxNotDestroyed
from lifeboat.model.definitions import VirtualHost
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.compare import Difference
from lifeboat.stages.restore_export import read_definitions, restore_export

_SANDBOX = re.compile(r"(drill-([0-9]{8}T[0-9]{6}Z)-[a-z0-9]+)\.[0-9]+")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class DrilledDefinitions:
    """``objects`` were imported and are there again, but for the ``differences``."""

    objects: int
    differences: tuple[Difference, ...]


@contextmanager
def drilled_definitions(
    index: TreeIndex, loader: Loader, broker: Endpoint, drill_id: str
) -> Iterator[DrilledDefinitions]:
    """Every virtual host of the backup under a name of the drill's, meanwhile; afterwards they are gone.

    Raises as ``restore_export`` does, and ``SandboxNotDestroyed``.
    """
    names = [str(each["name"]) for each in read_definitions(index, loader)["vhosts"]]
    made: list[str] = []
    objects, found = 0, list[Difference]()
    try:
        for number, name in enumerate(names, start=1):
            made.append(f"{drill_id}.{number}")
            done = restore_export(index, loader, broker, virtual_host=VirtualHost(name, made[-1]))
            objects += done.objects
            found += [
                Difference(f"definition-{each.why}", f"{name}: {each.what} {each.why}")
                for each in done.differences
            ]
        yield DrilledDefinitions(objects, tuple(found))
    finally:
        _destroy(broker, made)


def sweep_virtual_hosts(broker: Endpoint, root: Path) -> None:
    """Delete what dead drills left in the broker: those of more than a day ago that have no sandbox here any more.

    Another host's drill, which may be alive, has no sandbox here either.
    """
    before = clock.utc_now() - _DAY
    matches = [(name, _SANDBOX.fullmatch(name)) for name in virtual_hosts(broker)]
    _destroy(
        broker,
        [
            name
            for name, match in matches
            if match and _stamp(match[2]) < before and not (root / match[1]).exists()
        ],
    )


def _stamp(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)


def _destroy(broker: Endpoint, names: list[str]) -> None:
    for name in names:
        delete_virtual_host(broker, name)
    if left := sorted(set(names) & set(virtual_hosts(broker))):
        raise SandboxNotDestroyed(
            f"The virtual hosts {', '.join(left)} of {broker.url} could not be deleted.",
            hint="Delete them by hand, now: they hold restored definitions.",
        )

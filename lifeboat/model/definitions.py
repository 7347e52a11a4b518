"""RabbitMQ's definitions as values: what a broker holds, one virtual host out of it, what differs afterwards. Pure.

Definitions are JSON as the management API exports it: lists of objects by kind. Messages name an object by its key and
never quote one: users carry the hashes of their passwords.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Definitions = dict[str, Any]

_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "vhosts": ("name",),
    "users": ("name",),
    "permissions": ("vhost", "user"),
    "topic_permissions": ("vhost", "user", "exchange"),
    "queues": ("vhost", "name"),
    "exchanges": ("vhost", "name"),
    "bindings": ("vhost", "source", "destination_type", "destination", "routing_key", "arguments"),
    "policies": ("vhost", "name"),
    "parameters": ("vhost", "component", "name"),
    "global_parameters": ("name",),
}
"""Every kind of object there is, and what tells two of a kind apart."""
_OF_CLUSTER: Final = frozenset(("cluster_name", "internal_cluster_id", "cluster_tags"))
"""Global parameters that name a cluster: each has its own."""
_LIVE: Final = frozenset(("shovel", "federation-upstream", "federation-upstream-set"))
"""Parameters that connect to other brokers as soon as they are there, and move messages."""
NAMED: Final = 20


@dataclass(frozen=True)
class VirtualHost:
    """Restrict a restore to one virtual host of the backup, under another name if ``new_name`` is one."""

    name: str
    new_name: str = ""

    @property
    def target(self) -> str:
        return self.new_name or self.name


@dataclass(frozen=True)
class ObjectDifference:
    """``what`` is the kind and key of an object; ``why`` is ``missing`` or ``different``."""

    what: str
    why: str


def own_objects(found: Definitions, *, user: str, virtual_host: str = "") -> list[str]:
    """What a broker holds besides what a new one does, and besides the ``user`` who asks: empty for an unused one.

    With a ``virtual_host``, what it holds alone.
    """
    return [_shown(kind, item) for kind, item in _objects(found) if _is_own(kind, item, user, virtual_host)]


def _is_own(kind: str, item: dict[str, Any], user: str, virtual_host: str) -> bool:
    if virtual_host:
        return item.get("vhost") == virtual_host and kind not in ("permissions", "topic_permissions")
    if kind == "users":
        return item.get("name") not in (user, "guest")
    if kind == "vhosts":
        return item.get("name") != "/"
    # Permissions come with users; global parameters with the broker itself.
    return kind in ("queues", "exchanges", "bindings", "policies", "parameters")


def only_virtual_host(
    wanted: Definitions, choice: VirtualHost, users: frozenset[str]
) -> tuple[Definitions, list[str]]:
    """The objects of one virtual host under its new name, and what is left out of them, by kind and key.

    Users and global parameters are everybody's and never part of it. Left out are permissions of users that the broker
    (``users``) does not have, and what would move messages from or to other brokers.
    """
    kept: Definitions = {"vhosts": [], **{kind: [] for kind in _KEYS if "vhost" in _KEYS[kind]}}
    left_out = []
    for kind, item in _objects(wanted):
        if kind == "vhosts" and item.get("name") == choice.name:
            kept["vhosts"].append(item | {"name": choice.target})
        elif item.get("vhost") != choice.name:
            continue
        elif _is_left_out(kind, item, users):
            left_out.append(_shown(kind, item))
        else:
            kept[kind].append(item | {"vhost": choice.target})
    return kept, left_out


def _is_left_out(kind: str, item: dict[str, Any], users: frozenset[str]) -> bool:
    if kind in ("permissions", "topic_permissions"):
        return item.get("user") not in users
    return kind == "parameters" and item.get("component") in _LIVE


def missing_objects(wanted: Definitions, found: Definitions) -> list[ObjectDifference]:
    """Objects of the backup that the broker lacks or has otherwise. What the broker has besides is no difference."""
    there = {(kind, _key(kind, item)): item for kind, item in _objects(found)}
    differences = []
    for kind, item in _objects(wanted):
        if kind == "global_parameters" and item.get("name") in _OF_CLUSTER:
            continue
        other = there.get((kind, _key(kind, item)))
        if other is None or not _same(item, other):
            why = "missing" if other is None else "different"
            differences.append(ObjectDifference(_shown(kind, item), why))
    return differences


def _same(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    """A newer broker tells more of an object than the one that was exported: that is no difference."""
    return all(name in found and found[name] == value for name, value in wanted.items())


def _objects(of: Definitions) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in _KEYS:
        for item in of.get(kind) or []:
            yield kind, item


def _key(kind: str, item: dict[str, Any]) -> str:
    return json.dumps([item.get(name) for name in _KEYS[kind]], sort_keys=True)


def _shown(kind: str, item: dict[str, Any]) -> str:
    told = " ".join(
        repr(item[name])
        for name in _KEYS[kind]
        if item.get(name) not in (None, "", {}) and name != "arguments"
    )
    return f"{kind} {told}"


def listed(objects: list[str]) -> str:
    """The first of them as text, a line each, and how many more there are."""
    lines = [f"  {each}" for each in objects[:NAMED]]
    return "\n".join(lines + ([f"  and {len(objects) - NAMED} more"] if len(objects) > NAMED else []))

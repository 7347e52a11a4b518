"""Which objects of a Kubernetes namespace are kept, and where: pure decisions with their reasons (sources §6).

Kept is what somebody declared and nothing else makes anew. What passes by itself, what a controller computes from
other objects, and what would run a second time is left out. ``docs/how-to/kubernetes.md`` says the same to people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

KubernetesObject = Mapping[str, Any]
"""As the API's JSON; at least ``metadata.name`` is there."""

NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RESOURCE_PATTERN: Final = re.compile(r"\*\.[a-z0-9.-]+|[a-z0-9-]+(\.[a-z0-9.-]+)?")
"""``secrets`` (of whatever group), ``deployments.apps``, or ``*.cert-manager.io``: all of a group."""

PASSING: Final[Mapping[str, str]] = {
    "events": "they say what happened, and are gone after an hour",
    "leases.coordination.k8s.io": "locks, renewed every few seconds by who holds them",
    "csistoragecapacities.storage.k8s.io": "computed by storage drivers",
    "*.metrics.k8s.io": "measurements of this moment",
    "*.custom.metrics.k8s.io": "measurements of this moment",
    "*.external.metrics.k8s.io": "measurements of this moment",
    "*.extensions": "an old name for objects that other groups have too",
}
"""Resources left out unless the policy includes them by name, and why."""

_MADE_BY_OWNER: Final = frozenset(
    {
        "pods",
        "replicasets.apps",
        "controllerrevisions.apps",
        "jobs.batch",
        "endpointslices.discovery.k8s.io",
        "resourceclaims.resource.k8s.io",
    }
)
"""What Kubernetes itself makes from another object. Not so a Secret that an operator owns: it may hold a password
made up once, so whatever is not in this list is kept, owned or not."""

_LONGEST_NAME: Final = 255
_SUFFIX: Final = ".json"


@dataclass(frozen=True, order=True)
class Resource:
    """A namespaced kind of object. ``group`` is empty for the core group; ``has_status`` says that the status is a
    subresource: what is applied never sets it."""

    group: str
    name: str
    version: str
    kind: str
    has_status: bool

    @property
    def label(self) -> str:
        """As kubectl names it: ``secrets``, ``deployments.apps``."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


NAMESPACES: Final = Resource("", "namespaces", "v1", "Namespace", has_status=True)
"""The one resource that lies in no namespace and is kept all the same, of each namespace its own object."""


@dataclass(frozen=True)
class ResourceChoice:
    """Which resources are wanted: patterns as of ``RESOURCE_PATTERN``. Without ``include``: all but ``PASSING``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def asks_for(self, group: str) -> bool:
        """Whether anything of that group may be wanted; no one else's API need answer."""
        if f"*.{group}" in self.exclude:
            return False
        if not self.include:
            return f"*.{group}" not in PASSING
        return any(_group_of(pattern) in ("", group) for pattern in self.include)

    def takes(self, resource: Resource) -> bool:
        if _any_matches(self.exclude, resource):
            return False
        return _any_matches(self.include, resource) if self.include else not _any_matches(PASSING, resource)

    def missing(self, resources: Iterable[Resource]) -> list[str]:
        """What is included and not there, sorted."""
        found = list(resources)
        return sorted(
            pattern for pattern in self.include if not any(_matches(pattern, resource) for resource in found)
        )


def discovered(lists: Iterable[tuple[str, str, list[Mapping[str, Any]]]]) -> list[Resource]:
    """The namespaced resources that can be listed, from group, version and ``resources`` of each ``APIResourceList``.

    The versions of a group come with the preferred one first, and the first one that has a resource wins: some are
    not in the preferred version. Services come first in the answer, for ``reason_left_out``.
    """
    found: dict[tuple[str, str], Resource] = {}
    for group, version, resources in lists:
        names = {str(resource.get("name")) for resource in resources}
        for resource in resources:
            name, verbs = str(resource.get("name")), resource.get("verbs") or ()
            if resource.get("namespaced") and "/" not in name and "list" in verbs:
                kind, has_status = str(resource.get("kind")), f"{name}/status" in names
                found.setdefault((group, name), Resource(group, name, version, kind, has_status))
    return sorted(found.values(), key=lambda resource: (resource.label != "services", resource))


def reason_left_out(resource: Resource, item: KubernetesObject, selecting: frozenset[str]) -> str:
    """Why an object is not kept; empty if it is. ``selecting`` names the namespace's services that have a selector."""
    label, name = resource.label, item["metadata"]["name"]
    if label in _MADE_BY_OWNER and _is_controlled(item):
        return "its owner makes it anew"
    if label in ("jobs.batch", "pods") and _is_finished(item):
        return "it has ended, and would run again"
    if label == "endpoints" and name in selecting:
        return "computed from the selector of its service"
    if label == "configmaps" and name == "kube-root-ca.crt":
        return "published into every namespace by its cluster"
    return ""


def services_that_select(items: Iterable[KubernetesObject]) -> frozenset[str]:
    """The names of the services that have a selector: only those get computed endpoints."""
    return frozenset(item["metadata"]["name"] for item in items if (item.get("spec") or {}).get("selector"))


def object_path(namespace: str, resource: Resource, name: str) -> bytes:
    """Where an object lies: ``shop/apps/deployments/web.json``, with ``core`` for the group without a name.

    Without the version: a cluster's upgrade changes it, and the object says it. Quoted as in a URL: names may hold
    ``:`` and more, and never ``%``. What no file name can hold is cut, and told apart by its SHA-256.
    """
    names = (namespace, resource.group or "core", resource.name, name)
    *folders, last = map(_quoted, names)
    return "/".join([*folders, _shortened(last) + _SUFFIX]).encode()


def _quoted(name: str) -> str:
    quoted = quote(name, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _shortened(name: str) -> str:
    if len(name) + len(_SUFFIX) <= _LONGEST_NAME:
        return name
    digest = sha256(name.encode()).hexdigest()
    return f"{name[: _LONGEST_NAME - len(_SUFFIX) - len(digest) - 1]}%{digest}"


def _matches(pattern: str, resource: Resource) -> bool:
    name = pattern.partition(".")[0]
    return name in ("*", resource.name) and _group_of(pattern) in ("", resource.group)


def _any_matches(patterns: Iterable[str], resource: Resource) -> bool:
    return any(_matches(pattern, resource) for pattern in patterns)


def _group_of(pattern: str) -> str:
    return pattern.partition(".")[2]


def _is_controlled(item: KubernetesObject) -> bool:
    return any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or ())


def _is_finished(item: KubernetesObject) -> bool:
    status = item.get("status") or {}
    conditions = status.get("conditions") or ()
    return status.get("phase") in ("Succeeded", "Failed") or any(
        condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        for condition in conditions
    )

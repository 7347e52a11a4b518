"""The objects of namespaces over Kubernetes' API, read with a service account that can change nothing (sources §6).

What there is is asked of the API itself (discovery), so custom resources come along; what may not be listed is an
error or a finding, never left out in silence. Which objects are kept, and how: ``lifeboat.model.kubernetes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from lifeboat import clock
from lifeboat.adapters.http_answer import Answer, refuse_too_much
from lifeboat.adapters.http_export import Export, written
from lifeboat.adapters.http_session import HttpSession
from lifeboat.adapters.tree import FrozenView
from lifeboat.errors import SourceDenied, SourceError, SourceMissing, SourceUnreachable
from lifeboat.model.index import IndexFinding
from lifeboat.model.kubernetes import (
    NAMESPACES,
    KubernetesObject,
    Resource,
    ResourceChoice,
    discovered,
    object_path,
    reason_left_out,
    services_that_select,
)
from lifeboat.model.kubernetes_applicable import applicable

PAGE: Final = 500
"""Objects asked for at a time, as kubectl does."""
_FORBIDDEN: Final = 403
_EXPIRED: Final = 410
_BEGINNINGS: Final = 4
"""How often a list is begun whose pages expire: a server remembers its state for five minutes by default."""
_HOW_TO: Final = "The role that it needs is in docs/how-to/kubernetes.md."


@dataclass(frozen=True)
class KubernetesExport(Export):
    """A cluster; the endpoint's URL is the API server's. ``may_leave_out``: what may not be listed is a finding."""

    namespaces: tuple[str, ...]
    choice: ResourceChoice
    may_leave_out: bool = False
    page: int = PAGE

    def capture(self) -> FrozenView:
        """One file per object, equal byte for byte while nobody declares anything anew."""
        begun = clock.utc_now()
        with self.endpoint.session() as session, _explained():
            resources = self._resources(session)
            found = [_Namespace(self, session, name).read(resources) for name in self.namespaces]
        denied = tuple(label for namespace in found for label in namespace.denied)
        files = {path: data for namespace in found for path, data in namespace.files.items()}
        return self.view(files, begun, self._findings(denied, sum(namespace.listed for namespace in found)))

    def _resources(self, session: HttpSession) -> list[Resource]:
        """The resources wanted. Raises ``SourceMissing`` when one that the policy names is not there."""
        found = discovered(self._lists(session))
        if missing := self.choice.missing(found):
            raise SourceMissing(
                f"{self.label}: the cluster has no {', '.join(missing)} that can be listed in a namespace.",
                hint="Compare `include` in the policy with `kubectl api-resources --namespaced`.",
            )
        return [resource for resource in found if self.choice.takes(resource)]

    def _lists(self, session: HttpSession) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
        yield "", "v1", _asked(session, "/api/v1", "resources")
        for group in _asked(session, "/apis", "groups"):
            name = str(group.get("name"))
            if not self.choice.asks_for(name):
                continue
            preferred = (group.get("preferredVersion") or {}).get("version")
            versions = [str(version.get("version")) for version in group.get("versions") or ()]
            for version in sorted(versions, key=lambda version: version != preferred):
                yield name, version, _group_resources(session, name, version)

    def _findings(self, denied: tuple[str, ...], listed: int) -> tuple[IndexFinding, ...]:
        """Raises ``SourceDenied`` unless the policy takes it as a finding, and something could be listed."""
        if not denied:
            return ()
        message = f"the account may not read {', '.join(denied)}"
        if not self.may_leave_out or not listed:
            hint = "Grant it, or take the resource out of the policy with `exclude`."
            raise SourceDenied(f"{self.label}: {message}.", hint=f"{hint} {_HOW_TO}")
        return (IndexFinding(code="resource-unreadable", clause="P1", message=f"{message}: in no backup"),)


@dataclass
class _Namespace:
    """One namespace, and what was read of it."""

    export: KubernetesExport
    session: HttpSession
    name: str
    files: dict[bytes, bytes] = field(default_factory=dict)
    denied: list[str] = field(default_factory=list)
    listed: int = 0
    """Resources that could be listed."""

    def read(self, resources: list[Resource]) -> _Namespace:
        """``resources`` have services first. Raises ``SourceMissing`` when there is no such namespace."""
        # Lists of a namespace that is not there are empty and well: only it itself can say so.
        self._add(NAMESPACES, self._own_object())
        selecting: frozenset[str] = frozenset()
        for resource in resources:
            items = self._list(resource)
            if resource.label == "services":
                selecting = services_that_select(items)
            self._add(resource, [item for item in items if not reason_left_out(resource, item, selecting)])
        return self

    def _add(self, resource: Resource, items: list[KubernetesObject]) -> None:
        for item in items:
            path = object_path(self.name, resource, item["metadata"]["name"])
            self.files[path] = written(applicable(resource, item))
        refuse_too_much(
            self.export.label, sum(map(len, self.files.values())), self.export.endpoint.size_limit
        )

    def _own_object(self) -> list[KubernetesObject]:
        try:
            answer = self.session.get(f"/api/v1/namespaces/{self.name}", also=frozenset({_FORBIDDEN}))
        except SourceMissing:
            raise SourceMissing(
                f"{self.export.label}: there is no namespace {self.name!r}.",
                hint="Check `namespaces` in the policy, and that its url is the right cluster's.",
            ) from None
        return [] if self._is_denied(answer, NAMESPACES) else [_checked(answer, _object(answer))]

    def _list(self, resource: Resource) -> list[KubernetesObject]:
        """All objects as of one moment; none if that may not be listed. Raises ``SourceError`` if pages expire."""
        for _ in range(_BEGINNINGS):
            items = self._pages(resource)
            if items is not None:
                return items
        raise SourceUnreachable(
            f"{self.export.label}: the pages of {self._of(resource)} expired {_BEGINNINGS} times before the last.",
            hint="The API server is slow or forgets too early (etcd's compaction); repeat the run when it is idle.",
        )

    def _pages(self, resource: Resource) -> list[KubernetesObject] | None:
        """None when the API server no longer knows the moment of the first page (410): begin again."""
        items: list[KubernetesObject] = []
        path, size, following = _collection(resource, self.name), 0, ""
        while True:
            query = {"limit": str(self.export.page)} | ({"continue": following} if following else {})
            answer = self.session.get(path, query, also=frozenset({_FORBIDDEN, _EXPIRED}))
            if answer.status == _EXPIRED:
                return None
            if self._is_denied(answer, resource):
                return []
            size += len(answer.body)
            refuse_too_much(answer.label, size, self.export.endpoint.size_limit)
            found = _object(answer)
            items += [_checked(answer, item) for item in _mappings(answer, found, "items")]
            following = (found.get("metadata") or {}).get("continue") or ""
            if not following:
                self.listed += 1
                return items

    def _is_denied(self, answer: Answer, resource: Resource) -> bool:
        if answer.status == _FORBIDDEN:
            self.denied.append(self._of(resource))
        return answer.status == _FORBIDDEN

    def _of(self, resource: Resource) -> str:
        return f"{resource.label} of {self.name}"


def _collection(resource: Resource, namespace: str) -> str:
    top = "/apis" if resource.group else "/api"
    return f"{top}/{resource.api_version}/namespaces/{namespace}/{quote(resource.name, safe='')}"


def _group_resources(session: HttpSession, group: str, version: str) -> list[Mapping[str, Any]]:
    try:
        return _asked(session, f"/apis/{quote(group)}/{quote(version)}", "resources")
    except SourceUnreachable as error:
        # One extension API server that is down must not pass for a cluster without its objects.
        raise SourceUnreachable(
            error.message,
            hint=f"Look at `kubectl get apiservices`. A group that nobody needs: `exclude: ['*.{group}']`.",
        ) from None


def _asked(session: HttpSession, path: str, key: str) -> list[Mapping[str, Any]]:
    answer = session.get(path)
    return _mappings(answer, _object(answer), key)


def _object(answer: Answer) -> dict[str, Any]:
    found = answer.json()
    if not isinstance(found, dict):
        raise _strange(answer)
    return found


def _mappings(answer: Answer, found: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The list of mappings under ``key``; an empty one is null in some answers. Raises ``SourceError``."""
    items = (found[key] or []) if key in found else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _strange(answer)
    return items


def _checked(answer: Answer, item: KubernetesObject) -> KubernetesObject:
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise _strange(answer)
    return item


def _strange(answer: Answer) -> SourceError:
    return SourceError(
        f"{answer.label}: the answer is JSON, but not what Kubernetes' API says here.",
        hint="Check that the url in the policy is that of the API server, without /api.",
    )


@contextmanager
def _explained() -> Iterator[None]:
    """What 401 or 403 mean where the request is one that every account may make."""
    try:
        yield
    except SourceDenied as error:
        raise SourceDenied(
            error.message,
            hint="Check the token in the source's block: it may have expired, or its service account or Secret be "
            f"gone. {_HOW_TO}",
        ) from None

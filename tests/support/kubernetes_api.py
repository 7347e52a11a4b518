"""A small server that speaks the wire protocol of a Kubernetes API server, for what a real one is too well-behaved.

Discovery, lists in pages of one moment with continue tokens that can be made to expire, `Status` answers for 401, 403,
404, 410 and 429 with Retry-After, a bearer token that is checked, TLS with a CA of its own. The official Python client
works against it too (``test_kubernetes_stand_in.py``): it is not shaped to ours.

What it cannot prove: that the rules of ``lifeboat.model.kubernetes_applicable`` make an object that an API server
accepts (nothing is validated here, nothing is filled in, no controller runs); RBAC beyond a list of what is forbidden;
aggregated APIs; admission; what really happens when etcd compacts. ``test_kubernetes.py`` of the end-to-end tests asks
a real API server for these, where its programs are there.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.http_service import HttpService, Reply, as_json, http_service, make_certificates

from lifeboat.adapters.http_session import BearerToken, Endpoint

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "9", "controller": True}
TOKEN = "S3CRET-token.of_a-service-account"


@dataclass(frozen=True)
class Served:
    """A resource as discovery tells of it; ``status``: with a subresource of that name. ``version`` as served first."""

    group: str
    version: str
    name: str
    kind: str
    namespaced: bool = True
    status: bool = False
    verbs: tuple[str, ...] = ("get", "list", "watch", "create")

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


SERVED = (
    Served("", "v1", "namespaces", "Namespace", namespaced=False, status=True),
    Served("", "v1", "bindings", "Binding", verbs=("create",)),
    Served("", "v1", "configmaps", "ConfigMap"),
    Served("", "v1", "endpoints", "Endpoints"),
    Served("", "v1", "events", "Event"),
    Served("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", status=True),
    Served("", "v1", "pods", "Pod", status=True),
    Served("", "v1", "secrets", "Secret"),
    Served("", "v1", "services", "Service", status=True),
    Served("apps", "v1", "deployments", "Deployment", status=True),
    Served("apps", "v1", "replicasets", "ReplicaSet", status=True),
    # In 1.20 and before, a group's preferred version did not have all that the group has.
    Served("batch", "v1", "jobs", "Job", status=True),
    Served("batch", "v1beta1", "cronjobs", "CronJob", status=True),
    Served("batch", "v1beta1", "jobs", "Job", status=True),
    Served("authorization.k8s.io", "v1", "localsubjectaccessreviews", "Review", verbs=("create",)),
    Served("coordination.k8s.io", "v1", "leases", "Lease"),
    Served("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", verbs=("get", "list")),
    Served("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Served("fleet.example", "v1", "vehicles", "Vehicle", status=True),
    Served("fleet.example", "v1", "garages", "Garage"),
)


@dataclass
class KubernetesAPI:
    """``forbidden`` holds resources as ``roles.rbac.authorization.k8s.io``; ``broken`` group versions answer 503."""

    objects: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """By group, resource and namespace; those of a namespace itself under ``("", "namespaces", "")``."""
    forbidden: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    expiring: int = 0
    """How many of the next continue tokens that are shown have expired."""
    busy: int = 0
    """How many of the next requests are answered with 429."""
    served: tuple[Served, ...] = SERVED
    service: HttpService | None = None
    ca_file: Path | None = None
    _moments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        assert self.service
        return self.service.url

    @property
    def paths(self) -> list[str]:
        assert self.service
        return [path for path, _ in self.service.asked]

    def endpoint(self, **changes: Any) -> Endpoint:
        settings = {"url": self.url, "credential": BearerToken(TOKEN), "ca_file": str(self.ca_file)}
        return Endpoint(**{**settings, "first_wait": 0.01, **changes})

    def add(self, label: str, namespace: str, name: str, **fields: Any) -> dict[str, Any]:
        """Declare an object of the resource ``label``; the server fills in what a server does."""
        resource, _, group = label.partition(".")
        known = self._find(group, resource)
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(100 + sum(map(len, self.objects.values()))),
            "creationTimestamp": "2026-11-25T00:00:00Z",
            "managedFields": [{"manager": "kubectl", "operation": "Update"}],
            **fields.pop("metadata", {}),
        }
        made = {**fields, "metadata": metadata}
        if group.endswith(
            ".example"
        ):  # custom resources come with their type also in lists, built-in ones do not
            made |= {"apiVersion": known.group_version, "kind": known.kind}
        self.objects.setdefault((group, resource, namespace), []).append(made)
        return made

    def add_namespace(self, name: str) -> None:
        self.objects.setdefault(("", "namespaces", ""), []).append(
            {
                "metadata": {"name": name, "uid": "7", "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }
        )

    def answer(self, target: str, headers: dict[str, str]) -> Reply:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        if self.busy:
            self.busy -= 1
            reply = _status(429, "TooManyRequests", "please try again later")
            reply.headers["Retry-After"] = "1"
            return reply
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        match steps:
            case ["version"]:
                return as_json({"major": "1", "minor": "20", "gitVersion": "v1.20.2"})
            case ["api"]:
                return as_json({"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                return as_json(self._groups())
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group, version]:
                return self._resources(group, version)
            case ["api", _, *rest]:
                return self._objects("", rest, query)
            case ["apis", group, _, *rest]:
                return self._objects(group, rest, query)
        return _status(404, "NotFound", "the server could not find the requested resource")

    def _find(self, group: str, resource: str) -> Served:
        return next(known for known in self.served if (known.group, known.name) == (group, resource))

    def _groups(self) -> dict[str, Any]:
        groups = []
        for group in dict.fromkeys(known.group for known in self.served if known.group):
            versions = dict.fromkeys(known.version for known in self.served if known.group == group)
            told = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
            # The preferred one is not always told first.
            groups.append({"name": group, "versions": told[::-1], "preferredVersion": told[0]})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _resources(self, group: str, version: str) -> Reply:
        if f"{group}/{version}" in self.broken:
            return _status(503, "ServiceUnavailable", "service unavailable")
        found = []
        for known in self.served:
            if (known.group, known.version) == (group, version):
                told = {"name": known.name, "singularName": "", "namespaced": known.namespaced}
                found.append({**told, "kind": known.kind, "verbs": list(known.verbs)})
                if known.status:
                    found.append({**found[-1], "name": f"{known.name}/status", "verbs": ["get", "patch"]})
        if not found:
            return _status(404, "NotFound", "the server could not find the requested resource")
        group_version = f"{group}/{version}" if group else version
        return as_json({"kind": "APIResourceList", "groupVersion": group_version, "resources": found})

    def _objects(self, group: str, rest: list[str], query: dict[str, str]) -> Reply:
        match rest:
            case ["namespaces", name]:
                return self._one(self._find("", "namespaces"), "", name)
            case ["namespaces", namespace, resource]:
                return self._list(self._find(group, resource), namespace, query)
            case ["namespaces", namespace, resource, name]:
                return self._one(self._find(group, resource), namespace, name)
        return _status(404, "NotFound", "the server could not find the requested resource")

    def _refused(self, known: Served) -> Reply | None:
        label = f"{known.name}.{known.group}" if known.group else known.name
        if label in self.forbidden:
            return _status(403, "Forbidden", f"{label} is forbidden: User cannot list resource")
        return None

    def _one(self, known: Served, namespace: str, name: str) -> Reply:
        for item in self.objects.get((known.group, known.name, namespace), []):
            if item["metadata"]["name"] == name:
                whole = {"apiVersion": known.group_version, "kind": known.kind, **item}
                return self._refused(known) or as_json(whole)
        return self._refused(known) or _status(404, "NotFound", f'{known.name} "{name}" not found')

    def _list(self, known: Served, namespace: str, query: dict[str, str]) -> Reply:
        if refused := self._refused(known):
            return refused
        if token := query.get("continue"):
            shown = json.loads(base64.urlsafe_b64decode(token))
            if self.expiring:
                self.expiring -= 1
                self._moments.pop(shown["moment"], None)
            if shown["moment"] not in self._moments:
                reply = _status(410, "Expired", "The provided continue parameter is too old")
                return reply
            moment, begin = shown["moment"], shown["begin"]
        else:
            moment, begin = f"{len(self._moments)}-{known.name}-{len(self.paths)}", 0
            items = self.objects.get((known.group, known.name, namespace), [])
            self._moments[moment] = copy.deepcopy(sorted(items, key=lambda item: item["metadata"]["name"]))
        return as_json(self._page(known, moment, begin, int(query.get("limit", 0))))

    def _page(self, known: Served, moment: str, begin: int, limit: int) -> dict[str, Any]:
        items = self._moments[moment]
        end = begin + limit if limit else len(items)
        metadata: dict[str, Any] = {"resourceVersion": "4711"}
        if end < len(items):
            token = json.dumps({"moment": moment, "begin": end}).encode()
            metadata |= {"continue": base64.urlsafe_b64encode(token).decode()}
            metadata |= {"remainingItemCount": len(items) - end}
        return {
            "kind": f"{known.kind}List",
            "apiVersion": known.group_version,
            "metadata": metadata,
            "items": items[begin:end] or None,
        }


def _status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return as_json({**body, "message": message, "reason": reason, "code": code}, code)


@contextlib.contextmanager
def kubernetes_api(folder: Path) -> Iterator[KubernetesAPI]:
    """A running one over TLS, empty; ``folder`` takes its certificates."""
    ca_file, certificate = make_certificates(folder)
    made = KubernetesAPI(ca_file=ca_file)
    with http_service(made.answer, certificate) as service:
        made.service = service
        yield made


def furnish(made: KubernetesAPI, namespace: str = "shop") -> None:
    """A namespace with something of every kind that matters."""
    made.add_namespace(namespace)
    controlled = {"ownerReferences": [OWNER]}
    made.add("configmaps", namespace, "settings", data={"b": "2", "a": "ümläut 🚢"})
    made.add("configmaps", namespace, "kube-root-ca.crt", data={"ca.crt": "PEM"})
    made.add("secrets", namespace, "database", type="Opaque", data={"password": "UzNDUkVU"})
    made.add("secrets", namespace, "made-up-once", metadata=dict(controlled), data={"key": "UzNDUkVU"})
    made.add("services", namespace, "web", spec={"selector": {"app": "web"}, "clusterIP": "10.0.0.7"})
    made.add("endpoints", namespace, "web", subsets=[{"addresses": [{"ip": "10.1.2.3"}]}])
    made.add("endpoints", namespace, "outside", subsets=[{"addresses": [{"ip": "192.0.2.7"}]}])
    made.add("services", namespace, "outside", spec={"clusterIP": "10.0.0.8"})
    made.add("events", namespace, "web.17a", reason="Pulled")
    made.add("deployments.apps", namespace, "web", spec={"replicas": 2}, status={"readyReplicas": 2})
    made.add("replicasets.apps", namespace, "web-5d", metadata=dict(controlled), spec={})
    made.add("pods", namespace, "web-5d-abc", metadata=dict(controlled), spec={"nodeName": "n1"})
    made.add("pods", namespace, "alone", spec={"nodeName": "n1"}, status={"phase": "Running"})
    made.add("cronjobs.batch", namespace, "nightly", spec={"schedule": "0 0 * * *"})
    made.add("roles.rbac.authorization.k8s.io", namespace, "shop:Reader", rules=[])
    made.add("leases.coordination.k8s.io", namespace, "leader", spec={"holderIdentity": "web-5d-abc"})
    made.add("vehicles.fleet.example", namespace, "v1", spec={"wheels": 4}, status={"seen": "now"})
    made.add("garages.fleet.example", namespace, "g1", spec={}, status={"number": 7})

"""A Kubernetes object as ``kubectl apply`` takes it, in its own cluster or another one: pure rewriting.

Removed is what an API server fills in by itself. Some of it differs at every reading (``resourceVersion``), some
would have an apply refused (``uid``, ``clusterIP``), some would harm: the garbage collector deletes an object whose
owner's uid nobody has. Velero's restore takes the same things away (its ``resetMetadataAndStatus``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from lifeboat.model.kubernetes import KubernetesObject, Resource

_SERVER_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_SERVER_ANNOTATIONS: Final = (
    # What autoscaling/v1 has no status fields for.
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/current-metrics",
    "kubernetes.io/service-account.uid",
    # A claim that calls itself bound to a volume that is not there is lost for good.
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
)
_JOB_LABELS: Final = ("batch.kubernetes.io/controller-uid", "controller-uid")
_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"  # noqa: S105 - a type, not a token
_TOKEN_KEYS: Final = ("ca.crt", "namespace", "token")


def applicable(resource: Resource, item: KubernetesObject) -> dict[str, Any]:
    """The object without what its cluster filled in; ``item`` stays as it is.

    Its status goes only where that is a subresource: elsewhere it is a field like any other, and perhaps the only
    place of what it says. ``apiVersion`` and ``kind``, which the items of a list lack, are there.
    """
    made = copy.deepcopy(dict(item))
    made.setdefault("apiVersion", resource.api_version)
    made.setdefault("kind", resource.kind)
    if resource.has_status:
        made.pop("status", None)
    if clean := _CLUSTER_BOUND.get(resource.label):
        clean(made)
    _without(made["metadata"], _SERVER_METADATA)
    _without_inside(made["metadata"], "annotations", _SERVER_ANNOTATIONS)
    return made


def _service(made: dict[str, Any]) -> None:
    """The address is the cluster's to give, unless there shall be none; node ports are kept, others dial them."""
    spec = made.get("spec") or {}
    if spec.get("clusterIP") != "None":
        _without(spec, ("clusterIP", "clusterIPs"))


def _claim(made: dict[str, Any]) -> None:
    """A volume that was made for the claim is made again, empty; one that somebody chose stays chosen."""
    annotations = made["metadata"].get("annotations") or {}
    if any(name.endswith("kubernetes.io/storage-provisioner") for name in annotations):
        _without(made.get("spec") or {}, ("volumeName",))


def _job(made: dict[str, Any]) -> None:
    """The selector names the job's uid; Kubernetes refuses a job that brings one, unless it says so itself."""
    spec = made.get("spec") or {}
    if spec.get("manualSelector"):
        return
    _without(spec, ("selector",))
    for metadata in (made["metadata"], (spec.get("template") or {}).get("metadata") or {}):
        _without_inside(metadata, "labels", _JOB_LABELS)


def _pod(made: dict[str, Any]) -> None:
    _without(made.get("spec") or {}, ("nodeName",))


def _secret(made: dict[str, Any]) -> None:
    """A service account's token holds for its uid alone; an empty one of that type is filled by Kubernetes."""
    if made.get("type") == _TOKEN_TYPE:
        _without_inside(made, "data", _TOKEN_KEYS)


_CLUSTER_BOUND: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {
    "services": _service,
    "persistentvolumeclaims": _claim,
    "jobs.batch": _job,
    "pods": _pod,
    "secrets": _secret,
}


def _without(mapping: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        mapping.pop(key, None)


def _without_inside(mapping: dict[str, Any], name: str, keys: tuple[str, ...]) -> None:
    """Take keys out of the mapping ``name`` in ``mapping``, and it too once nothing is left."""
    inside = mapping.get(name)
    if isinstance(inside, dict) and any(key in inside for key in keys):
        _without(inside, keys)
        if not inside:
            del mapping[name]

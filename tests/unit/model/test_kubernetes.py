"""Which Kubernetes objects are kept, where they lie, and what is taken out of them."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeboat.model.kubernetes import (
    PASSING,
    Resource,
    ResourceChoice,
    discovered,
    object_path,
    reason_left_out,
    services_that_select,
)
from lifeboat.model.kubernetes_applicable import applicable


def resource(label: str, version: str = "v1", kind: str = "Thing", has_status: bool = True) -> Resource:
    name, _, group = label.partition(".")
    return Resource(group, name, version, kind, has_status)


def item(name: str = "x", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **fields.pop("metadata", {})}
    return {"metadata": metadata, **fields}


def told(name: str, *verbs: str, namespaced: bool = True) -> dict[str, Any]:
    return {"name": name, "namespaced": namespaced, "kind": "Thing", "verbs": verbs or ("get", "list")}


# --- what there is ----------------------------------------------------------------------------------------


def test_discovery_takes_what_can_be_listed_in_a_namespace_from_the_first_version_that_has_it() -> None:
    found = discovered(
        [
            ("", "v1", [told("secrets"), told("services"), told("nodes", namespaced=False)]),
            ("", "v1", [told("bindings", "create"), told("pods/log", "get", "list")]),
            ("batch", "v1", [told("jobs"), told("jobs/status")]),
            ("batch", "v1beta1", [told("jobs"), told("cronjobs")]),
        ]
    )
    assert [(known.label, known.api_version, known.has_status) for known in found] == [
        ("services", "v1", False),
        ("secrets", "v1", False),
        ("cronjobs.batch", "batch/v1beta1", False),
        ("jobs.batch", "batch/v1", True),
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ((), (), ["certificates.cert-manager.io", "pods", "secrets"]),
        ((), ("secrets",), ["certificates.cert-manager.io", "pods"]),
        ((), ("*.cert-manager.io",), ["pods", "secrets"]),
        (("secrets", "events"), (), ["events", "events.events.k8s.io", "secrets"]),
        (("events.events.k8s.io",), (), ["events.events.k8s.io"]),
        (("*.metrics.k8s.io", "secrets"), ("secrets",), ["pods.metrics.k8s.io"]),
    ],
)
def test_resources_are_taken_by_name_group_or_both(
    include: tuple[str, ...], exclude: tuple[str, ...], taken: list[str]
) -> None:
    labels = ["certificates.cert-manager.io", "events", "events.events.k8s.io", "ingresses.extensions"]
    labels += ["leases.coordination.k8s.io", "pods", "pods.metrics.k8s.io", "secrets"]
    choice = ResourceChoice(include, exclude)
    assert [label for label in labels if choice.takes(resource(label))] == taken
    # A group that is not asked for has nothing that is taken.
    unasked = {known.partition(".")[2] for known in labels if not choice.asks_for(known.partition(".")[2])}
    assert not [label for label in taken if label.partition(".")[2] in unasked - {""}]


def test_all_that_passes_stands_in_the_document_with_its_reason() -> None:
    document = (Path(__file__).parents[3] / "docs/how-to/kubernetes.md").read_text()
    for pattern, reason in PASSING.items():
        name, _, group = pattern.partition(".")
        assert re.search(
            rf"^\| .*`{re.escape(group if name == '*' else name)}`.* \| {reason} \|$", document, re.M
        )


# --- which objects ----------------------------------------------------------------------------------------


def controlled(name: str = "x", **fields: Any) -> dict[str, Any]:
    return item(name, metadata={"ownerReferences": [{"uid": "9", "controller": True}]}, **fields)


@pytest.mark.parametrize(
    ("label", "found", "reason"),
    [
        ("pods", controlled(), "its owner makes it anew"),
        ("replicasets.apps", controlled(), "its owner makes it anew"),
        ("endpointslices.discovery.k8s.io", controlled(), "its owner makes it anew"),
        ("pods", item(metadata={"ownerReferences": [{"uid": "9"}]}), ""),
        ("secrets", controlled(), ""),
        ("pods.metrics.k8s.io", controlled(), ""),
        ("pods", item(status={"phase": "Succeeded"}), "it has ended, and would run again"),
        ("pods", item(status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), ""),
        (
            "jobs.batch",
            item(status={"conditions": [{"type": "Complete", "status": "True"}]}),
            "it has ended, ",
        ),
        ("jobs.batch", item(status={"conditions": [{"type": "Failed", "status": "True"}]}), "it has ended, "),
        ("jobs.batch", item(status={"conditions": [{"type": "Complete", "status": "False"}]}), ""),
        ("jobs.batch", item(status=None), ""),
        ("endpoints", item("web"), "computed from the selector"),
        ("endpoints", item("outside"), ""),
        ("configmaps", item("kube-root-ca.crt"), "published into every namespace"),
        ("secrets", item("kube-root-ca.crt"), ""),
    ],
)
def test_object_is_left_out_for_a_reason(label: str, found: dict[str, Any], reason: str) -> None:
    selecting = services_that_select(
        [item("web", spec={"selector": {"app": "web"}}), item("outside", spec={}), item("none")]
    )
    given_reason = reason_left_out(resource(label), found, selecting)
    assert given_reason.startswith(reason)
    assert bool(given_reason) is bool(reason)


# --- where they lie ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "name", "path"),
    [
        ("secrets", "database", b"shop/core/secrets/database.json"),
        ("deployments.apps", "web.1", b"shop/apps/deployments/web.1.json"),
        (
            "roles.rbac.authorization.k8s.io",
            "system:x y",
            b"shop/rbac.authorization.k8s.io/roles/system%3Ax%20y.json",
        ),
        ("..", "..", b"shop/core/%2E%2E/%2E%2E.json"),
        ("secrets", "a/../../b\0", b"shop/core/secrets/a%2F..%2F..%2Fb%00.json"),
    ],
)
def test_object_lies_under_its_namespace_group_and_resource(label: str, name: str, path: bytes) -> None:
    known = Resource("", label, "v1", "Thing", False) if label == ".." else resource(label)
    assert object_path("shop", known, name) == path


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=253), unique=True, max_size=20))
def test_any_name_gives_a_path_of_its_own_that_a_file_may_have(names: list[str]) -> None:
    paths = {object_path("shop", resource("secrets"), name) for name in names}
    assert len(paths) == len(names)
    for path in paths:
        *folders, last = path.split(b"/")
        assert folders == [b"shop", b"core", b"secrets"]
        assert len(last) <= 255
        assert b"\0" not in last


# --- what is taken out ------------------------------------------------------------------------------------


def test_object_loses_what_a_server_fills_in_and_keeps_all_else() -> None:
    metadata = {
        "creationTimestamp": "2026-11-25T00:00:00Z",
        "generation": 3,
        "managedFields": [{}],
        "ownerReferences": [{"uid": "9"}],
        "resourceVersion": "5",
        "selfLink": "/x",
        "uid": "7",
        "labels": {"app": "web"},
        "annotations": {"note": "kept", "pv.kubernetes.io/bind-completed": "yes"},
        "finalizers": ["example/guard"],
    }
    before = item(metadata=metadata, spec={"replicas": 2}, status={"readyReplicas": 2})
    untouched = copy.deepcopy(before)
    assert applicable(resource("deployments.apps", kind="Deployment"), before) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "x",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {"note": "kept"},
            "finalizers": ["example/guard"],
        },
        "spec": {"replicas": 2},
    }
    assert before == untouched


def test_status_that_is_no_subresource_is_a_field_like_any_other() -> None:
    known = resource("garages.fleet.example", has_status=False)
    assert applicable(known, item(status={"number": 7}))["status"] == {"number": 7}


def spec_of(label: str, **spec: Any) -> dict[str, Any]:
    return dict(applicable(resource(label), item(spec=spec))["spec"])


def test_address_of_a_service_is_its_clusters_to_give_unless_there_shall_be_none() -> None:
    port = {"port": 80, "nodePort": 30080}
    given_by_cluster = {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [port]}
    assert spec_of("services", **given_by_cluster) == {"ports": [port]}
    headless = {"clusterIP": "None", "clusterIPs": ["None"]}
    assert spec_of("services", **headless) == headless
    assert spec_of("services.serving.knative.dev", **given_by_cluster) == given_by_cluster


def test_claim_forgets_a_volume_that_was_made_for_it_and_no_other() -> None:
    spec = {"volumeName": "pvc-1", "storageClassName": "fast"}
    known = resource("persistentvolumeclaims")
    made_for_it = {"annotations": {"volume.kubernetes.io/storage-provisioner": "disk.csi.azure.com"}}
    found = applicable(known, item(spec=spec, metadata=made_for_it))
    assert (found["spec"], "annotations" in found["metadata"]) == ({"storageClassName": "fast"}, False)
    assert applicable(known, item(spec=spec))["spec"] == spec


def test_job_forgets_its_uid_unless_its_selector_was_written_by_hand() -> None:
    labels = {"controller-uid": "7", "batch.kubernetes.io/controller-uid": "7", "job-name": "x"}
    spec = {
        "selector": {"matchLabels": {"controller-uid": "7"}},
        "template": {"metadata": {"labels": labels}},
    }
    assert spec_of("jobs.batch", **spec) == {"template": {"metadata": {"labels": {"job-name": "x"}}}}
    by_hand = {**spec, "manualSelector": True}
    assert spec_of("jobs.batch", **by_hand) == by_hand


def test_pod_forgets_its_node() -> None:
    assert spec_of("pods", nodeName="n1", containers=[]) == {"containers": []}


def test_token_of_a_service_account_is_emptied_and_other_secrets_are_whole() -> None:
    data = {"token": "S3CRET", "ca.crt": "PEM", "namespace": "c2hvcA=="}
    account = {
        "kubernetes.io/service-account.name": "web",
        "kubernetes.io/service-account.uid": "7",
    }
    token = item(type="kubernetes.io/service-account-token", data=data, metadata={"annotations": account})
    found = applicable(resource("secrets"), token)
    assert "data" not in found
    assert found["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "web"}
    assert applicable(resource("secrets"), item(type="Opaque", data=data))["data"] == data


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=5), VALUES, max_size=4), st.sampled_from(["things.example", "roles.x"])
)
def test_object_taken_out_of_twice_is_the_same(fields: dict[str, Any], label: str) -> None:
    known = resource(label)
    once = applicable(known, {**fields, "metadata": {"name": "x"}})
    assert applicable(known, once) == once
    assert json.loads(json.dumps(once)) == once

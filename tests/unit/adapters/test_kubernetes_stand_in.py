"""The official Python client reads the same from the stand-in: it speaks Kubernetes' protocol, not just ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.kubernetes_api import TOKEN, KubernetesAPI, furnish, kubernetes_api

from lifeboat.adapters.kubernetes import KubernetesExport
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.model.kubernetes import ResourceChoice

client = pytest.importorskip("kubernetes.client", reason="the official client (kubernetes) is not installed")
dynamic = pytest.importorskip("kubernetes.dynamic")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesAPI]:
    with kubernetes_api(tmp_path) as running:
        furnish(running)
        yield running


def connected(cluster: KubernetesAPI, token: str = TOKEN) -> Any:
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = cluster.url, str(cluster.ca_file)
    settings.api_key = {"authorization": f"Bearer {token}"}
    settings.retries = False
    return client.ApiClient(settings)


def test_official_client_reads_pages_of_one_moment(cluster: KubernetesAPI) -> None:
    core = client.CoreV1Api(connected(cluster))
    first = core.list_namespaced_secret("shop", limit=1)
    cluster.add("secrets", "shop", "zz-later")
    second = core.list_namespaced_secret("shop", limit=1, _continue=first.metadata._continue)
    assert [item.metadata.name for item in (*first.items, *second.items)] == ["database", "made-up-once"]
    assert (first.metadata.remaining_item_count, second.metadata._continue) == (1, None)


def test_official_client_is_told_of_an_expired_token_a_refusal_and_a_wrong_token(
    cluster: KubernetesAPI,
) -> None:
    core = client.CoreV1Api(connected(cluster))
    first = core.list_namespaced_secret("shop", limit=1)
    cluster.expiring = 1
    with pytest.raises(client.ApiException) as caught:
        core.list_namespaced_secret("shop", limit=1, _continue=first.metadata._continue)
    assert (caught.value.status, '"reason": "Expired"' in caught.value.body) == (410, True)
    cluster.forbidden = {"secrets"}
    with pytest.raises(client.ApiException) as caught:
        core.list_namespaced_secret("shop")
    assert caught.value.status == 403
    with pytest.raises(client.ApiException) as caught:
        client.CoreV1Api(connected(cluster, "another")).list_namespaced_secret("shop")
    assert caught.value.status == 401


def test_official_client_discovers_and_lists_the_same_objects_as_we_do(cluster: KubernetesAPI) -> None:
    other = dynamic.DynamicClient(connected(cluster))
    view = KubernetesExport(cluster.endpoint(), ("shop",), ResourceChoice()).capture()
    assert isinstance(view.target, CapturedTreeTarget)
    for path, data in view.target.files.items():
        ours = json.loads(data)
        found = other.resources.get(api_version=ours["apiVersion"], kind=ours["kind"])
        namespace = "shop" if found.namespaced else None
        theirs = found.get(name=ours["metadata"]["name"], namespace=namespace).to_dict()
        assert path.split(b"/")[2].decode() == found.name
        assert theirs["metadata"]["uid"]
        assert {**theirs, "metadata": ours["metadata"], "status": 0, "spec": 0} == {
            **ours,
            "status": 0,
            "spec": 0,
        }

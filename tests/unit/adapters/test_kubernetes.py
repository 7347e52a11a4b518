"""Namespaces exported over the wire protocol of a Kubernetes API server: what is asked, kept, and refused."""

from __future__ import annotations

import json
import pickle
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.http_service import Reply, as_json, http_service
from support.kubernetes_api import TOKEN, KubernetesAPI, furnish, kubernetes_api

from lifeboat.adapters.http_session import BearerToken, Endpoint
from lifeboat.adapters.kubernetes import KubernetesExport
from lifeboat.adapters.tree import FrozenView
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.errors import SourceDenied, SourceError, SourceMissing, SourceUnreachable
from lifeboat.model.kubernetes import ResourceChoice


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesAPI]:
    with kubernetes_api(tmp_path) as running:
        furnish(running)
        yield running


def export(
    cluster: KubernetesAPI,
    *namespaces: str,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    may_leave_out: bool = False,
    page: int = 500,
    **changes: Any,
) -> KubernetesExport:
    choice = ResourceChoice(include, exclude)
    return KubernetesExport(
        cluster.endpoint(**changes), namespaces or ("shop",), choice, may_leave_out, page=page
    )


def files(view: FrozenView) -> dict[str, bytes]:
    assert isinstance(view.target, CapturedTreeTarget)
    return {path.decode(): data for path, data in view.target.files.items()}


def captured(cluster: KubernetesAPI, *namespaces: str, **options: Any) -> dict[str, bytes]:
    return files(export(cluster, *namespaces, **options).capture())


def test_export_is_one_file_for_each_object_that_somebody_declared(cluster: KubernetesAPI) -> None:
    assert sorted(captured(cluster)) == [
        "shop/apps/deployments/web.json",
        "shop/batch/cronjobs/nightly.json",
        "shop/core/configmaps/settings.json",
        "shop/core/endpoints/outside.json",
        "shop/core/namespaces/shop.json",
        "shop/core/pods/alone.json",
        "shop/core/secrets/database.json",
        "shop/core/secrets/made-up-once.json",
        "shop/core/services/outside.json",
        "shop/core/services/web.json",
        "shop/fleet.example/garages/g1.json",
        "shop/fleet.example/vehicles/v1.json",
        "shop/rbac.authorization.k8s.io/roles/shop%3AReader.json",
    ]


def test_object_is_what_can_be_applied_again_as_sorted_text(cluster: KubernetesAPI) -> None:
    found = captured(cluster)
    assert found["shop/core/configmaps/settings.json"].decode() == (
        '{\n "apiVersion": "v1",\n "data": {\n  "a": "ümläut 🚢",\n  "b": "2"\n },\n "kind": "ConfigMap",\n'
        ' "metadata": {\n  "name": "settings",\n  "namespace": "shop"\n }\n}\n'
    )
    assert json.loads(found["shop/batch/cronjobs/nightly.json"])["apiVersion"] == "batch/v1beta1"
    assert "status" not in json.loads(found["shop/fleet.example/vehicles/v1.json"])
    assert json.loads(found["shop/fleet.example/garages/g1.json"])["status"] == {"number": 7}
    assert json.loads(found["shop/core/namespaces/shop.json"]) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"labels": {"kubernetes.io/metadata.name": "shop"}, "name": "shop"},
        "spec": {"finalizers": ["kubernetes"]},
    }


def test_export_is_the_same_bytes_while_only_the_servers_own_fields_change(cluster: KubernetesAPI) -> None:
    before = captured(cluster)
    for items in cluster.objects.values():
        items.reverse()
        for item in items:
            item["metadata"] |= {"resourceVersion": "9999", "generation": 7, "uid": "another"}
    assert captured(cluster) == before


def test_several_namespaces_lie_beside_each_other(cluster: KubernetesAPI) -> None:
    furnish(cluster, "shop-batch")
    found = captured(cluster, "shop", "shop-batch")
    assert {path.partition("/")[0] for path in found} == {"shop", "shop-batch"}
    assert len(found) == 2 * len(captured(cluster))


@pytest.mark.parametrize("page", [1, 2, 3, 500])
def test_export_in_pages_of_any_size_is_the_same(cluster: KubernetesAPI, page: int) -> None:
    for number in range(7):
        cluster.add("secrets", "shop", f"secret-{number}", data={"n": str(number)})
    assert captured(cluster, page=page) == captured(cluster)
    assert any("continue=" in path for path in cluster.paths) is (page < 500)


def test_list_whose_token_expired_is_begun_again_and_is_of_one_moment(cluster: KubernetesAPI) -> None:
    for number in range(4):
        cluster.add("secrets", "shop", f"secret-{number}", data={"n": str(number)})
    wanted = captured(cluster)
    cluster.service.asked.clear()  # type: ignore[union-attr]
    cluster.expiring = 2
    assert captured(cluster, page=2, include=("secrets",)) == {
        path: data for path, data in wanted.items() if "/secrets/" in path or "/namespaces/" in path
    }
    begun = [path for path in cluster.paths if "/secrets?" in path and "continue=" not in path]
    assert len(begun) == 3


def test_list_that_expires_again_and_again_is_given_up(cluster: KubernetesAPI) -> None:
    cluster.expiring = 1000
    with pytest.raises(SourceUnreachable, match="expired 4 times"):
        captured(cluster, page=1)


def test_resource_that_may_not_be_listed_fails_naming_all_of_them(cluster: KubernetesAPI) -> None:
    cluster.forbidden = {"secrets", "vehicles.fleet.example"}
    with pytest.raises(SourceDenied) as caught:
        captured(cluster)
    assert caught.value.message.endswith("may not read secrets of shop, vehicles.fleet.example of shop.")
    assert "docs/how-to/kubernetes.md" in caught.value.hint


def test_resource_that_may_not_be_listed_is_a_finding_where_the_policy_says_so(
    cluster: KubernetesAPI,
) -> None:
    cluster.forbidden = {"secrets"}
    view = export(cluster, may_leave_out=True).capture()
    (finding,) = view.findings
    assert (finding.code, finding.clause) == ("resource-unreadable", "P1")
    assert "secrets of shop" in finding.message
    assert not [path for path in files(view) if "/secrets/" in path]
    assert "shop/apps/deployments/web.json" in files(view)


@pytest.mark.parametrize("readable", [(), ("namespaces",)])
def test_account_that_may_list_nothing_fails_whatever_the_policy_says(
    cluster: KubernetesAPI, readable: tuple[str, ...]
) -> None:
    everything = {f"{known.name}.{known.group}".rstrip(".") for known in cluster.served}
    cluster.forbidden = everything.difference(readable)
    with pytest.raises(SourceDenied, match=r"may not read .*secrets of shop"):
        captured(cluster, may_leave_out=True)


def test_excluded_resource_is_not_asked_for(cluster: KubernetesAPI) -> None:
    cluster.forbidden, cluster.broken = {"secrets"}, {"fleet.example/v1"}
    found = captured(cluster, exclude=("secrets", "*.fleet.example", "roles.rbac.authorization.k8s.io"))
    assert not [path for path in found if "secrets" in path or "fleet" in path or "roles" in path]
    assert not [path for path in cluster.paths if "/secrets" in path or "fleet.example" in path]


def test_included_resources_are_all_there_is_even_those_that_pass(cluster: KubernetesAPI) -> None:
    found = captured(cluster, include=("leases", "*.fleet.example"))
    assert sorted(found) == [
        "shop/coordination.k8s.io/leases/leader.json",
        "shop/core/namespaces/shop.json",
        "shop/fleet.example/garages/g1.json",
        "shop/fleet.example/vehicles/v1.json",
    ]


def test_included_resource_that_the_cluster_lacks_is_missed(cluster: KubernetesAPI) -> None:
    with pytest.raises(SourceMissing, match=r"has no bindings, boats\.fleet\.example that"):
        captured(cluster, include=("secrets", "boats.fleet.example", "bindings"))


def test_namespace_that_is_not_there_is_missed_though_its_lists_are_empty_and_well(
    cluster: KubernetesAPI,
) -> None:
    with pytest.raises(SourceMissing, match="no namespace 'shopp'"):
        captured(cluster, "shopp")


def test_extension_that_is_down_fails_and_says_how_to_leave_it_out(cluster: KubernetesAPI) -> None:
    cluster.broken = {"fleet.example/v1"}
    with pytest.raises(SourceUnreachable) as caught:
        captured(cluster, attempts=2)
    assert "*.fleet.example" in caught.value.hint


def test_measurements_are_not_asked_for_so_their_server_may_be_down(cluster: KubernetesAPI) -> None:
    cluster.broken = {"metrics.k8s.io/v1beta1"}
    assert captured(cluster)


def test_busy_server_is_asked_again_when_it_says(cluster: KubernetesAPI) -> None:
    cluster.busy = 1
    began = time.monotonic()
    assert captured(cluster, include=("secrets",))
    assert time.monotonic() - began >= 1


def test_token_that_is_not_accepted_is_denied_and_not_shown(cluster: KubernetesAPI) -> None:
    with pytest.raises(SourceDenied) as caught:
        captured(cluster, credential=BearerToken(f"{TOKEN}-of-another"))
    shown = "".join(traceback.format_exception(caught.value))
    assert "(401)" in shown
    assert TOKEN not in shown
    assert "expired" in caught.value.hint


def test_server_of_another_ca_gets_no_token(cluster: KubernetesAPI) -> None:
    with pytest.raises(SourceError, match="certificate is not trusted"):
        captured(cluster, ca_file=None)
    assert cluster.paths == []


def test_names_that_no_file_may_have_are_quoted_or_cut(cluster: KubernetesAPI) -> None:
    label, names = "roles.rbac.authorization.k8s.io", ("x" * 253, "x" * 252 + "y", ":" * 90, "..a")
    for name in names:
        cluster.add(label, "shop", name, rules=[])
    found = captured(cluster, include=("roles",))
    assert {json.loads(data)["metadata"]["name"] for data in found.values()} >= set(names)
    assert max(len(name) for path in found for name in path.split("/")) <= 255


def test_export_larger_than_the_limit_is_refused(cluster: KubernetesAPI) -> None:
    for number in range(20):
        cluster.add("secrets", "shop", f"large-{number}", data={"n": "x" * 10_000})
    with pytest.raises(SourceError, match="larger than"):
        captured(cluster, size_limit=100_000, page=5)
    with pytest.raises(SourceError, match="larger than"):
        captured(cluster, "shop", "shop", size_limit=150_000, include=("secrets", "configmaps"), page=1)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"groups": [], "resources": [7]},
        {"resources": [{"name": "secrets", "namespaced": True, "kind": "Secret", "verbs": ["list"]}]},
    ],
)
def test_something_else_at_the_address_is_no_api(answer: Any) -> None:
    with http_service(lambda path, _: as_json(answer)) as service:
        endpoint = Endpoint(service.url, credential=BearerToken(TOKEN), first_wait=0.01)
        with pytest.raises(SourceError, match="not what Kubernetes' API says"):
            KubernetesExport(endpoint, ("shop",), ResourceChoice()).capture()


def test_list_of_things_without_names_is_no_list(cluster: KubernetesAPI) -> None:
    def answer(path: str, headers: dict[str, str]) -> Reply:
        if "/secrets" in path:
            return as_json({"metadata": {}, "items": [{"metadata": {}}]})
        return cluster.answer(path, headers)

    with http_service(answer) as service, pytest.raises(SourceError, match="not what Kubernetes' API says"):
        captured(cluster, url=service.url)


def test_export_crosses_processes_and_shows_no_secret(cluster: KubernetesAPI) -> None:
    origin = export(cluster)
    assert pickle.loads(pickle.dumps(origin)) == origin
    assert "S3CRET" not in repr(origin)

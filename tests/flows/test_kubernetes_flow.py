"""A namespace through the flows: committed with what may not be read as a finding, red where that shall fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.variables import Variable
from pydantic import SecretStr
from support.anchorage import Anchorage, anchorage
from support.kubernetes_api import TOKEN, KubernetesAPI, furnish, kubernetes_api
from support.postgres import MAJORS

from blocks import HttpExport
from flows.backup import backup_environment
from lifeboat.errors import SourcesFailed
from lifeboat.model.restore_choice import choose
from lifeboat.stages.fetch import fetch_tree_index, read_catalog

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesAPI]:
    with kubernetes_api(tmp_path_factory.mktemp("cluster")) as running:
        furnish(running)
        yield running


@pytest.fixture(scope="module")
def harbour(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    with anchorage(tmp_path_factory.mktemp("harbour"), rows=10) as made:
        made.register()
        Variable.unset("lifeboat-head-demo-main-objects")
        yield made


def run(harbour: Anchorage, cluster: KubernetesAPI, **keys: Any) -> Any:
    block = HttpExport(authentication="token", token=SecretStr(TOKEN), ca_file=str(cluster.ca_file))
    block.save("demo-main-objects", overwrite=True)
    source = {
        "kind": "kubernetes",
        "url": cluster.url,
        "namespaces": ["shop"],
        "classification": {"confidentiality": "high", "integrity": "high", "availability": "high"},
        **keys,
    }
    policy = harbour.policy("cluster", services__main__sources__objects=source)
    return backup_environment("demo", policy=policy, only=["main/objects"])


def test_objects_are_committed_and_what_may_not_be_listed_is_a_finding(
    harbour: Anchorage, cluster: KubernetesAPI
) -> None:
    cluster.forbidden = {"secrets"}
    (outcome,) = run(harbour, cluster, unreadable="finding", exclude=["pods", "*.fleet.example"])

    assert (outcome.state, outcome.files) == ("committed", 8)
    assert [told for told in outcome.findings if told.startswith("resource-unreadable (P1): ")]
    ship = harbour.ship
    manifest = choose(read_catalog(ship.store, "demo", "main-objects", ship.keys.trusted)).manifest
    index = fetch_tree_index(ship.store, manifest, [ship.operations.identity])
    paths = {member.entry.path for member in index.members()}
    assert b"shop/apps/deployments/web.json" in paths
    assert not [path for path in paths if b"/pods/" in path or b"fleet" in path]


def test_resource_that_may_not_be_listed_turns_the_run_red(
    harbour: Anchorage, cluster: KubernetesAPI
) -> None:
    cluster.forbidden = {"secrets"}
    with pytest.raises(SourcesFailed, match="may not read secrets of shop") as caught:
        run(harbour, cluster)
    assert TOKEN not in str(caught.value)

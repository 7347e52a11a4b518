"""A namespace out of a real Kubernetes API server, through the pipeline, and into another cluster with kubectl."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.kube_apiserver import ETCD, KUBE_APISERVER, KUBECTL, ApiServer, running_api_server
from support.tree_sailing import TreeShip

from lifeboat.adapters.kubernetes import KubernetesExport
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree import FrozenView
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.errors import SourceDenied, SourceMissing
from lifeboat.model.kubernetes import ResourceChoice

pytestmark = pytest.mark.skipif(
    not (KUBE_APISERVER and ETCD and KUBECTL),
    reason="kube-apiserver, etcd and kubectl are not there (KUBEBUILDER_ASSETS names their folder)",
)
ROOT = Path(__file__).parents[2]
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

DEFINITIONS = "---".join(
    f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.fleet.example}}
spec:
  group: fleet.example
  scope: Namespaced
  names: {{plural: {plural}, kind: {kind}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
      {"subresources: {status: {}}" if status else ""}
"""
    for plural, kind, status in (("vehicles", "Vehicle", True), ("garages", "Garage", False))
)

OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {note: "ümläut 🚢"}}
data: {b: "2", a: "line\\nline"}
---
apiVersion: v1
kind: Secret
metadata: {name: database}
stringData: {password: "p:äss word"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, type: NodePort, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {selector: {app: web}, clusterIP: None, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec: {type: ExternalName, externalName: elsewhere.example}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {ports: [{port: 5432}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: outside}
subsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 5432}]}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets: [{addresses: [{ip: 10.1.2.3}], ports: [{port: 80}]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  annotations:
    pv.kubernetes.io/bind-completed: "yes"
    volume.beta.kubernetes.io/storage-provisioner: file.csi.azure.com
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
  volumeName: pvc-of-a-cluster-that-is-gone
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: chosen}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}, storageClassName: "", volumeName: share-1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web.example/web:1, envFrom: [{secretRef: {name: database}}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: headless
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: store.example/store:1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: web.example/web:1}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrated}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: web.example/web:1}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec: {nodeName: node-1, containers: [{name: c, image: web.example/web:1}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: owned
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: "8", controller: true}]
spec: {containers: [{name: c, image: web.example/web:1}]}
---
apiVersion: v1
kind: Secret
metadata:
  name: made-up-once
  ownerReferences: [{apiVersion: fleet.example/v1, kind: Vehicle, name: v, uid: "9", controller: true}]
stringData: {key: once}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt}
data: {ca.crt: PEM}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "shop:Reader"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: none}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few}
spec: {hard: {pods: "20"}}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: leader}
---
apiVersion: fleet.example/v1
kind: Vehicle
metadata: {name: v}
spec: {wheels: 4, ratio: 0.25}
---
apiVersion: fleet.example/v1
kind: Garage
metadata: {name: g}
status: {number: 7}
"""


def account() -> str:
    """The objects of docs/how-to/kubernetes.md that make the account."""
    text = (ROOT / "docs/how-to/kubernetes.md").read_text()
    (shown,) = (
        block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "RoleBinding" in block
    )
    return str(shown)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_api_server(tmp_path_factory.mktemp("cluster")) as running:
        running.kubectl("create", "namespace", "shop")
        running.kubectl("apply", "-f", "-", given=account())
        running.kubectl("create", "-f", "-", given=DEFINITIONS)
        running.kubectl("wait", "--for=condition=Established", "crd", "--all")
        running.kubectl("create", "--namespace=shop", "-f", "-", given=OBJECTS)
        ended = '{"status": {"conditions": [{"type": "Complete", "status": "True"}]}}'
        path = "/apis/batch/v1/namespaces/shop/jobs/migrated/status"
        job = json.loads(running.kubectl("get", "--raw", path)) | json.loads(ended)
        running.kubectl("replace", "--raw", path, "-f", "-", given=json.dumps(job))
        yield running


@pytest.fixture(scope="module")
def token(cluster: ApiServer) -> str:
    return cluster.kubectl("create", "token", "lifeboat", "--namespace=lifeboat").strip()


def export(cluster: ApiServer, token: str, **changes: Any) -> KubernetesExport:
    settings = {"namespaces": ("shop",), "choice": ResourceChoice(), **changes}
    return KubernetesExport(cluster.endpoint(token), **settings)


def files(view: FrozenView) -> dict[str, bytes]:
    assert isinstance(view.target, CapturedTreeTarget)
    return {path.decode(): data for path, data in view.target.files.items()}


def test_account_of_the_document_reads_all_that_was_declared_and_nothing_computed(
    cluster: ApiServer, token: str
) -> None:
    view = export(cluster, token).capture()
    assert view.findings == ()
    assert sorted(files(view)) == [
        "shop/apps/deployments/web.json",
        "shop/apps/statefulsets/store.json",
        "shop/autoscaling/horizontalpodautoscalers/web.json",
        "shop/batch/jobs/migrate.json",
        "shop/core/configmaps/settings.json",
        "shop/core/endpoints/outside.json",
        "shop/core/namespaces/shop.json",
        "shop/core/persistentvolumeclaims/chosen.json",
        "shop/core/persistentvolumeclaims/data.json",
        "shop/core/pods/alone.json",
        "shop/core/resourcequotas/few.json",
        "shop/core/secrets/database.json",
        "shop/core/secrets/made-up-once.json",
        "shop/core/serviceaccounts/web.json",
        "shop/core/services/elsewhere.json",
        "shop/core/services/headless.json",
        "shop/core/services/outside.json",
        "shop/core/services/web.json",
        "shop/fleet.example/garages/g.json",
        "shop/fleet.example/vehicles/v.json",
        "shop/networking.k8s.io/ingresses/web.json",
        "shop/networking.k8s.io/networkpolicies/none.json",
        "shop/rbac.authorization.k8s.io/rolebindings/lifeboat.json",
        "shop/rbac.authorization.k8s.io/roles/shop%3AReader.json",
    ]


def test_namespace_backed_up_is_the_same_once_kubectl_applied_it_to_another_cluster(
    cluster: ApiServer, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    (tmp_path / "store").mkdir()
    view = export(cluster, token).capture()
    ship = TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=view.target)
    ship.backup()
    restored = tmp_path / "restored"
    ship.restore(restored)
    assert {
        path.relative_to(restored).as_posix(): path.read_bytes()
        for path in restored.rglob("*")
        if path.is_file()
    } == files(view)

    (tmp_path / "other").mkdir()
    with running_api_server(tmp_path / "other", services="10.7.0.0/24") as other:
        other.kubectl("create", "-f", "-", given=DEFINITIONS)
        other.kubectl("wait", "--for=condition=Established", "crd", "--all")
        other.kubectl("apply", f"--filename={restored / 'shop/core/namespaces'}")
        other.kubectl("apply", "--recursive", f"--filename={restored / 'shop'}")
        other.kubectl("apply", "-f", "-", given=account())
        fresh = other.kubectl("create", "token", "lifeboat", "--namespace=lifeboat").strip()
        assert without_applied(files(export(other, fresh).capture())) == without_applied(files(view))
        # A second time: what is there already is no obstacle.
        other.kubectl("apply", "--recursive", f"--filename={restored / 'shop'}")


def without_applied(found: dict[str, bytes]) -> dict[str, Any]:
    """The objects without what kubectl notes at an apply."""
    objects = {path: json.loads(data) for path, data in found.items()}
    for item in objects.values():
        annotations = item["metadata"].get("annotations", {})
        annotations.pop(APPLIED, None)
        if not annotations:
            item["metadata"].pop("annotations", None)
    return objects


def test_export_of_an_unchanged_namespace_is_the_same_bytes_page_by_page(
    cluster: ApiServer, token: str
) -> None:
    wanted = files(export(cluster, token).capture())
    # Server-side bookkeeping: a change, and its undoing.
    for replicas in ("3", "2"):
        cluster.kubectl("scale", "--namespace=shop", "deployment/web", f"--replicas={replicas}")
    assert files(export(cluster, token, page=1).capture()) == wanted


def test_continue_token_of_a_real_server_expires_with_410(cluster: ApiServer, token: str) -> None:
    path, gone = "/api/v1/namespaces/shop/secrets", frozenset({410})
    with cluster.endpoint(token).session() as session:
        following = session.get(path, {"limit": "1"}).json()["metadata"]["continue"]
        assert session.get(path, {"limit": "1", "continue": following}, also=gone).status == 200
        cluster.kubectl("create", "configmap", "passing")
        cluster.kubectl("delete", "configmap", "passing")
        cluster.forget_the_past()
        answer = session.get(path, {"limit": "1", "continue": following}, also=gone)
    assert (answer.status, answer.json()["reason"]) == (410, "Expired")


def test_account_that_may_not_list_secrets_fails_naming_them(cluster: ApiServer) -> None:
    cluster.kubectl("create", "serviceaccount", "half", "--namespace=lifeboat")
    cluster.kubectl(
        "create", "clusterrole", "half", "--verb=get,list", "--resource=configmaps,services,namespaces"
    )
    subject = ("--clusterrole=half", "--serviceaccount=lifeboat:half", "--namespace=shop")
    cluster.kubectl("create", "rolebinding", "half", *subject)
    half = cluster.kubectl("create", "token", "half", "--namespace=lifeboat").strip()
    try:
        with pytest.raises(SourceDenied, match=r"may not read .*secrets of shop.*vehicles\.fleet\.example"):
            export(cluster, half).capture()
        found = export(cluster, half, choice=ResourceChoice(include=("configmaps",))).capture()
        assert sorted(files(found)) == [
            "shop/core/configmaps/settings.json",
            "shop/core/namespaces/shop.json",
        ]
    finally:
        cluster.kubectl("delete", "rolebinding", "half", "--namespace=shop")


def test_account_can_change_nothing_nor_look_elsewhere(cluster: ApiServer, token: str) -> None:
    def may(*question: str) -> str:
        account = "--as=system:serviceaccount:lifeboat:lifeboat"
        asked = (*question, "--namespace=shop", account)
        # Exits with 1 for a no.
        return "yes" if says_yes(cluster, asked) else "no"

    assert may("list", "secrets") == "yes"
    for question in (
        ("create", "secrets"),
        ("get", "pods/exec"),
        ("create", "pods/exec"),
        ("delete", "pods"),
    ):
        assert may(*question) == "no"
    with pytest.raises(SourceDenied, match="namespaces of default"):
        export(cluster, token, namespaces=("default",)).capture()


def says_yes(cluster: ApiServer, question: tuple[str, ...]) -> bool:
    try:
        cluster.kubectl("auth", "can-i", *question)
    except AssertionError:
        return False
    return True


def test_namespace_that_is_not_there_is_missed(cluster: ApiServer) -> None:
    with pytest.raises(SourceMissing, match="no namespace 'shopp'"):
        export(cluster, "the-administrators-token", namespaces=("shopp",)).capture()


def test_token_of_nobody_is_denied(cluster: ApiServer) -> None:
    with pytest.raises(SourceDenied, match=r"\(401\)"):
        export(cluster, "nobodys-token").capture()

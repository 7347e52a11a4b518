"""The files of a namespace come back from the store as they were captured, whatever their objects are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.kubernetes_api import furnish, kubernetes_api
from support.tree_sailing import TreeShip

from lifeboat.adapters.kubernetes import KubernetesExport
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.model.kubernetes import ResourceChoice


def test_namespace_backed_up_comes_back_file_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    (tmp_path / "store").mkdir()
    with kubernetes_api(tmp_path) as cluster:
        furnish(cluster)
        cluster.add("roles.rbac.authorization.k8s.io", "shop", "system:" + "x" * 246, rules=[])
        view = KubernetesExport(cluster.endpoint(), ("shop",), ResourceChoice(), page=2).capture()
    assert isinstance(view.target, CapturedTreeTarget)
    ship = TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=view.target)
    ship.backup()
    ship.restore(tmp_path / "restored")
    restored = tmp_path / "restored"
    found = {path for path in restored.rglob("*") if path.is_file()}
    assert {os.fsencode(path.relative_to(restored)): path.read_bytes() for path in found} == view.target.files
    # Sealed: what is on the store shows no Secret.
    assert not [
        path
        for path in (tmp_path / "store").rglob("*")
        if path.is_file() and b"UzNDUkVU" in path.read_bytes()
    ]

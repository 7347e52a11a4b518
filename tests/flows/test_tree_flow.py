"""Trees of files through the flows: beside the databases of their service, as one recovery point."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from support.anchorage import Anchorage, anchorage
from support.postgres import MAJORS

from flows.backup import backup_environment
from lifeboat.errors import SourcesFailed
from lifeboat.model.outcome import SourceOutcome
from lifeboat.stages.fetch import read_catalog

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]


def files_source(folder: Path, consistency: str = "crash") -> dict[str, Any]:
    return {
        "kind": "files",
        "url": folder.as_uri(),
        "consistency": consistency,
        "classification": {"confidentiality": "high", "integrity": "high", "availability": "high"},
    }


@pytest.fixture(scope="module")
def harbour(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    with anchorage(tmp_path_factory.mktemp("harbour"), rows=200_000) as made:
        made.register()
        for name in ("documents", "logs"):
            (made.folder / name).mkdir()
            for number in range(50):
                (made.folder / name / f"{number}.txt").write_bytes(bytes([number]) * 5000)
                os.utime(made.folder / name / f"{number}.txt", (10**9, 10**9))
        yield made


def policy_of(harbour: Anchorage, **more: Any) -> str:
    sources = {
        "services.main.sources.documents": files_source(harbour.folder / "documents"),
        "services.main.sources.logs": files_source(harbour.folder / "logs", consistency="live"),
    }
    return harbour.policy(
        "trees", **{key.replace(".", "__"): value for key, value in sources.items()}, **more
    )


def artifacts() -> dict[str, Any]:
    """The newest of each key."""

    async def read() -> list[Any]:
        async with get_client() as client:
            return await client.read_artifacts()

    return {
        artifact.key: artifact for artifact in sorted(asyncio.run(read()), key=lambda found: found.created)
    }


def by_source(outcomes: list[SourceOutcome]) -> dict[str, SourceOutcome]:
    return {outcome.source: outcome for outcome in outcomes}


def test_tree_is_of_the_moment_of_its_databases_and_a_live_one_of_its_own(harbour: Anchorage) -> None:
    policy = policy_of(harbour)

    found = by_source(backup_environment("demo", policy=policy))

    assert {name: outcome.state for name, outcome in found.items()} == {
        "databases": "committed",
        "documents": "committed",
        "logs": "committed",
    }
    moments = {name: outcome.data_timestamp for name, outcome in found.items()}
    databases, documents, logs = (moments[name] for name in ("databases", "documents", "logs"))
    assert databases and documents and logs
    assert (documents - databases).total_seconds() < 3
    assert found["databases"].seconds > 0
    assert logs > documents
    assert found["documents"].files == 50
    told = artifacts()["run-demo"].data
    assert "50 files" in told
    assert "main/databases, main/documents" in told


def test_second_backup_refers_to_what_did_not_change(harbour: Anchorage) -> None:
    policy = policy_of(harbour)
    # What is no file travels in the index, and is counted in no row.
    (harbour.folder / "documents" / "folder").mkdir()
    (harbour.folder / "documents" / "link").symlink_to("1.txt")
    backup_environment("demo", policy=policy, only=["main/documents"])
    (harbour.folder / "documents" / "new.txt").write_text("new")

    (outcome,) = backup_environment("demo", policy=policy, only=["main/documents"])

    assert (outcome.state, outcome.files) == ("committed", 51)
    assert outcome.referenced_bytes > 0
    artifact = artifacts()["backup-main-documents"]
    assert "were on the store already" in artifact.description
    rows = [(row["part"], row["files"]) for row in json.loads(artifact.data)]
    assert rows == [(1, "1"), ("1 of older backups", "50")]


def test_tree_that_is_not_there_is_red_and_its_databases_are_committed(harbour: Anchorage) -> None:
    away = files_source(harbour.folder / "away")
    policy = harbour.policy("away", services__main__sources__documents=away)

    with pytest.raises(SourcesFailed, match="There is no folder"):
        backup_environment("demo", policy=policy)

    ship = harbour.ship
    catalog = read_catalog(ship.store, "demo", "main-databases", ship.keys.trusted)
    assert len(catalog.entries) >= 1

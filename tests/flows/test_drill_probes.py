"""Probes of the policy, asked of what a drill really restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from support.dock import Dock, docked
from support.postgres import MAJORS

from flows.drill import drill
from lifeboat.errors import CouldNotMeasure, DrillMissed
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.objectives import Verdict

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
FILES = "SELECT id || '.txt' FROM orders WHERE id"


@pytest.fixture(scope="module")
def dock(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dock]:
    with docked(tmp_path_factory.mktemp("probes")) as made:
        yield made


def drilled(dock: Dock, *sources: str, **probes: dict[str, Any]) -> DrillRecord:
    """The record of a drill with these probes, whatever its verdict."""
    values = yaml.safe_load(Path(dock.policy).read_text())
    told = {name: {"database": "shop"} | probe for name, probe in probes.items()}
    values["environments"]["demo"]["services"]["main"]["sources"]["databases"]["probes"] = told
    path = Path(dock.policy).with_name("probes.yaml")
    path.write_text(yaml.safe_dump(values))
    try:
        return drill("demo", list(sources), policy=str(path))
    except (DrillMissed, CouldNotMeasure) as error:
        assert error.record
        return error.record


def page() -> str:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["drill-demo"]))
        )
    return str(max(found, key=lambda each: each.created).data)  # type: ignore[type-var, arg-type, return-value]


def test_probes_that_hold_are_met_and_on_record_by_name_only(dock: Dock) -> None:
    record = drilled(
        dock,
        rows={"sql": "SELECT count(*) FROM orders", "equals": 5000},
        documents={"sql": f"{FILES} < 20", "files_of": "documents"},
        newest={"sql": "SELECT pg_postmaster_start_time()", "newest_within": "1h"},
    )
    assert record.verdict is Verdict.MET, record.reasons
    assert {probe.name for probe in record.probes} == {"rows", "documents", "newest"}
    assert "SELECT" not in record.model_dump_json() and "5000 of" not in record.model_dump_json()
    assert "all of 19 files are there" in page()


def test_probes_that_do_not_hold_turn_the_drill_red_and_the_page_says_why(dock: Dock) -> None:
    record = drilled(
        dock,
        rows={"sql": "SELECT count(*) FROM orders", "at_least": 5001},
        documents={"sql": f"{FILES} <= 20", "files_of": "documents"},
        outside={"sql": "SELECT '../' || id FROM orders WHERE id = 1", "files_of": "documents"},
        folder={"sql": "SELECT '.'", "files_of": "documents"},
        written={"sql": "DELETE FROM orders RETURNING 1", "equals": 1},
        typo={"sql": "SELECT count(*) FROM oders", "equals": 1},
        many={"sql": "SELECT id FROM orders", "equals": 1},
    )
    assert record.verdict is Verdict.MISSED
    verdicts = {probe.name: probe.verdict for probe in record.probes}
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.MISSED} == {
        "rows", "documents", "outside", "folder",
    }  # fmt: skip
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.UNMEASURED} == {
        "written",
        "typo",
        "many",
    }
    told = page()
    assert "1 of 20 files are not there" in told
    assert "read-only transaction" in told
    assert "oders" in told


def test_files_that_were_not_restored_beside_measure_nothing(dock: Dock) -> None:
    record = drilled(dock, "main/databases", documents={"sql": FILES + " < 20", "files_of": "documents"})
    assert [probe.verdict for probe in record.probes] == [Verdict.UNMEASURED]

"""A drill that CI kicks by its deployment, on a real server, done by a process that holds the identity."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments.runner import EntrypointType
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.dock import Dock, docked
from support.postgres import MAJORS
from support.prefect_server import end_group

from cli.main import app, run
from lifeboat import clock

DOCS = Path(__file__).parents[2] / "docs"
POOL = "drill-host"
needs_postgres = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed")


@pytest.fixture(scope="module")
def dock(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dock]:
    with docked(tmp_path_factory.mktemp("ci")) as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's working folder; CI has no identity."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIFEBOAT_IDENTITY_FILE", str(tmp_path / "nothing"))
    return tmp_path


@pytest.fixture
def deployed(dock: Dock) -> None:
    """The deployment ``drill/demo`` in a work pool of its own, with an entrypoint as ``prefect.yaml`` has it."""
    from flows.drill import drill

    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    drill.to_deployment(
        name="demo",
        parameters={"environment": "demo", "policy": dock.policy},
        work_pool_name=POOL,
        entrypoint_type=EntrypointType.MODULE_PATH,
    ).apply()


@pytest.fixture
def drill_host(dock: Dock) -> Iterator[None]:
    """A worker of that pool, which holds the identity."""
    environment = dock.harbour.environment(PREFECT_API_URL=str(PREFECT_API_URL.value()))
    environment["LIFEBOAT_IDENTITY_FILE"] = str(dock.harbour.folder / "identity")
    prefect = Path(sys.executable).parent / "prefect"
    environment["PREFECT_WORKER_QUERY_SECONDS"] = "1"
    process = subprocess.Popen(
        [prefect, "worker", "start", "--pool", POOL], env=environment, start_new_session=True
    )
    yield
    end_group(process)


def cases(folder: Path) -> dict[str, list[str]]:
    """What is wrong, by the name of the test case."""
    suite = ElementTree.fromstring((folder / "lifeboat-drill.xml").read_bytes())
    return {str(case.get("name")): [wrong.tag for wrong in case] for case in suite}


@pytest.mark.prefect
@pytest.mark.postgres
@needs_postgres
def test_ci_gets_the_verdicts_of_a_drill_that_another_process_did(
    dock: Dock, deployed: None, drill_host: None, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["drill", "demo", "--ci", "--policy", dock.policy]) == 0

    record = json.loads((here / "lifeboat-drill.json").read_text())
    assert record["verdict"] == "met"
    assert (dock.store / f"{record['drill_id']}.drill.json").exists()
    assert set(cases(here)) >= {"RTO", "RPO"} and not any(cases(here).values())
    newest = dock.harbour.ship.catalog().newest_good
    assert newest
    with dock.damaged(newest.manifest):
        assert run(["drill", "demo", "--ci", "--policy", dock.policy]) == 1
    assert cases(here)["not-restored"] == ["failure"]
    # Nothing of a drill can be measured whose incident is of before its data.
    assert run(["drill", "demo", "--ci", "--policy", dock.policy, "--incident", "2020-01-01T00:00Z"]) == 2
    assert cases(here)["RPO"] == ["error"]
    assert dock.nothing_is_left()


@pytest.mark.prefect
@pytest.mark.postgres
@needs_postgres
def test_drill_that_nobody_takes_is_cancelled_and_told(
    dock: Dock, deployed: None, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "lifeboat-drill.json").write_text("of last week")

    assert run(["drill", "demo", "--ci", "--wait", "5s", "--policy", dock.policy]) == 2

    assert not (here / "lifeboat-drill.json").exists()
    assert "No worker took the drill of demo" in capsys.readouterr().err
    assert cases(here) == {"drill": ["error"]}
    with get_client(sync_client=True) as client:
        newest = max(client.read_flow_runs(), key=lambda each: each.created or clock.utc_now())
    assert newest.state_name == "Cancelled"


@pytest.mark.prefect
def test_environment_without_a_deployment_is_told(
    prefect_server: None, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["drill", "staging", "--ci"]) == 2
    assert "deployments.apply" in capsys.readouterr().err


def test_api_that_is_not_there_is_no_missed_objective(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "lifeboat-drill.xml").write_text("of last week")
    with temporary_settings(updates={PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert run(["drill", "demo", "--ci"]) == 2
    assert "does not answer" in capsys.readouterr().err
    assert cases(here) == {"drill": ["error"]}


# The documents


def lifeboat_lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from lifeboat_lines(each)
    elif isinstance(value, str):
        yield from re.findall(r"^lifeboat .*$", value, flags=re.MULTILINE)


@pytest.mark.parametrize("snippet", sorted((DOCS / "ci").iterdir()), ids=lambda path: path.name)
def test_snippet_is_yaml_and_its_command_is_one_of_ours(snippet: Path) -> None:
    lines = list(lifeboat_lines(yaml.safe_load(snippet.read_text())))
    assert lines == ["lifeboat drill production --ci --wait 4h"]
    command: Any = typer.main.get_command(app)
    _, name, *arguments = lines[0].split()
    assert command.commands[name].make_context(name, arguments).params["ci"] is True
    assert "lifeboat-drill.xml" in snippet.read_text() and "PREFECT_API_AUTH_STRING" in snippet.read_text()


def test_automations_of_the_document_are_such_as_prefect_takes() -> None:
    found = re.findall(r"```yaml\n(name:.*?)```", (DOCS / "how-to/drills.md").read_text(), flags=re.DOTALL)
    assert len(found) == 2
    for text in found:
        automation = AutomationCore.model_validate(
            yaml.safe_load(text.replace("ID_OF_A_NOTIFICATION_BLOCK", "3fa85f64-5717-4562-b3fc-2c963f66afa6"))
        )
        assert automation.trigger.model_dump()["expect"] <= {"drill.met", "drill.missed", "drill.unmeasured"}

"""A Prefect server that goes away at the start, in the middle or at the end of a run (F41), and a run that is cancelled
in the UI while a worker sails it (F2). Whatever Prefect then believes: the store holds whole backups and nothing else,
older ones are untouched, no process is left, and the next run needs no cleaning."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)
from prefect.states import Cancelling
from support.anchorage import Anchorage, anchorage, python
from support.leaving_server import LeavingServer, leaving_server
from support.postgres import MAJORS
from support.prefect_server import end_group, free_port
from support.proxy import fault_proxy

from cli.main import run
from flows.backup import backup_environment
from lifeboat import clock

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
POOL = "demo"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeavingServer]:
    """A server of this module's own, which may die; its clients are this process and the runs."""
    home = tmp_path_factory.mktemp("leaving")
    with leaving_server(home) as server:
        mine = {
            PREFECT_API_URL: server.api,
            PREFECT_HOME: home / "client",
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
        }
        with temporary_settings(updates=mine):
            yield server


@pytest.fixture(scope="module")
def harbour(server: LeavingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    """With one good backup from before the trouble."""
    with anchorage(tmp_path_factory.mktemp("harbour"), rows=50_000) as made:
        made.register()
        backup_environment("demo", policy=made.policy())
        yield made


class Run:
    """``lifeboat backup`` in a process of its own; its messages are read as they come."""

    def __init__(self, harbour: Anchorage, api: str, *command: str) -> None:
        self.process = subprocess.Popen(
            python(*command),
            # With the default of 5 Prefect would ask a dead server for a minute, four times over.
            env=harbour.environment(
                PREFECT_API_URL=api,
                PREFECT_HOME=str(harbour.folder / "prefect"),
                PREFECT_CLIENT_MAX_RETRIES="1",
                PREFECT_CLIENT_RETRY_JITTER_FACTOR="0",
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told = ""
        self._error_told = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.told += line
            if line.startswith("error: "):
                self._error_told.set()

    def wait_for_error(self) -> None:
        assert self._error_told.wait(60), self.told

    def ended(self, limit: float = 60) -> int:
        """The exit code."""
        code = self.process.wait(limit)
        self._reader.join(5)
        return code


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    """None of these outlives its test."""
    started: list[Run] = []
    yield started
    for each in started:
        each.process.kill()
        each.process.wait()


def troubled(harbour: Anchorage, server: LeavingServer, step: str) -> Run:
    return Run(
        harbour, server.api, "-m", "support.troubled_run", step, f"kill={server.pid}", harbour.policy()
    )


def gone(server: LeavingServer) -> None:
    limit = clock.Deadline.after(60)
    while server.there and not limit.passed():
        clock.sleep(0.05)
    assert not server.there, "the run never came to the step"


def prove_all_is_well(harbour: Anchorage, capsys: pytest.CaptureFixture[str]) -> None:
    """The status tells of the newest backup on the store, and a plain run commits another."""
    newest = harbour.committed()[-1]
    capsys.readouterr()
    assert run(["status", "demo", "--policy", harbour.policy(), "--json"]) == 0
    assert f'"newest_good": "{newest}"' in capsys.readouterr().out
    (outcome,) = backup_environment("demo", policy=harbour.policy())
    assert outcome.state == "committed"
    assert harbour.committed()[-1] == outcome.backup_id
    harbour.prove(newest, str(outcome.backup_id))
    assert not list((harbour.folder / "spool").iterdir())


def runs_of(server: LeavingServer) -> dict[str, str]:
    """The newest run of each flow: its state, by the flow's name."""
    with SyncPrefectClient(server.api) as client:
        states = {}
        for found in sorted(client.read_flow_runs(), key=lambda each: cast(Any, each.created)):
            states[client.read_flow(found.flow_id).name] = str(found.state and found.state.name)
        return states


def test_without_a_server_nothing_begins_and_the_command_says_so(harbour: Anchorage, runs: list[Run]) -> None:
    before = harbour.digests()
    nowhere = f"http://127.0.0.1:{free_port()}/api"
    watch = clock.Stopwatch()

    away = Run(harbour, nowhere, "-m", "cli.main", "backup", "demo", "--policy", harbour.policy())
    runs.append(away)

    assert away.ended() == 3
    assert watch.seconds() < 30
    assert f"error: The Prefect API at {nowhere} does not answer (ConnectError)." in away.told
    assert "→ Start the server, or correct PREFECT_API_URL." in away.told
    assert "Traceback" not in away.told
    assert harbour.digests() == before
    assert harbour.leftovers() == []


def test_a_server_that_comes_back_in_mid_run_hears_of_the_whole_success(
    harbour: Anchorage, server: LeavingServer, runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    before, committed = harbour.digests(), harbour.committed()

    runs.append(away := troubled(harbour, server, "dump"))
    gone(server)
    server.start()

    assert away.ended() == 0, away.told
    assert before.items() <= harbour.digests().items()
    assert len(harbour.committed()) == len(committed) + 1
    assert harbour.leftovers() == []
    assert runs_of(server)["backup-environment"] == "Completed"
    prove_all_is_well(harbour, capsys)


@pytest.mark.parametrize("step", ["dump", "end"])
def test_a_server_that_stays_away_ends_no_backup_and_the_command_sends_to_the_store(
    harbour: Anchorage,
    server: LeavingServer,
    runs: list[Run],
    step: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, committed = harbour.digests(), harbour.committed()

    runs.append(away := troubled(harbour, server, step))
    gone(server)
    away.wait_for_error()

    new = harbour.committed()[len(committed) :]
    assert len(new) == 1, away.told
    assert before.items() <= harbour.digests().items()
    # Prefect's own thread still holds events for a server; it lets the process go when one answers.
    server.start()
    assert away.ended() == 1
    assert harbour.leftovers() == []
    assert f"error: The Prefect API at {server.api} went away during the run (ConnectError)." in away.told
    assert "`lifeboat status` and `lifeboat list` read it from the store" in away.told
    prove_all_is_well(harbour, capsys)


def deploy(client: SyncPrefectClient, harbour: Anchorage) -> UUID:
    with contextlib.suppress(ObjectAlreadyExists):  # the worker makes it, too, if it is first
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    return client.create_deployment(
        flow_id=client.create_flow(cast(Any, backup_environment)),
        name="demo",
        entrypoint="flows.backup.backup_environment",
        pull_steps=[],
        work_pool_name=POOL,
        parameters={"environment": "demo", "policy": harbour.policy()},
    )


@pytest.fixture
def worker(harbour: Anchorage, server: LeavingServer) -> Iterator[Path]:
    """A process worker on the pool; the path of its log."""
    log = harbour.folder / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            python("-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"),
            env=harbour.environment(
                PREFECT_API_URL=server.api,
                PREFECT_HOME=str(harbour.folder / "worker"),
                PREFECT_WORKER_QUERY_SECONDS="1",
            ),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield log
        finally:
            end_group(process)


def wait_for_state(client: SyncPrefectClient, run_id: UUID, names: set[str], limit: float) -> FlowRun:
    deadline = clock.Deadline.after(limit)
    while not deadline.passed():
        found = client.read_flow_run(run_id)
        if found.state and found.state.name in names:
            return found
        clock.sleep(0.3)
    raise AssertionError(f"still {found.state}")


def test_a_run_cancelled_in_the_ui_ends_its_children_and_commits_nothing(
    harbour: Anchorage, server: LeavingServer, worker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F2, through a worker; the dump hangs in the middle of a table, so that it is surely under way."""
    before, committed = harbour.digests(), harbour.committed()
    with fault_proxy(harbour.cluster.port) as proxy, SyncPrefectClient(server.api) as client:
        harbour.register(server_port=proxy.port)
        proxy.down.set(hold_after=2**20)
        try:
            deployment = deploy(client, harbour)
            started = client.create_flow_run_from_deployment(deployment).id
            limit = clock.Deadline.after(60)
            while proxy.down.passed < 2**19 and not limit.passed():
                clock.sleep(0.1)
            assert proxy.down.passed >= 2**19, worker.read_text()

            client.set_flow_run_state(started, Cancelling())  # what the button in the UI does
            wait_for_state(client, started, {"Cancelled"}, 25)
        finally:
            harbour.register()
    assert harbour.leftovers(but="prefect worker start") == []
    assert before.items() <= harbour.digests().items()
    assert harbour.committed() == committed
    assert "Cancelled" in runs_of(server).values()
    prove_all_is_well(harbour, capsys)

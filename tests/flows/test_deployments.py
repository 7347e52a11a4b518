"""prefect.yaml: made from the policy, current, loadable, and really scheduled once it is deployed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flows import Flow, load_flow_from_entrypoint
from support.prefect_server import server_environment, whole_server

from deployments.apply import apply_forms
from deployments.render import POLICY, PREFECT_FILE, render
from lifeboat.adapters.policy_file import read_policy, shipped_policies
from lifeboat.model.policy import Policy, load_policy

ROOT = Path(__file__).resolve().parents[2]
ENTRIES: list[dict[str, Any]] = yaml.safe_load((ROOT / PREFECT_FILE).read_text())["deployments"]
each_entry = pytest.mark.parametrize(
    "entry", ENTRIES, ids=[f"{entry['entrypoint']} {entry['name']}" for entry in ENTRIES]
)


def load(entry: dict[str, Any]) -> Flow[..., Any]:
    return load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False)


# Rendering


@pytest.fixture
def policy() -> Policy:
    return read_policy(Path(POLICY))


def entries(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load(text)["deployments"])


def of_kind(kind: str, among: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in among if f"kind:{kind}" in entry["tags"]]


def test_prefect_file_is_what_the_policy_renders_to(policy: Policy) -> None:
    assert (ROOT / PREFECT_FILE).read_text() == render(policy, POLICY), "run: python -m deployments.render"


def test_prefect_file_says_that_it_is_generated_and_by_what() -> None:
    first = (ROOT / PREFECT_FILE).read_text().splitlines()[0]
    assert "python -m deployments.render" in first
    assert "do not edit" in first


def test_every_environment_has_one_of_each_in_work_pools_of_its_own(policy: Policy) -> None:
    """Drills and restores share one: their workers hold an identity, which those of backups never do."""
    rendered = entries(render(policy, POLICY))
    kinds = ("backup", "restore", "drill", "alarm-test")
    assert len(rendered) == len(kinds) * len(policy.environments)
    for kind in kinds:
        assert [entry["name"] for entry in of_kind(kind, rendered)] == list(policy.environments)
    pools = {(entry["name"], entry["work_pool"]["name"]) for entry in rendered}
    assert len(pools) == len({pool for _, pool in pools}) == 2 * len(policy.environments)
    backing_up = {entry["work_pool"]["name"] for entry in of_kind("backup", rendered)}
    assert not backing_up & {entry["work_pool"]["name"] for entry in of_kind("drill", rendered)}
    testing = [entry["work_pool"] for entry in of_kind("alarm-test", rendered)]
    assert testing == [entry["work_pool"] for entry in of_kind("drill", rendered)]


def test_schedules_are_those_of_the_policy_for_backups_and_drills_and_none_for_restores(
    policy: Policy,
) -> None:
    rendered = entries(render(policy, POLICY))
    for entry in of_kind("backup", rendered):
        schedule = policy.environment(entry["name"]).schedule
        assert [(found["cron"], found["timezone"]) for found in entry["schedules"]] == [
            (cron, schedule.time_zone) for cron in schedule.cron
        ]
    assert [entry["schedules"] for entry in of_kind("restore", rendered)] == [[]] * len(policy.environments)
    (drill,) = (entry for entry in of_kind("drill", rendered) if entry["name"] == "production")
    assert [(found["cron"], found["timezone"]) for found in drill["schedules"]] == [("0 8 * * WED", "UTC")]
    (alarm_test,) = (entry for entry in of_kind("alarm-test", rendered) if entry["name"] == "production")
    assert [(found["cron"], found["timezone"]) for found in alarm_test["schedules"]] == [
        ("0 8 * * TUE", "UTC")
    ]
    (unscheduled,) = of_kind("drill", entries(render(read_policy(Path("demo")), "demo")))
    assert unscheduled["schedules"] == []


def test_schedules_at_different_minutes_have_slugs_that_do_not_depend_on_the_time() -> None:
    text = shipped_policies()["demo"].read_text()
    slugs = []
    for at in ('["00:15", "12:45"]', '["06:05", "18:10"]'):
        changed = load_policy(text.replace('["00:15", "12:15"]', at), where="changed")
        (backup,) = of_kind("backup", entries(render(changed, "demo")))
        slugs.append([schedule["slug"] for schedule in backup["schedules"]])
    assert slugs[0] == slugs[1] == ["starts-1", "starts-2"]


def test_no_deployment_has_a_concurrency_limit_or_a_pull_step() -> None:
    assert [entry for entry in ENTRIES if "concurrency_limit" in entry] == []
    assert [entry["pull"] for entry in ENTRIES] == [[]] * len(ENTRIES)


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deployments.render", "--check"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_of_a_current_file_is_silent_and_of_a_stale_one_says_what_to_do(tmp_path: Path) -> None:
    stale = tmp_path / PREFECT_FILE
    stale.write_text((ROOT / PREFECT_FILE).read_text().replace("0,12", "0,13"))
    before = stale.read_text()
    done = check(tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        "prefect.yaml is not current; run: python -m deployments.render\n",
    )
    assert stale.read_text() == before
    done = check(ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Entrypoints


@each_entry
def test_entrypoint_loads_as_the_flow_itself_and_takes_the_parameters(entry: dict[str, Any]) -> None:
    """`prefect deploy` takes a file that cannot be imported, and the run fails; so it is really loaded here."""
    flow = load(entry)
    module, function = entry["entrypoint"].rsplit(".", 1)
    assert flow is getattr(sys.modules[module], function)
    flow.validate_parameters(entry["parameters"])


@each_entry
def test_flow_is_named_after_its_function(entry: dict[str, Any]) -> None:
    flow = load(entry)
    assert flow.name == flow.fn.__name__.replace("_", "-")


# Deployed for real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    """A whole server with every entry deployed by the command line, as an operator does it."""
    home = tmp_path_factory.mktemp("prefect-server")
    with whole_server(home) as api, SyncPrefectClient(api) as client:
        for pool in sorted({entry["work_pool"]["name"] for entry in ENTRIES}):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        done = subprocess.run(
            [Path(sys.executable).parent / "prefect", "--no-prompt", "deploy", "--all"],
            cwd=ROOT,
            env=server_environment(home, PREFECT_API_URL=api),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield client


def deployed(client: SyncPrefectClient) -> list[DeploymentResponse]:
    return client.read_deployments()


@pytest.mark.prefect
def test_deploying_all_makes_each_entry_a_deployment_of_the_real_flow(server: SyncPrefectClient) -> None:
    flows = {entry["entrypoint"]: load(entry) for entry in ENTRIES}
    found = {(server.read_flow(each.flow_id).name, each.name): each for each in deployed(server)}
    assert set(found) == {(flows[entry["entrypoint"]].name, entry["name"]) for entry in ENTRIES}
    for entry in ENTRIES:
        flow = flows[entry["entrypoint"]]
        deployment = found[flow.name, entry["name"]]
        assert (deployment.parameter_openapi_schema or {}).get("properties") == flow.parameters.properties
        assert (deployment.entrypoint, deployment.pull_steps) == (entry["entrypoint"], [])
        assert deployment.work_pool_name == entry["work_pool"]["name"]
        assert deployment.global_concurrency_limit is None
        assert (set(deployment.tags), deployment.parameters) == (set(entry["tags"]), entry["parameters"])


@pytest.mark.prefect
def test_scheduler_within_a_minute_plans_runs_of_all_but_restores(
    server: SyncPrefectClient,
) -> None:
    """With SQLAlchemy 2.1 the server looks healthy, and its scheduler never plans a single run."""
    entrypoints = {each.id: (each.entrypoint, each.name) for each in deployed(server)}
    wanted = {
        (entry["entrypoint"], entry["name"])
        for kind in ("backup", "drill", "alarm-test")
        for entry in of_kind(kind, ENTRIES)
    }
    scheduled = FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}})
    deadline = time.monotonic() + 60
    planned: set[tuple[str | None, str]] = set()
    while planned < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
        runs = server.read_flow_runs(flow_run_filter=scheduled)
        planned = {entrypoints[run.deployment_id] for run in runs if run.deployment_id}
    assert planned == wanted


@pytest.mark.prefect
def test_restore_form_offers_the_sources_of_the_policy_and_the_server_refuses_others(
    server: SyncPrefectClient, policy: Policy
) -> None:
    assert apply_forms(server, policy) == ["restore/production", "restore/trial", "restore/staging"]

    staging = server.read_deployment_by_name("restore/staging")
    properties = (staging.parameter_openapi_schema or {})["properties"]
    assert "main/databases" in str(properties["sources"])
    assert "keycloak" in properties["databases"]["description"]
    wanted = {"sources": ["main/databases"], "server": "staging-restore", "dry_run": True}
    run = server.create_flow_run_from_deployment(staging.id, parameters=wanted)
    server.delete_flow_run(run.id)
    for wrong in ({"sources": ["main/database"]}, {"environment": "production"}):
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            server.create_flow_run_from_deployment(staging.id, parameters=wanted | wrong)

"""Restores through the flow and the command line: the plan, the approval, the swap, and no server at all."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import resume_flow_run
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from support.anchorage import ROOT, Anchorage, anchorage
from support.policies import demo_text
from support.postgres import MAJORS, dump_text
from support.sshd import SSHD, account, public_line, running_sshd

from blocks import PostgresServer, SftpAccount
from flows.backup import backup_environment
from flows.restore import restore
from lifeboat import clock
from lifeboat.adapters.postgres import PostgresServer as Server
from lifeboat.errors import ConfigurationError, RestoreFailed, RestoreRefused
from lifeboat.model.runbook_text import cell
from lifeboat.stages.keygen import write_private

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
SERVER = "demo-main-databases"


@dataclass
class Port:
    """An environment with a backup of its database and of its documents, by one run."""

    harbour: Anchorage
    policy: str
    run_id: str

    @property
    def server(self) -> Server:
        return self.harbour.ship.server

    def databases(self) -> set[str]:
        with self.server.connect() as session:
            return {str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()}

    def dump(self, database: str) -> str:
        return dump_text(self.server, database, self.harbour.cluster.major)

    def drop(self, *names: str) -> None:
        with self.server.connect() as session:
            for name in names:
                session.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def port(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    folder = tmp_path_factory.mktemp("port")
    with anchorage(folder, rows=3000) as harbour, pytest.MonkeyPatch.context() as patch:
        harbour.register()
        documents = folder / "documents"
        documents.mkdir()
        (documents / "letter.txt").write_text("Dear customer")
        identity = folder / "identity"
        write_private(identity, harbour.ship.operations.identity + "\n")
        patch.setenv("LIFEBOAT_IDENTITY_FILE", str(identity))
        source = {
            "kind": "files",
            "url": documents.as_uri(),
            "consistency": "crash",
            "classification": {"confidentiality": "high", "integrity": "high", "availability": "high"},
        }
        policy = harbour.policy("restores", services__main__sources__documents=source)
        backup_environment("demo", policy=policy)
        manifest = next((folder / "store").glob("main-databases.*.manifest.json"))
        yield Port(harbour, policy, json.loads(manifest.read_text())["statement"]["run_id"])


def artifact(key: str) -> Any:
    async def read() -> list[Any]:
        async with get_client() as client:
            return await client.read_artifacts()

    found = [each for each in asyncio.run(read()) if each.key == key]
    return max(found, key=lambda each: each.created)


def test_whole_environment_comes_back_from_one_run(port: Port, tmp_path: Path) -> None:
    outcomes = restore("demo", server=SERVER, folder=str(tmp_path / "back"), policy=port.policy)

    restored = {outcome.what: outcome for outcome in outcomes}
    assert set(restored) == {"shop", "files"}
    assert all(outcome.state == "restored" for outcome in outcomes)
    assert port.dump(restored["shop"].target) == port.dump("shop")
    assert (tmp_path / "back" / "main-documents" / "letter.txt").read_text() == "Dear customer"
    port.drop(restored["shop"].target)


def test_dry_run_shows_the_plan_and_makes_nothing(port: Port, tmp_path: Path) -> None:
    before = port.databases()

    assert (
        restore("demo", server=SERVER, folder=str(tmp_path / "back"), dry_run=True, policy=port.policy) == []
    )

    assert port.databases() == before
    assert not (tmp_path / "back").exists()
    page = artifact("restore-plan-demo").data
    assert "shop-restored-" in page and cell(str(tmp_path / "back")) in page
    assert "1 file, 13 B" in page


def test_replaced_database_is_kept_and_its_sessions_end(port: Port) -> None:
    with port.server.connect("shop") as session:
        session.execute("CREATE TABLE of_today AS SELECT 1 AS n")
    sleeper = port.server.connect("shop")

    (outcome,) = restore(
        "demo",
        ["main/databases"],
        SERVER,
        databases=["shop"],
        replace=True,
        approval="shop",
        policy=port.policy,
    )

    assert (outcome.target, outcome.state) == ("shop", "restored with findings")
    (kept,) = (name for name in port.databases() if name.startswith("shop-before-"))
    assert kept in outcome.findings[0]
    with port.server.connect(kept) as session:
        assert session.execute("SELECT n FROM of_today").fetchone() == (1,)
    with port.server.connect("shop") as session:
        assert session.execute("SELECT to_regclass('of_today'), count(*) FROM orders").fetchone() == (
            None,
            3000,
        )
    with pytest.raises(Exception, match="terminat"):
        sleeper.execute("SELECT 1")
    port.drop(kept)


def test_wrong_approval_is_refused_and_changes_nothing(port: Port) -> None:
    before = port.databases()
    with pytest.raises(RestoreRefused, match="'shop' was asked for"):
        restore(
            "demo",
            ["main/databases"],
            SERVER,
            databases=["shop"],
            replace=True,
            approval="yes",
            policy=port.policy,
        )
    assert port.databases() == before


def test_run_waits_for_a_person_to_type_the_name_of_what_is_replaced(port: Port) -> None:
    found: list[FlowRun] = []
    approver = threading.Thread(target=approve, args=("shop", found), daemon=True)
    approver.start()

    (outcome,) = restore(
        "demo", ["main/databases"], SERVER, databases=["shop"], replace=True, policy=port.policy
    )

    approver.join(10)
    assert len(found) == 1
    assert outcome.target == "shop"
    assert "Approved by a test: to see it." in artifact("restore-demo").description
    port.drop(*(name for name in port.databases() if name.startswith("shop-before-")))


def approve(typed: str, found: list[FlowRun]) -> None:
    """What somebody at the UI does: look for the paused run, fill in its form."""

    async def paused() -> list[FlowRun]:
        async with get_client() as client:
            runs = await client.read_flow_runs(limit=200)
            return [run for run in runs if run.state and run.state.name == "Paused"]

    limit = clock.Deadline.after(120)
    while not found and not limit.passed():
        found += asyncio.run(paused())
        clock.sleep(0.3)
    asyncio.run(_resume(found[0].id, {"typed": typed, "who": "a test", "why": "to see it"}))


async def _resume(run_id: UUID, form: dict[str, Any]) -> None:
    await resume_flow_run(run_id, run_input=form)  # type: ignore[misc]


def test_target_of_an_environment_that_the_policy_does_not_allow_is_refused(port: Port) -> None:
    values = yaml.safe_load(demo_text())
    rules = yaml.safe_load(Path(port.policy).read_text())
    rules["environments"]["trial"] = values["environments"]["demo"] | {"restore_to": []}
    rules["environments"]["demo"]["restore_to"] = []
    path = Path(port.policy).with_name("two.yaml")
    path.write_text(yaml.safe_dump(rules))
    block = PostgresServer.load(SERVER)
    assert isinstance(block, PostgresServer)
    block.save("trial-main-databases", overwrite=True)
    block.environment = "trial"
    block.save("elsewhere", overwrite=True)

    for name in ("trial-main-databases", "elsewhere"):
        with pytest.raises(
            RestoreRefused, match="does not allow a backup of 'demo' to be restored into 'trial'"
        ):
            restore("demo", ["main/databases"], name, databases=["shop"], policy=str(path))

    block.environment = None
    block.save("nobody-knows-whose", overwrite=True)
    with pytest.raises(ConfigurationError, match="does not say to which environment"):
        restore("demo", ["main/databases"], "nobody-knows-whose", databases=["shop"], policy=str(path))


def test_server_marked_as_one_of_another_environment_is_refused(port: Port) -> None:
    with port.server.connect() as session:
        session.execute("COMMENT ON DATABASE postgres IS 'lifeboat environment: trial'")
    try:
        with pytest.raises(RestoreRefused, match="marked as a server of 'trial'"):
            restore("demo", ["main/databases"], SERVER, databases=["shop"], policy=port.policy)
    finally:
        with port.server.connect() as session:
            session.execute("COMMENT ON DATABASE postgres IS 'default administrative connection database'")


def test_folder_of_another_environment_is_refused(port: Port, tmp_path: Path) -> None:
    (tmp_path / ".environment").write_text("trial\n")
    with pytest.raises(RestoreRefused, match="does not allow"):
        restore("demo", ["main/documents"], folder=str(tmp_path / "a" / "back"), policy=port.policy)
    assert list(tmp_path.iterdir()) == [tmp_path / ".environment"]


@pytest.mark.sshd
@pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")
def test_files_come_back_into_a_folder_of_a_server_once_its_address_was_typed(
    port: Port, tmp_path: Path
) -> None:
    with account() as user, running_sshd(user) as server:
        key = server.key.export_private_key().decode()
        block = SftpAccount(user=user, host_key=public_line(server.host_key), private_key=key)
        block.save("demo-files", overwrite=True)
        where = f"sftp://127.0.0.1:{server.port}{server.folder}/back"
        order: dict[str, Any] = {"sources": ["main/documents"], "folder": where, "files_block": "demo-files"}
        with pytest.raises(RestoreRefused, match="was asked for"):
            restore("demo", approval="no", policy=port.policy, **order)
        assert list(server.folder.iterdir()) == []

        (outcome,) = restore("demo", approval=where.replace("//", f"//{user}@"), policy=port.policy, **order)

        assert outcome.state in ("restored", "restored with findings")
        assert (server.folder / "back" / "letter.txt").read_text() == "Dear customer"


def test_one_object_that_fails_does_not_stop_the_others_and_the_run_is_red(
    port: Port, tmp_path: Path
) -> None:
    """The part of a table is damaged: its database fails, the files come back."""
    harbour = port.harbour
    index = harbour.ship.open()
    shop = next(database for database in index.databases if database.name == "shop")
    part = harbour.folder / "store" / index.part(shop.tables[0].part).name
    sound = part.read_bytes()
    part.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    try:
        with pytest.raises(RestoreFailed, match="1 of 2 objects were not restored") as caught:
            restore("demo", server=SERVER, folder=str(tmp_path / "back"), policy=port.policy)
    finally:
        part.write_bytes(sound)

    states = {outcome.what: outcome.state for outcome in caught.value.outcomes}
    assert states == {"shop": "failed", "files": "restored"}
    assert "is not what was signed" in str(caught.value)
    port.drop(*(name for name in port.databases() if "-restored-" in name))


def blocks_file(port: Port, path: Path) -> Path:
    """The blocks of the environment as a file, its secrets in the environment of the process."""
    ship, server = port.harbour.ship, port.server
    fields: dict[tuple[str, str], dict[str, Any]] = {
        ("postgres-server", SERVER): {
            "host": server.host, "port": server.port, "user": server.user, "tls_mode": "disable",
            "password": {"environment": "PORT_PASSWORD"},
        },
        ("local-store", "demo"): {"folder": str(port.harbour.folder / "store")},
        ("signing-public-keys", "demo"): {"public_keys": [ship.keys.signer.public_pem]},
    }  # fmt: skip
    told = [{"type": kind, "name": name, "fields": values} for (kind, name), values in fields.items()]
    path.write_text(yaml.safe_dump({"blocks": told}))
    return path


def direct(port: Port, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The command on a host where no server answers: the address is one where nobody listens, Prefect's home is empty."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_HOME": str(folder / "prefect"),
        "PORT_PASSWORD": port.server.password(),
    }
    blocks = str(blocks_file(port, folder / "blocks.yaml"))
    command = [sys.executable, "-m", "cli.main", "restore", "demo", *more, "--target", SERVER]
    command += ["--direct", "--blocks", blocks, "--policy", port.policy, "--json"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_wrong_approval_replaces_nothing_without_a_server_either(port: Port, tmp_path: Path) -> None:
    before = port.databases()

    done = direct(
        port, tmp_path, "main/databases", "--database", "shop", "--replace", "--approve", "another", "--yes"
    )

    assert done.returncode == RestoreRefused.exit_code
    assert "'shop' was asked for" in json.loads(done.stdout)["error"]["message"]
    assert port.databases() == before


def test_restore_without_any_prefect_server_brings_everything_back(port: Port, tmp_path: Path) -> None:
    done = direct(port, tmp_path, "--to", str(tmp_path / "back"), "--yes")

    assert done.returncode == 0, done.stderr + done.stdout
    restored = {outcome["what"]: outcome for outcome in json.loads(done.stdout)["restored"]}
    assert {outcome["state"] for outcome in restored.values()} == {"restored"}
    assert port.dump(restored["shop"]["target"]) == port.dump("shop")
    assert (tmp_path / "back" / "main-documents" / "letter.txt").read_text() == "Dear customer"
    assert not list((tmp_path / "prefect").glob("*.db"))
    port.drop(restored["shop"]["target"])

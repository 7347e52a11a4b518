"""The command line on a Prefect server, a real PostgreSQL server and a local store: a whole small life."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
from prefect.states import Scheduled
from support.policies import demo_text
from support.postgres import MAJORS, dump_text

from cli.main import run
from flows.backup import backup_environment
from lifeboat import clock
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.model.outcome import SourceOutcome
from lifeboat.stages.keygen import new_identity, new_signing_key, write_private

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
ROOT = Path(__file__).parents[2]
BLOCK = "shore-main-databases"


@dataclass
class Shore:
    """An environment of its own, so that no other test's blocks or chain heads are met."""

    folder: Path
    cluster: Cluster
    secrets: tuple[str, ...]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def blocks(self) -> str:
        return str(self.folder / "blocks.yaml")

    def policy(self, name: str, **changes: Any) -> str:
        """The path of a policy file for this environment, with single keys changed."""
        path = self.folder / f"{name}.yaml"
        prefix = "environments.demo."
        local = {
            f"{prefix}store": {"kind": "local", "reserve": "1 MiB"},
            f"{prefix}spool": {"folder": str(self.folder / "spool"), "limit": "1 GiB"},
            f"{prefix}services.main.sources.databases.databases": ["shop"],
            f"{prefix}restore_to": [],
        }
        values = yaml.safe_load(
            demo_text(local | {prefix + key.replace("__", "."): value for key, value in changes.items()})
        )
        values["environments"] = {"shore": values["environments"]["demo"]}
        path.write_text(yaml.safe_dump(values, allow_unicode=True))
        return str(path)

    def databases(self) -> set[str]:
        with self.cluster.server.connect() as session:
            return {str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()}


@pytest.fixture(scope="module")
def shore(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shore]:
    folder = tmp_path_factory.mktemp("shore")
    (folder / "store").mkdir()
    keys = {name: new_identity() for name in ("operations", "escrow", "index")}
    signing = new_signing_key()
    write_private(folder / "operations", keys["operations"].identity + "\n")
    with (
        Cluster(folder / "postgres", MAJORS[0], settings={"fsync": "off"}) as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        with cluster.server.connect() as session:
            session.execute("CREATE DATABASE shop")
        with cluster.server.connect("shop") as session:
            session.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
            session.execute("INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 2000) n")
        secrets = {
            "PASSWORD": cluster.password,
            "SIGNING": signing.private_pem,
            "INDEX": keys["index"].identity,
        }
        public = signing.public_pem
        for name, value in secrets.items():
            patch.setenv(f"SHORE_{name}", value)
        patch.setenv("LIFEBOAT_IDENTITY_FILE", str(folder / "operations"))
        made = Shore(folder, cluster, tuple(secrets.values()))
        patch.setenv("LIFEBOAT_POLICY", made.policy("policy"))
        recipients = [keys["operations"].recipient, keys["escrow"].recipient]
        Path(made.blocks).write_text(yaml.safe_dump({"blocks": declared_blocks(made, recipients, public)}))
        assert run(["blocks", "apply", made.blocks]) == 0
        yield made


def declared_blocks(shore: Shore, recipients: list[str], public_key: str) -> list[dict[str, Any]]:
    server = {
        "host": "127.0.0.1",
        "port": shore.cluster.port,
        "user": "postgres",
        "password": {"environment": "SHORE_PASSWORD"},
        "tls_mode": "disable",
    }
    fields = {
        ("postgres-server", BLOCK): server,
        ("local-store", "shore"): {"folder": str(shore.store)},
        ("recipients", "shore"): {"recipients": recipients},
        ("signing-key", "shore"): {"private_key": {"environment": "SHORE_SIGNING"}},
        ("signing-public-keys", "shore"): {"public_keys": [public_key]},
        ("index-identity", "shore"): {"identity": {"environment": "SHORE_INDEX"}},
    }
    return [{"type": kind, "name": name, "fields": told} for (kind, name), told in fields.items()]


Told = Callable[..., Any]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command with ``--json``, compare its exit code, and return what it told."""

    def ask(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        found = run([*arguments, "--json"])
        out = capsys.readouterr().out
        assert found == code, out
        return json.loads(out)

    return ask


@pytest.fixture(scope="module")
def backup_id(shore: Shore) -> str:
    """The first backup of this environment; before it, there is none."""
    assert run(["status", "shore"]) == 1
    assert run(["backup", "shore"]) == 0
    (manifest,) = shore.store.glob("*.manifest.json")
    return str(json.loads(manifest.read_text())["statement"]["backup_id"])


def test_blocks_that_are_applied_again_are_unchanged_and_show_no_secret(
    shore: Shore, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["blocks", "apply", shore.blocks, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("unchanged") == 6
    assert not [secret for secret in shore.secrets if secret.strip() in shown.out + shown.err]


def test_list_shows_the_backup_with_the_reason_why_it_is_kept(
    shore: Shore, backup_id: str, told: Told
) -> None:
    (source,) = told("list", "shore")["sources"]
    (backup,) = source["backups"]
    assert (backup["backup_id"], backup["rows"], backup["quality"]) == (backup_id, 2000, "good")
    assert backup["reasons"][0].startswith("daily of ")
    assert (source["damaged"], source["missing"], source["doubts"]) == ({}, [], [])


def test_list_of_a_source_that_does_not_exist_is_refused(shore: Shore, backup_id: str, told: Told) -> None:
    assert (
        "no source 'main/nosuch'"
        in told("list", "shore", "--source", "main/nosuch", code=3)["error"]["message"]
    )


def test_status_is_fine_while_the_data_is_younger_than_the_rpo(
    shore: Shore, backup_id: str, told: Told
) -> None:
    (status,) = told("status")["shore"]
    assert (status["standing"], status["newest_good"], status["rpo"]) == ("fine", backup_id, 86400.0)
    assert 0 <= status["age"] < 3600


def test_status_without_a_younger_backup_than_the_rpo_is_overdue(
    shore: Shore, backup_id: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = clock.utc_now() + dt.timedelta(hours=25)
    monkeypatch.setattr("lifeboat.clock.utc_now", lambda: later)
    (status,) = told("status", "shore", code=1)["shore"]
    assert status["standing"] == "overdue"
    assert "more than the RPO of 24 h" in status["reasons"][0]


def test_show_names_databases_and_tables_of_the_sealed_index(
    shore: Shore, backup_id: str, told: Told
) -> None:
    shown = told("show", "shore", backup_id, "--tables")
    shop = next(database for database in shown["index"]["databases"] if database["name"] == "shop")
    assert [(table["table"], table["rows"]) for table in shop["tables"]] == [("public.orders", 2000)]
    assert shown["manifest"]["backup_id"] == backup_id


def test_show_of_an_unknown_backup_is_refused(shore: Shore, backup_id: str, told: Told) -> None:
    assert told("show", "shore", "main-databases-nosuch", code=4)["error"]["kind"] == "Refused"


def test_retention_says_would_and_deletes_nothing(
    shore: Shore, backup_id: str, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in shore.store.iterdir())
    (source,) = told("retention", "shore", "--dry-run", "--simulate", "40")["sources"]
    assert [backup["verdict"] for backup in source["backups"]] == ["keep"]
    assert sum(month["days"] for month in source["simulation"]) == 40
    assert run(["retention", "shore"]) == 0
    assert "would stay" in capsys.readouterr().out
    assert sorted(path.name for path in shore.store.iterdir()) == before


def test_restore_brings_back_an_equal_database_and_refuses_to_do_it_twice(
    shore: Shore, backup_id: str, told: Told
) -> None:
    command = ["restore", "shore", "main/databases", "--target", BLOCK, "--database", "shop", "--as", "back"]
    done = told(*command, "--yes")
    assert [planned["backup_id"] for planned in done["plan"]] == [backup_id]
    (restored,) = done["restored"]
    assert (restored["target"], restored["rows"]) == ("back", 2000)
    server, major = shore.cluster.server, shore.cluster.major
    assert dump_text(server, "back", major) == dump_text(server, "shop", major)

    assert "already has 'back'" in told(*command, "--yes", code=4)["error"]["message"]


def test_restore_that_nobody_can_agree_to_is_refused_and_creates_nothing(
    shore: Shore, backup_id: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shore.databases()
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123 - what cron gives
    assert run(["restore", "shore", "main/databases", "--target", BLOCK, "--database", "shop"]) == 4
    shown = capsys.readouterr()
    assert "would be restored as" in shown.out
    assert "Add --yes" in shown.err
    assert shore.databases() == before


def test_restore_refused_on_the_terminal_returns_130_and_creates_nothing(
    shore: Shore, backup_id: str
) -> None:
    before = shore.databases()
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "restore", "shore", "main/databases", "--target", BLOCK],
        cwd=ROOT,
        env=process_environment(),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(keyboard, b"no\n")
    out, err = process.communicate(timeout=120)
    os.close(keyboard)
    os.close(terminal)
    assert process.returncode == 130, err
    assert "would be restored as" in out
    assert "Not restored: nothing was created or changed." in err
    assert shore.databases() == before


def test_restore_on_a_host_without_an_identity_is_refused(
    shore: Shore, backup_id: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIFEBOAT_IDENTITY_FILE")
    error = told("restore", "shore", "main/databases", "--target", BLOCK, "--yes", code=3)["error"]
    assert "LIFEBOAT_IDENTITY_FILE is not set" in error["message"]


def test_backup_of_a_source_that_lacks_a_database_is_red_and_says_which(
    shore: Shore, backup_id: str, told: Told
) -> None:
    policy = shore.policy("lacking", services__main__sources__databases__databases=["shop", "gone"])
    error = told("backup", "shore", "--policy", policy, code=1)["error"]
    assert "main/databases" in error["message"] and "'gone'" in error["message"]


def test_backup_of_an_unknown_source_is_refused(shore: Shore, backup_id: str, told: Told) -> None:
    error = told("backup", "shore", "--only", "main/nosuch", code=3)["error"]
    assert "'main/nosuch'" in error["message"]


def test_backup_that_is_covered_exits_with_0_and_says_so(
    shore: Shore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Only a run that was scheduled earlier can be covered, and this command starts runs of now.
    assert callable(backup_environment)
    covered = SourceOutcome(service="main", source="databases", state="skipped", findings=("x is newer",))
    monkeypatch.setattr("flows.backup.backup_environment", lambda *_, **__: [covered])
    assert run(["backup", "shore"]) == 0
    assert "a newer good backup covers this slot already" in capsys.readouterr().err


def test_damaged_manifest_is_shown_everywhere_and_alarms(shore: Shore, backup_id: str, told: Told) -> None:
    (manifest,) = shore.store.glob("*.00000001.manifest.json")
    sound = manifest.read_bytes()
    manifest.chmod(0o600)
    try:
        manifest.write_bytes(sound.replace(b'"rows":2000', b'"rows":9000'))
        (status,) = told("status", "shore", code=6)["shore"]
        assert "was altered after it was signed" in status["doubts"][0]
        (source,) = told("list", "shore")["sources"]
        assert list(source["damaged"]) == ["1"]
        (source,) = told("retention", "shore", code=4)["sources"]
        assert source["refusals"]
    finally:
        manifest.write_bytes(sound)


def test_manifests_removed_behind_our_back_alarm_although_the_store_looks_empty(
    shore: Shore, backup_id: str, told: Told
) -> None:
    manifests = list(shore.store.glob("*.manifest.json"))
    for path in manifests:
        path.rename(shore.folder / path.name)
    try:
        assert told("status", "shore", code=6)["shore"][0]["doubts"]
        (source,) = told("list", "shore")["sources"]
        assert source["missing"]
    finally:
        for path in manifests:
            (shore.folder / path.name).rename(path)


def test_doctor_finds_what_is_missing_and_all_well_once_it_is_there(shore: Shore, told: Told) -> None:
    without = told("doctor", "shore", code=1)
    (failure,) = [check for check in without if check["verdict"] == "failed"]
    assert failure["message"] == "The deployment 'backup-environment/shore' does not exist."
    schedule_a_run()
    checks = told("doctor", "shore")
    assert {check["verdict"] for check in checks} == {"ok"} | {
        check["verdict"] for check in checks if "does not name it" in check["message"]
    }
    assert [check["message"][:28] for check in checks if check["subject"] == "shore: schedule"] == [
        "the next run is scheduled fo"
    ]
    assert not list(shore.store.glob("probe-*"))


def schedule_a_run() -> None:
    """What ``prefect deploy`` and the scheduler do."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("backup-environment")
        deployment = client.create_deployment(flow_id=flow_id, name="shore")
        moment = clock.utc_now() + dt.timedelta(hours=6)
        client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=moment))


def test_status_as_a_process_exits_with_its_code_and_keeps_stdout_clean(shore: Shore, backup_id: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "status", "--json"],
        cwd=ROOT,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["shore"][0]["standing"] == "fine"


def test_api_that_does_not_answer_is_refused_with_what_to_do(shore: Shore, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "status", "--json"],
        cwd=ROOT,
        env=process_environment() | {"PREFECT_API_URL": "http://user:S3CRET@127.0.0.1:9/api"},
        capture_output=True,
        text=True,
        check=False,
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (3, "ConfigurationError")
    assert "http://127.0.0.1:9/api does not answer" in error["message"]
    assert "S3CRET" not in done.stdout + done.stderr


def process_environment() -> dict[str, str]:
    """This process's environment, with the shared test server in it."""
    return {
        **os.environ,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(PREFECT_HOME.value()),
    }


@pytest.mark.skipif(
    bool(MISSING := [tool for tool in ("age", "zstd", "jq", "openssl") if shutil.which(tool) is None]),
    reason=f"not installed: {', '.join(MISSING)}",
)
def test_the_commands_on_the_printed_page_restore_without_lifeboat(
    shore: Shore, backup_id: str, told: Told, tmp_path: Path
) -> None:
    written = told("runbook", "shore", "--output", str(tmp_path))
    assert (written["without_backup"], written["offline"]) == ([], False)
    assert {"restore.sh", "shore.signing.pem", "shore.main.html", "shore.overview.md"} <= set(
        written["files"]
    )
    page, overview = (tmp_path / f"shore.{name}.md" for name in ("main", "overview"))
    assert f"`{backup_id}`, place 1" in page.read_text()
    assert (tmp_path / "shore.signing.pem").read_text() in overview.read_text()
    commands = "".join(re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    for printed, here in {
        r"apt-get .*": "",
        r"export PGHOST=.*": "",
        "/path/of/the/identity": str(shore.folder / "operations"),
        "/srv/recovery": str(tmp_path),
        "main/databases shop shop": "main/databases shop from_paper",
    }.items():
        commands, count = re.subn(printed, here, commands)
        assert count, printed
    server = shore.cluster.server
    programs = Path(server.program("psql", MAJORS[0])).parent
    variables = server.environment() | {"PATH": f"{programs}:/usr/bin:/bin"}

    done = subprocess.run(["sh", "-eu"], input=commands, env=variables, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert dump_text(server, "from_paper", MAJORS[0]) == dump_text(server, "shop", MAJORS[0])


def test_runbook_of_a_store_that_does_not_answer_is_written_only_when_asked_for_offline(
    shore: Shore, told: Told, tmp_path: Path
) -> None:
    moved = shore.store.rename(shore.store.with_name("moved"))
    try:
        assert told("runbook", "shore", "--output", str(tmp_path / "out"), code=5)["error"]["kind"]
        assert not (tmp_path / "out").exists()
        assert told("runbook", "shore", "--offline", "--output", str(tmp_path / "out"))["offline"]
    finally:
        moved.rename(shore.store)

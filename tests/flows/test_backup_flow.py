"""The backup and restore flows on a Prefect server, against a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
from support.anchorage import forget_heads
from support.policies import demo_text
from support.postgres import MAJORS, dump_text

from blocks import IndexIdentity, LocalStore, PostgresServer, Recipients, SigningKey, SigningPublicKeys
from flows.backup import backup_environment
from flows.restore import restore
from lifeboat import clock
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.errors import SourceError
from lifeboat.stages.fetch import read_catalog
from lifeboat.stages.keygen import new_identity, new_signing_key, write_private

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
CANARY = "S3CRET-canary-7f31"


@dataclass
class Harbour:
    """A server, a local store and registered blocks; ``policy`` is the path of a policy that uses them."""

    cluster: Cluster
    store: LocalStore
    policy: str
    folder: Path
    signing: SigningPublicKeys

    def committed(self) -> list[str]:
        catalog = read_catalog(self.store.target(), "demo", "main-databases", self.signing.trusted())
        assert not catalog.doubts
        return [entry.manifest.backup_id for entry in catalog.entries]


@pytest.fixture(scope="module")
def harbour(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "store").mkdir()
    policy = folder / "policy.yaml"
    prefix = "environments.demo."
    changes = {
        "store": {"kind": "local", "reserve": "1 MiB"},
        "spool": {"folder": str(folder / "spool"), "limit": "1 GiB"},
        "services.main.sources.databases.databases": ["shop"],
    }
    policy.write_text(demo_text({prefix + key: value for key, value in changes.items()}))
    with Cluster(folder / "postgres", MAJORS[-1], settings={"fsync": "off"}) as cluster:
        with cluster.server.connect() as session:
            session.execute(f"ALTER ROLE postgres PASSWORD '{CANARY}'")
            cluster.password = CANARY
        with cluster.server.connect() as session:
            session.execute("CREATE DATABASE shop")
        with cluster.server.connect("shop") as session:
            session.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
            session.execute("INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 50000) n")
        keys, escrow, index, signing = new_identity(), new_identity(), new_identity(), new_signing_key()
        identity = folder / "identity"
        write_private(identity, keys.identity)
        os.environ["LIFEBOAT_IDENTITY_FILE"] = str(identity)
        forget_heads()
        PostgresServer(
            host="127.0.0.1", port=cluster.port, user="postgres", password=CANARY, tls_mode="disable"
        ).save("demo-main-databases", overwrite=True)
        store = LocalStore(folder=str(folder / "store"))
        store.save("demo", overwrite=True)
        Recipients(recipients=[keys.recipient, escrow.recipient]).save("demo", overwrite=True)
        SigningKey(private_key=signing.private_pem).save("demo", overwrite=True)
        public_keys = SigningPublicKeys(public_keys=[signing.public_pem])
        public_keys.save("demo", overwrite=True)
        IndexIdentity(identity=index.identity).save("demo", overwrite=True)
        yield Harbour(cluster, store, str(policy), folder, public_keys)
        del os.environ["LIFEBOAT_IDENTITY_FILE"]


async def _task_runs() -> list[Any]:
    async with get_client() as client:
        return await client.read_task_runs(limit=200)


async def _artifacts() -> list[Any]:
    async with get_client() as client:
        return await client.read_artifacts()


def test_backup_then_restore_brings_an_equal_database_back(harbour: Harbour) -> None:
    (outcome,) = backup_environment("demo", policy=harbour.policy)
    assert (outcome.state, outcome.databases, outcome.rows) == ("committed", 2, 50_000)

    (restored,) = restore(
        "demo", ["main/databases"], "demo-main-databases", databases=["shop"], policy=harbour.policy
    )

    server, major = harbour.cluster.server, harbour.cluster.major
    assert dump_text(server, restored.target, major) == dump_text(server, "shop", major)
    keys = {artifact.key for artifact in asyncio.run(_artifacts())}
    assert {"backup-main-databases", "prune-main-databases", "run-demo", "restore-demo"} <= keys


def test_dump_shows_as_a_child_of_encrypt_and_every_stage_has_its_runs(harbour: Harbour) -> None:
    backup_environment("demo", policy=harbour.policy)

    runs = asyncio.run(_task_runs())
    by_id = {str(run.id): run for run in runs}
    stages = {run.name.split()[0] for run in runs}
    assert {"snapshot", "dump", "encrypt", "upload", "checksum", "publish", "prune"} <= stages
    for run in (run for run in runs if run.name.startswith("dump ")):
        (parent,) = run.task_inputs["__parents__"]
        assert by_id[str(parent.id)].name.startswith("encrypt ")


def test_a_missing_database_turns_the_run_red_and_names_it(harbour: Harbour) -> None:
    before = harbour.committed()
    policy = Path(harbour.policy).with_name("missing.yaml")
    values = yaml.safe_load(Path(harbour.policy).read_text())
    values["environments"]["demo"]["services"]["main"]["sources"]["databases"]["databases"] += ["ledger"]
    policy.write_text(yaml.safe_dump(values))

    with pytest.raises(SourceError, match="'ledger'"):
        backup_environment("demo", policy=str(policy))

    assert harbour.committed() == before


def test_a_slot_covered_by_a_newer_good_backup_is_skipped(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup_environment("demo", policy=harbour.policy)
    before = harbour.committed()
    newest = read_catalog(
        harbour.store.target(), "demo", "main-databases", harbour.signing.trusted()
    ).newest_good
    assert newest is not None
    monkeypatch.setattr("tasks.plan.scheduled_for", lambda: newest.manifest.data_timestamp)

    state = backup_environment("demo", policy=harbour.policy, return_state=True)

    assert (state.type.value, state.name) == ("COMPLETED", "Skipped")
    assert harbour.committed() == before


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_children_and_commits_nothing(
    harbour: Harbour, how: signal.Signals
) -> None:
    before = harbour.committed()
    with harbour.cluster.server.connect("shop") as session:
        session.execute(
            "CREATE TABLE IF NOT EXISTS bulk AS SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 2000000) n"
        )
    script = (
        f"from flows.backup import backup_environment; backup_environment('demo', policy={harbour.policy!r})"
    )
    environment = os.environ | {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_HOME": str(PREFECT_HOME.value()),
    }  # fmt: skip
    run = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        children = _children_once_copying(harbour, run.pid)
        watch = clock.Stopwatch()
        run.send_signal(how)
        run.wait(30)
        assert watch.seconds() < 25
    finally:
        run.kill()
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert gone
    assert not alive
    assert harbour.committed() == before
    with harbour.cluster.server.connect("shop") as session:
        session.execute("DROP TABLE bulk")
    (outcome,) = backup_environment("demo", policy=harbour.policy)
    assert outcome.state == "committed"


def _children_once_copying(harbour: Harbour, pid: int) -> list[psutil.Process]:
    deadline = clock.Deadline.after(40)
    with harbour.cluster.server.connect() as session:
        while not deadline.passed():
            copying = session.execute(
                "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY %'"
            ).fetchall()
            if copying:
                return psutil.Process(pid).children(recursive=True)
            clock.sleep(0.05)
    raise AssertionError("the dump never began")


def test_secrets_reach_neither_the_servers_database_nor_its_logs(harbour: Harbour) -> None:
    with harbour.cluster.server.connect() as session:
        session.execute("ALTER ROLE postgres PASSWORD 'something else'")
        try:
            with pytest.raises(SourceError, match="password authentication failed"):
                backup_environment("demo", policy=harbour.policy)
        finally:
            session.execute(f"ALTER ROLE postgres PASSWORD '{CANARY}'")
    home = Path(str(PREFECT_HOME.value()))
    for path in (path for path in home.rglob("*") if path.is_file()):
        assert CANARY.encode() not in path.read_bytes(), path

"""``make demo``: the product's own code on a small policy, from an empty folder to a proven restore.

Starts two embedded PostgreSQL servers, an SFTP server and a Prefect server on loopback, takes two backups with a day of
work in between, lets retention decide, has disasters and recovers from them, compares byte for byte, and drills.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.table import Table

from cli.demo_data import A_DAY_OF_WORK, fill, run
from cli.demo_disasters import ELSEWHERE, MAJOR, Coast, all_disasters
from cli.demo_files import a_day_of_paperwork, fill_files
from cli.demo_nas import make_keys
from cli.demo_told import console, say, type_command
from lifeboat import clock
from lifeboat.adapters.policy_file import shipped_policies
from lifeboat.adapters.postgres_cluster import Cluster, free_port
from lifeboat.errors import ConfigurationError
from lifeboat.model.outcome import SourceOutcome, holdings, human_bytes
from lifeboat.stages.keygen import new_identity, new_signing_key, write_private

START_LIMIT = 120.0


@contextlib.contextmanager
def nas(folder: Path) -> Iterator[dict[str, str]]:
    """An SFTP server over ``folder/nas``; yields what the nas-store block needs."""
    host_key, client_key = make_keys(folder / "keys")
    (folder / "nas" / "demo").mkdir(parents=True)
    settings = {
        "root": str(folder / "nas"),
        "port": free_port(),
        "host_key_file": str(folder / "keys" / "host_key"),
        "authorized_keys_file": str(folder / "keys" / "authorized_keys"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.demo_nas", json.dumps(settings)], stdin=subprocess.PIPE
    )
    try:
        yield {
            "host": "127.0.0.1", "port": str(settings["port"]), "user": "lifeboat", "folder": "demo",
            "host_key": host_key, "private_key": client_key,
        }  # fmt: skip
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def prefect_server(folder: Path) -> Iterator[Callable[[], str]]:
    """A Prefect server of its own, with its UI; yields what waits for it and returns the UI's address.

    It takes longest to start, so it starts first and is waited for when it is needed.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    os.environ |= {
        "PREFECT_API_URL": f"{address}/api",
        # Without it the pages ask port 4200, whatever port they came from.
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    with (folder / "prefect.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--host", "127.0.0.1"],
            stdout=log, stderr=log, process_group=0,
        )  # fmt: skip
    try:
        yield lambda: _ready(address, process, folder / "prefect.log")
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def _ready(address: str, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = clock.Deadline.after(START_LIMIT)
    while not deadline.passed() and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/health", timeout=2):  # noqa: S310 - our own, on loopback
                return address
        except (urllib.error.URLError, OSError):
            clock.sleep(0.3)
    raise ConfigurationError(f"The Prefect server did not start; see {log}.")


def register_blocks(folder: Path, postgres: Cluster, store: dict[str, str], elsewhere: Cluster) -> Path:
    """Keys, and the blocks that hold all but the identities; returns the path of that of operations."""
    from blocks.apply import apply_blocks

    operations, escrow, index, signing = new_identity(), new_identity(), new_identity(), new_signing_key()
    identity_file = folder / "keys" / "operations.identity"
    write_private(identity_file, operations.identity + "\n")
    write_private(folder / "keys" / "escrow.identity", escrow.identity + "\n")
    (folder / "keys" / "signing.pem").write_text(signing.public_pem)
    secrets = {
        "DEMO_PASSWORD": postgres.password,
        "DEMO_ELSEWHERE_PASSWORD": elsewhere.password,
        "DEMO_NAS_KEY": store["private_key"],
        "DEMO_SIGNING_KEY": signing.private_pem,
        "DEMO_INDEX_IDENTITY": index.identity,
    }
    servers = {
        "demo-main-databases": (postgres, "DEMO_PASSWORD"),
        ELSEWHERE: (elsewhere, "DEMO_ELSEWHERE_PASSWORD"),
    }
    document = {
        "blocks": [
            *(_server_block(name, cluster, password) for name, (cluster, password) in servers.items()),
            {
                "type": "nas-store",
                "name": "demo",
                "fields": store | {"port": int(store["port"]), "private_key": {"environment": "DEMO_NAS_KEY"}},
            },
            {"type": "recipients", "name": "demo", "fields": {"recipients": [operations.recipient, escrow.recipient]}},
            {"type": "signing-key", "name": "demo", "fields": {"private_key": {"environment": "DEMO_SIGNING_KEY"}}},
            {"type": "signing-public-keys", "name": "demo", "fields": {"public_keys": [signing.public_pem]}},
            {"type": "index-identity", "name": "demo", "fields": {"identity": {"environment": "DEMO_INDEX_IDENTITY"}}},
        ]
    }  # fmt: skip
    apply_blocks(json.dumps(document), where="the demo", environ=secrets)
    return identity_file


def _server_block(name: str, cluster: Cluster, password: str) -> dict[str, object]:
    fields = {
        "host": "127.0.0.1", "port": cluster.port, "user": "postgres", "password": {"environment": password},
        "tls_mode": "disable",
    }  # fmt: skip
    return {"type": "postgres-server", "name": name, "fields": fields}


def write_policy(folder: Path, documents: Path, configuration: Path) -> Path:
    """The shipped demo policy, with this machine's folders in it."""
    text = shipped_policies()["demo"].read_text()
    for shipped, here in {"documents": documents, "authentication": configuration}.items():
        text = text.replace(f"file:///srv/lifeboat-demo/{shipped}", here.as_uri())
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def tell(number: int, outcomes: list[SourceOutcome]) -> None:
    """One row per source: what it holds, what travelled, what was there already."""
    table = Table(
        "source", "holds", "size", "travelled", "on the store already", "seconds", title=f"Backup {number}"
    )
    for outcome in outcomes:
        table.add_row(
            f"{outcome.service}/{outcome.source}",
            holdings(outcome),
            human_bytes(outcome.plain_bytes),
            human_bytes(outcome.sealed_bytes),
            human_bytes(outcome.referenced_bytes),
            f"{outcome.seconds:.1f}",
        )
    console.print(table)
    say(
        "Each was encrypted in one pass, read back over a second connection, and committed by a signed manifest."
    )


def sail(folder: Path) -> None:
    watch = clock.Stopwatch()
    documents, configuration = fill_files(folder / "files")
    policy = str(write_policy(folder, documents, configuration))
    os.environ["LIFEBOAT_POLICY"] = policy
    with (
        prefect_server(folder) as prefect_ready,
        Cluster(folder / "postgres", MAJOR, settings={"fsync": "off"}) as postgres,
        Cluster(folder / "elsewhere", MAJOR, settings={"fsync": "off"}) as elsewhere,
        nas(folder) as store,
    ):
        fill(postgres.server)
        ui = prefect_ready()
        say(f"PostgreSQL {MAJOR} on port {postgres.port}, SFTP NAS on port {store['port']}, Prefect on {ui}")
        os.environ["LIFEBOAT_IDENTITY_FILE"] = str(register_blocks(folder, postgres, store, elsewhere))
        say("Blocks registered. The identity that opens backups is a file on this host, in no block.")
        from flows.backup import backup_environment

        for number, work in enumerate((None, A_DAY_OF_WORK), start=1):
            if work:
                run(postgres.server, work)
                a_day_of_paperwork(documents)
                say("A day of work: rows inserted, updated and deleted, files too.")
            tell(number, backup_environment("demo", policy=policy))
        for command in (["list", "demo"], ["retention", "demo", "--dry-run"], ["status", "demo"]):
            type_command(*command)
        all_disasters(
            Coast(
                live=postgres.server,
                elsewhere=elsewhere.server,
                trees={"main/documents": documents, "authentication/configuration": configuration},
                keys=folder / "keys",
                store=folder / "nas" / "demo",
                folder=folder,
                policy=policy,
            )
        )
        say(
            "A drill: the newest recovery point into a sandbox, compared, probed, measured; then an older one."
        )
        page = folder / "drill.html"
        type_command("drill", "demo", "--page", str(page))
        say(f"The drill's page: {page.as_uri()}")
        say(f"The runs, as the UI shows them: {ui}/v2/runs")
        say(f"Done in {watch.seconds():.0f} s.")
        if os.environ.get("KEEP"):
            console.input("The servers stay up until you press Enter. ")


def main() -> None:
    """Everything lives below ``.demo`` in the working folder, and is made anew each time."""
    folder = Path.cwd() / ".demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    sail(folder)


if __name__ == "__main__":
    main()

"""An environment as flows know it: a ship's server, store and keys as blocks, and a policy file that names them.

Judged without Prefect: the ship reads its store with the stage functions, and restores from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from prefect.variables import Variable
from support.policies import demo_text
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from blocks import (
    IndexIdentity,
    LocalStore,
    NasStore,
    PostgresServer,
    Recipients,
    SigningKey,
    SigningPublicKeys,
)
from lifeboat import clock
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.model.signed import Signer

ROOT = Path(__file__).parents[2]
MARK = "LIFEBOAT_TEST_MARK"
"""Environment variable by which the processes of a test's run are recognised."""


@dataclass
class Anchorage:
    """One environment, ``demo``, with one source of one database, ``shop``."""

    cluster: Cluster
    ship: Ship

    @property
    def folder(self) -> Path:
        return self.ship.folder

    def policy(self, name: str = "policy", **changes: Any) -> str:
        """The path of a policy file; ``changes`` are keys of the environment, ``__`` for the dot."""
        local = {
            "store": {"kind": "local", "reserve": "1 MiB"},
            "spool": {"folder": str(self.folder / "spool"), "limit": "1 GiB"},
            "services.main.sources.databases.databases": ["shop"],
        }
        told = local | {key.replace("__", "."): value for key, value in changes.items()}
        path = self.folder / f"{name}.yaml"
        path.write_text(demo_text({f"environments.demo.{key}": value for key, value in told.items()}))
        return str(path)

    def register(self, *, server_port: int | None = None, store_port: int | None = None) -> None:
        """Save the blocks at whichever Prefect server this process now talks to.

        With ports, runs go through the proxies there, while this test still takes the direct way.
        """
        forget_heads()
        PostgresServer(
            host="127.0.0.1",
            port=server_port or self.cluster.port,
            user="postgres",
            password=self.cluster.password,
            tls_mode="disable",
        ).save("demo-main-databases", overwrite=True)
        _store_block(self.ship.store, store_port).save("demo", overwrite=True)
        keys = [self.ship.operations.recipient, self.ship.escrow.recipient]
        Recipients(recipients=keys).save("demo", overwrite=True)
        SigningKey(private_key=self.ship.signing.private_pem).save("demo", overwrite=True)
        trusted = [Signer.from_pem(self.ship.signing.private_pem).public_pem]
        SigningPublicKeys(public_keys=trusted).save("demo", overwrite=True)
        IndexIdentity(identity=self.ship.index.identity).save("demo", overwrite=True)

    def rewrite(self) -> None:
        """Change every row: what is as it was would not travel again."""
        with self.cluster.server.connect("shop") as session:
            session.execute("UPDATE orders SET note = md5(random()::text) || md5(random()::text)")

    def committed(self) -> list[str]:
        """Backup ids on the store, oldest first; insists that there is no doubt about any."""
        catalog = self.ship.catalog()
        assert catalog.doubts == ()
        return [entry.manifest.backup_id for entry in catalog.entries]

    def digests(self) -> dict[str, str]:
        """SHA-256 of every object on the store, as the disk has it."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in _folder(self.ship).iterdir()
        }

    def prove(self, *backup_ids: str) -> None:
        """Each of these backups restores to what the database holds now."""
        server, major = self.cluster.server, self.cluster.major
        expected = dump_text(server, "shop", major)
        for backup_id in backup_ids:
            (restored,) = self.ship.restore(backup_id, databases=["shop"], new_name="proof")
            assert dump_text(server, restored.target, major) == expected
            with server.connect() as session:
                session.execute("DROP DATABASE proof")

    def environment(self, **more: str) -> dict[str, str]:
        """For a run in a process of its own; it and its children carry the mark."""
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
        return os.environ | {"PYTHONPATH": path, MARK: str(self.folder), "DO_NOT_TRACK": "1"} | more

    def leftovers(self, *, but: str = "nothing") -> list[str]:
        """Processes that still carry the mark a few seconds after their run ended, ``but`` those said to stay."""
        limit = clock.Deadline.after(5)
        while (
            left := [each for each in _marked(str(self.folder)) if but not in each]
        ) and not limit.passed():
            clock.sleep(0.1)
        return left


def forget_heads() -> None:
    """What another environment of that name left behind would say that this store was rolled back (F30)."""
    for source in ("databases", "documents", "logs"):
        Variable.unset(f"lifeboat-head-demo-main-{source}")


@contextlib.contextmanager
def anchorage(folder: Path, rows: int) -> Iterator[Anchorage]:
    """The newest PostgreSQL with ``rows`` rows in ``shop``, and a store in a folder; no blocks yet."""
    (folder / "store").mkdir()
    with Cluster(folder / "postgres", MAJORS[-1], settings={"fsync": "off"}) as cluster:
        with cluster.server.connect() as session:
            session.execute("CREATE DATABASE shop")
        with cluster.server.connect("shop") as session:
            session.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
            # md5 does not compress: what is sent is about as long as what was read.
            session.execute(
                "INSERT INTO orders SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, %s) n",
                (rows,),
            )
        server, store = FixedPassword.of(cluster), LocalTarget(folder / "store")
        yield Anchorage(cluster, Ship(server=server, store=store, folder=folder, databases=("shop",)))


def python(*arguments: str) -> list[str]:
    """The command line of this Python."""
    return [sys.executable, *arguments]


def _marked(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                found.append(" ".join(process.cmdline()))
    return found


def _folder(ship: Ship) -> Path:
    return Path(ship.store.folder)


def _store_block(target: LocalTarget | SftpTarget, port: int | None) -> LocalStore | NasStore:
    if isinstance(target, LocalTarget):
        return LocalStore(folder=str(target.folder))
    return NasStore(
        host=target.host,
        port=port or target.port,
        user=target.user,
        folder=target.folder,
        host_key=target.host_key,
        private_key=target.private_key,
    )

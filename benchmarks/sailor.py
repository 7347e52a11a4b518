"""Lifeboat's side: one backup or one restore by the stage functions, in a process of its own.

``python -m benchmarks.sailor backup|restore`` with ``Orders`` as JSON on standard input; the timings come back as
one line of JSON. The stages run in the order in which the flows run them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.spool import Spool
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.model.restore_choice import choose
from lifeboat.model.restore_plan import plan_restore
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages import restore
from lifeboat.stages.direct import take_backup
from lifeboat.stages.fetch import fetch_index, read_catalog
from lifeboat.stages.target_server import look_at_target
from lifeboat.stages.voyage import Keys, ServerVoyage, new_run_id

ENVIRONMENT, SERVICE, SOURCE = "demo", "main", "databases"
TIME_LIMIT = 3600.0
RESTORE_JOBS = 2


@dataclass(frozen=True)
class Orders:
    """Everything the child is told. It holds secrets, so it travels down standard input."""

    databases: list[str]
    folder: str
    server_port: int
    server_password: str = field(repr=False)
    store: dict[str, str | int] = field(repr=False)
    signing_key: str = field(repr=False)
    recipients: list[str]
    identity: str = field(repr=False)
    index_recipient: str
    index_identity: str = field(repr=False)

    @property
    def server(self) -> PostgresServer:
        return PostgresServer(
            host="127.0.0.1",
            port=self.server_port,
            user="postgres",
            password=lambda: self.server_password,
            tls_mode="disable",
        )

    @property
    def target(self) -> SftpTarget:
        return SftpTarget(**self.store)  # type: ignore[arg-type]

    @property
    def trusted(self) -> TrustedKeys:
        return TrustedKeys.from_pems(Signer.from_pem(self.signing_key).public_pem)


@contextmanager
def _voyage(orders: Orders) -> Iterator[ServerVoyage]:
    """The demonstration policy with the benchmark's databases, and every other setting as it comes."""
    policy = read_policy(Path("demo"))
    environment = policy.environment(ENVIRONMENT)
    source = environment.services[SERVICE].sources[SOURCE]
    # The server's own database is left out, as the shell lines leave it out.
    source = source.model_copy(update={"databases": tuple(orders.databases), "skip": ("postgres",)})
    keys = Keys(
        recipients=tuple(orders.recipients),
        signer=Signer.from_pem(orders.signing_key),
        trusted=orders.trusted,
        index_identity=orders.index_identity,
        index_recipient=orders.index_recipient,
    )
    run_id = new_run_id()
    spool_limit = environment.spool.limit
    with Spool(Path(orders.folder) / "spool", run_id, limit=spool_limit) as spool, Crew() as crew:
        yield ServerVoyage(
            environment_name=ENVIRONMENT,
            service=SERVICE,
            source_name=SOURCE,
            run_id=run_id,
            environment=environment,
            source=source,  # type: ignore[arg-type]
            policy=policy.reference,
            time_zone=policy.time_zone,
            server=orders.server,
            store=orders.target,
            prune_store=orders.target,
            keys=keys,
            spool=spool,
            crew=crew,
            deadline=clock.Deadline.after(TIME_LIMIT),
        )


def back_up(orders: Orders) -> dict[str, float]:
    """Survey to publish. ``data_path`` is snapshot to read-back, ``stages`` the whole; both in seconds."""
    whole = clock.Stopwatch()
    with _voyage(orders) as voyage:
        published = take_backup(voyage)
        return {
            "data_path": published.manifest.timings["data_path"] / 1000,
            "stages": whole.seconds(),
            "plain_bytes": published.manifest.totals.plain_bytes,
        }


def bring_back(orders: Orders) -> dict[str, float]:
    """Catalogue to the last named database, from nothing but the store and one identity."""
    whole = clock.Stopwatch()
    catalog = read_catalog(orders.target, ENVIRONMENT, f"{SERVICE}-{SOURCE}", orders.trusted)
    manifest = choose(catalog).manifest
    index = fetch_index(orders.target, manifest, [orders.identity])
    plan = plan_restore(manifest, index, present=look_at_target(orders.server).databases)
    with Crew() as crew:
        deadline = clock.Deadline.after(TIME_LIMIT)
        loader = Loader(store=orders.target, identities=(orders.identity,), crew=crew, deadline=deadline)
        loader.make_ready(RESTORE_JOBS)
        for wanted in plan.databases:
            restore.restore_database(plan, wanted, loader, orders.server, jobs=RESTORE_JOBS)
    return {"stages": whole.seconds()}


def main() -> None:
    work = {"backup": back_up, "restore": bring_back}[sys.argv[1]]
    print(json.dumps(work(Orders(**json.load(sys.stdin)))))


if __name__ == "__main__":
    main()

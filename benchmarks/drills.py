"""A drill beside the restore that is in it: the same backup over SFTP, into a server of default settings.

``python -m benchmarks.drills``; prints what each took, and the ratio. The drill compares every table, the schema and
the roles, and destroys its sandbox; making the sandbox's server is told apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import LiteralString

import yaml

from benchmarks import data
from benchmarks.nas import running_nas
from benchmarks.sailor import (
    ENVIRONMENT,
    RESTORE_JOBS,
    SERVICE,
    SOURCE,
    TIME_LIMIT,
    Orders,
    back_up,
    bring_back,
)
from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.policy_file import shipped_policies
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.model.drill_record import DrillRecord, new_drill_id
from lifeboat.model.policy import Policy, load_policy
from lifeboat.stages.drill import drill
from lifeboat.stages.drill_facts import DrillOrder
from lifeboat.stages.drill_view import view_for_drill
from lifeboat.stages.keygen import new_identity, new_signing_key
from lifeboat.stages.restore_order import RestorePlaces
from lifeboat.stages.voyage import random_suffix


def policy_of(databases: tuple[str, ...], sandboxes: Path) -> Policy:
    """The demonstration policy with these databases alone, and without older backups."""
    values = yaml.safe_load(shipped_policies()["demo"].read_text())
    services = values["environments"][ENVIRONMENT]["services"]
    source = services[SERVICE]["sources"][SOURCE] | {
        "databases": list(databases),
        "skip": ["postgres"],
        "probes": {},
    }
    values["environments"][ENVIRONMENT]["services"] = {SERVICE: {"sources": {SOURCE: source}}}
    values["drills"] = {"folder": str(sandboxes), "older": False}
    return load_policy(yaml.safe_dump(values), where="the benchmark")


def drilled(orders: Orders, policy: Policy) -> DrillRecord:
    """One drill of everything, from nothing but the store and one identity."""
    drill_id = new_drill_id(clock.utc_now(), random_suffix())
    order = DrillOrder(policy, ENVIRONMENT, drill_id, jobs=RESTORE_JOBS)
    places = RestorePlaces(store=orders.target, trusted=orders.trusted, identities=(orders.identity,))
    with Crew() as crew:
        loader = Loader(
            store=orders.target,
            identities=places.identities,
            crew=crew,
            deadline=clock.Deadline.after(TIME_LIMIT),
        )
        loader.make_ready(RESTORE_JOBS)
        return drill(order, places, view_for_drill(order, places), loader).record


@contextmanager
def stored_company(folder: Path, major: int, scale: float, *, more: LiteralString = "") -> Iterator[Orders]:
    """A backup of the company's database on a NAS below ``folder``; the database itself is gone. ``more`` is a script
    run in it before."""
    with running_nas(folder / "nas") as nas:
        operations, escrow, index = new_identity(), new_identity(), new_identity()
        with Cluster(folder / "source", major, settings={"fsync": "off"}) as source:
            databases = data.create_company(source.server, scale)
            if more:
                with source.server.connect(databases[0]) as session:
                    session.execute(more)
            orders = Orders(
                databases=list(databases),
                folder=str(folder),
                server_port=source.port,
                server_password=source.password,
                store=nas.settings(nas.new_folder("store")),
                signing_key=new_signing_key().private_pem,
                recipients=[operations.recipient, escrow.recipient],
                identity=operations.identity,
                index_recipient=index.recipient,
                index_identity=index.identity,
            )
            size = back_up(orders)["plain_bytes"]
        print(f"{size / 1e9:.2f} GB of plain data in {len(databases)} databases", flush=True)
        yield orders


def on(cluster: Cluster, orders: Orders) -> Orders:
    """The same with another server."""
    return dataclasses.replace(orders, server_port=cluster.port, server_password=cluster.password)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drills", description=__doc__)
    parser.add_argument("--major", type=int, default=15, help="PostgreSQL's major version")
    parser.add_argument("--scale", type=float, default=1.4, help="1 is about 1.2 GB of COPY text")
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeboat-drills-")))
        folder.chmod(0o755)
        orders = stack.enter_context(stored_company(folder, chosen.major, chosen.scale))
        policy = policy_of(tuple(orders.databases), folder / "sandboxes")
        for _ in range(chosen.rounds):
            with Cluster(folder / "alone", chosen.major) as target:
                alone = bring_back(on(target, orders))["stages"]
            watch = clock.Stopwatch()
            record = drilled(orders, policy)
            whole = watch.seconds()
            told = ", ".join(
                f"{phase.name} {(phase.milliseconds or 0) / 1000:.1f}"
                for phase in record.phases
                if phase.basis == "measured"
            )
            print(
                f"restore {alone:.1f} s, drill {whole:.1f} s ({told}): {whole / alone:.2f}, {record.verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""What Prefect and Lifeboat add to an environment of 50 small databases: the flow itself, on a Prefect server.

``python -m benchmarks.whole_run``; prints one line per run: the first backup, and a second with nothing changed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from benchmarks import data
from benchmarks.nas import running_nas
from cli.demo import prefect_server, register_blocks
from lifeboat import clock
from lifeboat.adapters.policy_file import shipped_policies
from lifeboat.adapters.postgres_cluster import Cluster

PAGE = 200


def write_policy(folder: Path, databases: tuple[str, ...]) -> str:
    """The demonstration policy with one source, these databases."""
    values: dict[str, Any] = yaml.safe_load(shipped_policies()["demo"].read_text())
    services = values["environments"]["demo"]["services"]
    source = services["main"]["sources"]["databases"] | {"databases": list(databases), "skip": ["postgres"]}
    values["environments"]["demo"]["services"] = {"main": {"sources": {"databases": source}}}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return str(path)


async def most_task_runs() -> int:
    """Of the flow run that has most."""
    # Imported late: Prefect reads where its server is when it is imported.
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    counted: Counter[Any] = Counter()
    async with get_client() as client:
        for run in await client.read_flow_runs(limit=PAGE):
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            while page := await client.read_task_runs(
                flow_run_filter=chosen, limit=PAGE, offset=counted[run.id]
            ):
                counted[run.id] += len(page)
    return max(counted.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_run", description=__doc__)
    parser.add_argument("--major", type=int, default=15, help="PostgreSQL's major version")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 50 databases of 10 small tables")
    choice = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeboat-whole-run-")))
        folder.chmod(0o755)
        (folder / "keys").mkdir(mode=0o700)
        nas = stack.enter_context(running_nas(folder / "nas"))
        cluster = stack.enter_context(Cluster(folder / "cluster", choice.major))
        names = data.create_many(cluster.server, choice.scale)
        policy = write_policy(folder, names)
        os.environ["LIFEBOAT_POLICY"] = policy
        stack.enter_context(prefect_server(folder))()
        store = nas.settings(nas.new_folder("demo"))
        register_blocks(folder, cluster, {key: str(value) for key, value in store.items()}, cluster)
        from flows.backup import backup_environment

        for told in ("first", "second, nothing changed"):
            watch = clock.Stopwatch()
            (outcome,) = backup_environment("demo", policy=policy)
            print(
                f"{told}: {len(names)} databases in {watch.seconds():.1f} s, of which the source's own "
                f"{outcome.seconds:.1f} s; {outcome.sealed_bytes / 1e6:.1f} MB travelled",
                flush=True,
            )
        print(f"at most {asyncio.run(most_task_runs())} task runs in one flow run")


if __name__ == "__main__":
    main()

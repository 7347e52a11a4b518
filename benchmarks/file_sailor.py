"""Lifeboat's side of the benchmark of files: one backup or restore by the stages, in a process of its own.

``python -m benchmarks.file_sailor backup|restore|one`` with ``Orders`` as JSON on standard input; timings come back as
one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.spool import Spool
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.adapters.tree import LiveTree
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.model.policy_sources import FilesSource
from lifeboat.model.restore_choice import choose
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.direct import take_tree_backup
from lifeboat.stages.fetch import fetch_tree_index, read_catalog
from lifeboat.stages.restore_tree import restore_tree
from lifeboat.stages.voyage import Keys, TreeVoyage, new_run_id

ENVIRONMENT, SERVICE, SOURCE = "demo", "main", "documents"
TIME_LIMIT = 3600.0


@dataclass(frozen=True)
class Orders:
    """Everything the child is told. It holds secrets, so it travels down standard input."""

    tree: str
    folder: str
    into: str
    only: str
    store: dict[str, str | int] = field(repr=False)
    signing_key: str = field(repr=False)
    recipients: list[str]
    identity: str = field(repr=False)
    index_recipient: str
    index_identity: str = field(repr=False)

    @property
    def target(self) -> SftpTarget:
        return SftpTarget(**self.store)  # type: ignore[arg-type]

    @property
    def trusted(self) -> TrustedKeys:
        return TrustedKeys.from_pems(Signer.from_pem(self.signing_key).public_pem)


def back_up(orders: Orders) -> dict[str, float]:
    """``stages`` is everything between the start of the run and its end, in seconds."""
    policy = read_policy(Path("demo"))
    environment = policy.environment(ENVIRONMENT)
    source = environment.services[SERVICE].sources[SOURCE]
    assert isinstance(source, FilesSource)
    keys = Keys(
        recipients=tuple(orders.recipients),
        signer=Signer.from_pem(orders.signing_key),
        trusted=orders.trusted,
        index_identity=orders.index_identity,
        index_recipient=orders.index_recipient,
    )
    run_id = new_run_id()
    watch = clock.Stopwatch()
    with (
        Spool(Path(orders.folder) / "spool", run_id, limit=environment.spool.limit) as spool,
        Crew() as crew,
    ):
        published = take_tree_backup(
            TreeVoyage(
                environment_name=ENVIRONMENT,
                service=SERVICE,
                source_name=SOURCE,
                run_id=run_id,
                environment=environment,
                source=source,
                policy=policy.reference,
                time_zone=policy.time_zone,
                tree=LiveTree(LocalTreeTarget(Path(orders.tree))),
                store=orders.target,
                prune_store=orders.target,
                keys=keys,
                spool=spool,
                crew=crew,
                deadline=clock.Deadline.after(TIME_LIMIT),
            )
        )
    return {"stages": watch.seconds(), "parts": len(published.manifest.parts)}


def bring_back(orders: Orders) -> dict[str, float]:
    """From nothing but the store and one identity into a new folder."""
    watch = clock.Stopwatch()
    catalog = read_catalog(orders.target, ENVIRONMENT, f"{SERVICE}-{SOURCE}", orders.trusted)
    index = fetch_tree_index(orders.target, choose(catalog).manifest, [orders.identity])
    below = os.fsencode(orders.only) + b"/"
    with Crew() as crew:
        deadline = clock.Deadline.after(TIME_LIMIT)
        loader = Loader(store=orders.target, identities=(orders.identity,), crew=crew, deadline=deadline)
        loader.make_ready(2)
        restore_tree(
            index, Path(orders.into), loader, wanted=lambda path: not orders.only or path.startswith(below)
        )
    return {"stages": watch.seconds()}


def main() -> None:
    work = {"backup": back_up, "restore": bring_back}[sys.argv[1]]
    print(json.dumps(work(Orders(**json.load(sys.stdin)))))


if __name__ == "__main__":
    main()

"""The two ways of a restore: as a run that Prefect records, or directly, on the day there is no Prefect."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.output import console
from lifeboat.errors import ConfigurationError, RestoreFailed

if TYPE_CHECKING:
    from lifeboat.model.policy import Policy
    from lifeboat.model.restore_outcome import RestoreOutcome
    from lifeboat.stages.restore_items import Item
    from lifeboat.stages.restore_order import RestoreOrder
    from tasks.restore_board import Destination


@contextlib.contextmanager
def blocks_from(file: Path | None, *, direct: bool) -> Iterator[None]:
    """Without a server, blocks come from a file; with one, from the server."""
    if direct != (file is not None):
        raise ConfigurationError(
            "--direct and --blocks go together: without a Prefect server, blocks come from a file.",
            hint="Use the file that `lifeboat blocks apply` reads; keep a copy of it with the recovery runbook.",
        )
    if file is None:
        yield
        return
    from blocks.offline import blocks_from_file

    with blocks_from_file(file, os.environ):
        yield


@dataclass(frozen=True)
class Targets:
    """Where to restore to, as ``restore_board.open_places`` takes it."""

    server: str
    folder: str
    files_block: str
    broker: str


def open_places(rules: Policy, environment: str, targets: Targets, *, direct: bool) -> Destination:
    """What ``restore_board.open_places`` says; without ``direct`` an API must answer."""
    from cli.prefect_api import prefect_errors, require_api
    from tasks import restore_board

    if direct:
        return restore_board.open_places(rules, environment, **asdict(targets))
    require_api()
    with prefect_errors():
        return restore_board.open_places(rules, environment, **asdict(targets))


def carry_out_directly(
    rules: Policy, order: RestoreOrder, items: Sequence[Item], destination: Destination, jobs: int
) -> list[RestoreOutcome]:
    """Stage functions alone, one object after the other."""
    from tasks.restore_board import loader_aboard

    screen = console(stderr=True)
    with loader_aboard(destination.places, rules.environment(order.environment), lambda _: None) as loader:
        outcomes = []
        for item in items:
            screen.print(f"restoring {item.source} …")
            outcomes += item.carry_out(loader, jobs)
        return outcomes


def carry_out_with_prefect(
    order: RestoreOrder,
    items: Sequence[Item],
    targets: Targets,
    approval: str,
    policy: str,
    jobs: int,
) -> list[RestoreOutcome]:
    """As a run that the UI shows; it restores the very backups that were planned."""
    from cli.prefect_api import prefect_errors
    from flows.restore import restore as flow

    manifests = [item.manifest for item in items]
    runs = {manifest.run_id for manifest in manifests}
    point = {"backup": manifests[0].backup_id} if len(manifests) == 1 else {}
    if len(manifests) > 1 and len(runs) == 1:
        point = {"run": runs.pop()}
    # Of several runs: no backup that is younger than these.
    at = order.point.at or max(manifest.data_timestamp for manifest in manifests)
    with prefect_errors():
        state = flow(
            order.environment, list(order.sources), **asdict(targets),
            **point, at=None if point else at,
            databases=list(order.databases), tables=list(order.tables), paths=list(order.paths),
            new_name=order.new_name, replace=order.replace, with_roles=order.with_roles, owner=order.owner,
            into_used=order.into_used,
            approval=approval, policy=policy, jobs=jobs, return_state=True,
        )  # fmt: skip
        result: Any = state.result(raise_on_failure=False)
    if isinstance(result, RestoreFailed):
        return list(result.outcomes)
    if isinstance(result, Exception):
        raise result
    return list(result)

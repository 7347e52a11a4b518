"""``lifeboat backup``: run an environment's backup here and now."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName, split_source
from cli.output import Output, bars, instant, table
from lifeboat.errors import SourcesFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lifeboat.model.outcome import SourceOutcome

Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="SERVICE/SOURCE", help="Back up this source only; may be given again."),
]


def backup(
    environment: EnvironmentName,
    only: Only = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Back up every source of an environment, in this process, as a run of the configured Prefect API.

    This host then needs what a worker needs: the client programs of PostgreSQL, the spool, a way to the NAS.
    """
    from pathlib import Path

    from cli.prefect_api import prefect_errors, require_api
    from lifeboat.adapters.policy_file import read_policy

    for label in only or []:
        split_source(label)
    read_policy(Path(policy)).environment(environment)
    require_api()
    from flows.backup import backup_environment

    output = Output(as_json)
    try:
        with prefect_errors(under_way=True), _progress_shown(output):
            outcomes = backup_environment(environment, policy=policy, only=only or [])
    except SourcesFailed as error:
        if not as_json:  # there the error itself carries the outcomes: one document
            _tell(output, error.outcomes)
        raise
    _tell(output, outcomes)
    if all(outcome.state == "skipped" for outcome in outcomes):
        output.message("Skipped: a newer good backup covers this slot already.")


@contextlib.contextmanager
def _progress_shown(output: Output) -> Iterator[None]:
    """A bar for each source while it is dumped, if somebody sits at the terminal."""
    if output.as_json or not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield
        return
    from cli.prefect_api import log_console
    from tasks.progress import watched_by

    with (
        bars(log_console()) as move,
        watched_by(lambda label, standing: move(label, standing.fraction, str(standing))),
    ):
        yield


def _tell(output: Output, outcomes: Sequence[SourceOutcome]) -> None:
    output.result(outcomes, _table(outcomes))
    for outcome in outcomes:
        for finding in outcome.findings:
            output.message(f"{outcome.service}/{outcome.source}: {finding}")


def _table(outcomes: Sequence[SourceOutcome]) -> RenderableType:
    from lifeboat.model.outcome import human_bytes

    columns = [
        "source",
        "state",
        "=backup",
        "=data of",
        ">databases",
        ">rows",
        ">size",
        ">sealed",
        ">seconds",
        ">pruned",
    ]
    rows = [
        (
            f"{outcome.service}/{outcome.source}",
            outcome.state,
            outcome.backup_id or "–",
            instant(outcome.data_timestamp),
            outcome.databases,
            f"{outcome.rows:,}",
            human_bytes(outcome.plain_bytes),
            human_bytes(outcome.sealed_bytes),
            f"{outcome.seconds:.1f}",
            outcome.pruned,
        )
        for outcome in outcomes
    ]
    return table(columns, rows)

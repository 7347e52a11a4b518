"""``lifeboat status``: for monitoring; is every source within its recovery point objective?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli.options import DEFAULT_POLICY, AsJson, OptionalEnvironmentName, PolicyName
from cli.output import Output, instant, line, table
from lifeboat.errors import IntegrityError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lifeboat.model.status import SourceStatus

OVERDUE = 1
DOUBTFUL = IntegrityError.exit_code


def status(
    environment: OptionalEnvironmentName = None, policy: PolicyName = DEFAULT_POLICY, as_json: AsJson = False
) -> None:
    """Compare the age of the newest good data of every source with the RPO, and of its last drill with a month.

    Reads the store only, never the states of runs: a run proves nothing, a verified manifest does. Exits with 0 when
    all is fine, 1 when a source is over its RPO, has no good backup or was not drilled within a month, 6 when something
    is not what was signed.
    """
    from lifeboat.model.status import Standing, worst

    by_environment = {name: judge(policy, name) for name in _names(policy, environment)}
    tables = [part for name, found in by_environment.items() for part in _tables(name, found)]
    Output(as_json).result(by_environment, *tables)
    standing = worst(status for found in by_environment.values() for status in found)
    if standing is not Standing.FINE:
        raise typer.Exit(DOUBTFUL if standing is Standing.DOUBTFUL else OVERDUE)


def judge(policy_name: str, name: str) -> list[SourceStatus]:
    """The status of every source of an environment; a chain that the policy names no more is not judged."""
    from cli.open_environment import chains_of, open_environment, read_view
    from lifeboat import clock
    from lifeboat.model.status import judge_source
    from lifeboat.stages.drill_records import read_drill_records

    opened = open_environment(policy_name, name)
    rpo = opened.policy.objectives_of(opened.environment).rpo
    with opened.store.connect() as store:
        drills = read_drill_records(store, name, opened.trusted)
    return [
        judge_source(
            chain.catalog,
            drills.records,
            service=chain.service,
            source=chain.source_name,
            rpo=rpo,
            now=clock.utc_now(),
        )
        for chain in chains_of(opened, read_view(opened))
        if chain.source is not None
    ]


def _names(policy_name: str, environment: str | None) -> list[str]:
    from pathlib import Path

    from lifeboat.adapters.policy_file import read_policy

    return [environment] if environment else list(read_policy(Path(policy_name)).environments)


def _tables(name: str, statuses: list[SourceStatus]) -> list[RenderableType]:
    from lifeboat.model.policy_values import spoken_duration
    from lifeboat.model.status import spoken_age

    rows = [
        (
            f"{status.service}/{status.source}",
            status.standing.upper() if status.standing != "fine" else "fine",
            instant(status.data_timestamp),
            "–" if status.age is None else spoken_age(status.age),
            spoken_duration(status.rpo),
            status.last_quality or "–",
            f"{status.drilled_at:%Y-%m-%d}" if status.drilled_at else "never",
            status.newest_good or "–",
        )
        for status in statuses
    ]
    columns = [
        name,
        "standing",
        "=newest good data of",
        ">age",
        ">RPO",
        "last quality",
        "drilled",
        "=newest good backup",
    ]
    shown: list[RenderableType] = [table(columns, rows)]
    for status in statuses:
        label = f"{status.service}/{status.source}"
        shown += [line(f"{label}: {reason}") for reason in status.reasons]
        shown += [line(f"{label}: DOUBT: {doubt}") for doubt in status.doubts]
        shown += [line(f"{label}: {note}") for note in status.notes]
    return shown

"""``lifeboat policy``: is a policy file right, and what does it come to?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson
from cli.output import Output, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lifeboat.model.policy_summary import EnvironmentSummary

app = typer.Typer(no_args_is_help=True, help="Check a policy file, or print its schema.")


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A policy file, or a shipped policy's name.")],
    as_json: AsJson = False,
) -> None:
    """Tell every mistake of a policy file at once; if there is none, what the policy comes to."""
    from lifeboat.adapters.policy_file import read_policy
    from lifeboat.model.policy_summary import summarise

    policy = read_policy(Path(file))
    environments = summarise(policy)
    data = {
        "name": policy.name,
        "version": policy.version,
        "date": policy.date,
        "sha256": policy.sha256,
        "environments": environments,
    }
    headline = f"Policy {policy.name} {policy.version} of {policy.date} holds together (SHA-256 {policy.sha256[:16]}…)."
    Output(as_json).result(data, headline, *(_summary(environment) for environment in environments))


@app.command()
def schema(as_json: AsJson = False) -> None:  # noqa: ARG001 - the schema is JSON with and without it
    """Print the JSON Schema of a policy file, for editors."""
    import json

    from lifeboat.model.policy import policy_schema

    sys.stdout.write(json.dumps(policy_schema(), indent=2) + "\n")


def _summary(environment: EnvironmentSummary) -> RenderableType:
    rows = [
        ("sources", ", ".join(environment.sources)),
        ("runs", f"{' and '.join(environment.starts)} {environment.time_zone}, every day"),
        ("worst loss", environment.arithmetic),
        ("stay", environment.retention),
        ("sealed for", ", ".join(environment.recipients)),
    ]
    return table([environment.name, ""], rows)

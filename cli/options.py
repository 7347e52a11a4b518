"""Arguments and options that several commands share: one spelling, one help text."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_POLICY = "digital-automotive"

EnvironmentName = Annotated[
    str, typer.Argument(metavar="ENV", help="The environment's name in the policy.", show_default=False)
]
OptionalEnvironmentName = Annotated[
    str | None,
    typer.Argument(
        metavar="[ENV]", help="An environment; all of the policy's when left out.", show_default=False
    ),
]
PolicyName = Annotated[
    str,
    typer.Option(
        "--policy",
        envvar="LIFEBOAT_POLICY",
        metavar="NAME_OR_PATH",
        help="A shipped policy's name, or the path of a policy file.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result, or the error, as JSON on stdout.")]


def split_source(label: str) -> tuple[str, str]:
    """Service and source of ``service/source``; raises ``typer.BadParameter`` for anything else."""
    service, slash, source = label.partition("/")
    if not (service and slash and source) or "/" in source:
        raise typer.BadParameter(f"{label!r} is not service/source, like main/databases.")
    return service, source

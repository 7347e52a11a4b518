"""What people and programs see: results on stdout, as a table or as JSON; everything else on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifeboat.errors import (
    CouldNotMeasure,
    DrillMissed,
    LifeboatError,
    PolicyError,
    RestoreFailed,
    SourcesFailed,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 200
"""Columns when nobody says how many there are: a log, a pipe."""
LEAST_WIDTH = 140
"""A narrower terminal folds whole lines by itself: better than a backup id cut into four pieces."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Where a command's result goes. ``as_json``: one JSON document on stdout and nothing else."""

    as_json: bool = False

    def result(self, data: object, *tables: RenderableType) -> None:
        """Print what the command is for: ``data`` for programs, ``tables`` for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2, default=plain) + "\n")
            return
        for table in tables:
            console().print(table)

    def message(self, text: str) -> None:
        """Say something besides the result, on stderr."""
        console(stderr=True).print(printable(text))

    def error(self, error: LifeboatError) -> None:
        """Show a refusal: on stderr for people, as the result for programs."""
        if self.as_json:
            self.result(error_as_data(error))
            return
        screen = console(stderr=True)
        screen.print("[bold red]error:[/]", printable(error.message))
        if error.hint:
            screen.print("    →", printable(error.hint))


def error_as_data(error: LifeboatError) -> dict[str, Any]:
    """``{"error": {"kind", "message", "hint"}}``; a ``PolicyError`` also has its ``problems``, ``SourcesFailed`` and
    ``RestoreFailed`` the ``outcomes``, and a drill that was not met its ``record``."""
    told: dict[str, Any] = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    if isinstance(error, PolicyError):
        told["problems"] = [dataclasses.asdict(problem) for problem in error.problems]
    if isinstance(error, DrillMissed | CouldNotMeasure) and error.record:
        told["record"] = error.record
    if isinstance(error, SourcesFailed | RestoreFailed):
        told["outcomes"] = error.outcomes
    return {"error": told}


def console(*, stderr: bool = False) -> Console:
    """A console that colours nothing by guessing, and cuts nothing off where there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = max(Console(file=stream).width, LEAST_WIDTH) if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, highlight=False, width=width)


@contextlib.contextmanager
def bars(screen: Console) -> Iterator[Callable[[str, float, str], None]]:
    """One bar for each label, gone at the end. Yields what moves them: label, fraction from 0 to 1, what to say."""
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
    from rich.theme import Theme

    columns = (
        TextColumn("{task.fields[label]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
    )
    shown: dict[str, TaskID] = {}
    # The theme of somebody else's console, Prefect's, may know nothing of bars.
    with (
        screen.use_theme(Theme()),
        Progress(*columns, console=screen, transient=True, refresh_per_second=4) as progress,
    ):

        def move(label: str, fraction: float, told: str) -> None:
            if label not in shown:
                shown[label] = progress.add_task("", total=1.0, label=printable(label).plain, told="")
            progress.update(shown[label], completed=fraction, told=told)

        yield move


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> RenderableType:
    """A table whose cells are never taken for markup and never cut.

    ``>`` before a column aligns it right, ``=`` keeps its cells on one line: what people copy.
    """
    from rich import box
    from rich.table import Table

    made = Table(
        title=printable(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in columns:
        made.add_column(
            printable(column.lstrip(">=")),
            justify="right" if column.startswith(">") else "left",
            no_wrap=column.startswith("="),
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(printable(str(cell)) for cell in row))
    return made


def line(text: str) -> Text:
    """One paragraph for people, as it stands."""
    return printable(text)


def printable(text: str) -> Text:
    """``text`` without markup, its control characters shown and not obeyed: a database may be called anything."""
    from rich.text import Text

    shown = "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )
    return Text(shown)


def instant(moment: dt.datetime | None) -> str:
    """``2026-11-23 01:15:03 UTC``, or a dash."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "–"


def plain(value: object) -> object:
    """A value as JSON knows it: times in ISO 8601 with their offset, durations in seconds."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")

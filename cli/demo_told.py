"""How the demo speaks, and how it types a command."""

from __future__ import annotations

import shlex
import sys

from rich.console import Console
from rich.text import Text

from cli.main import run

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    console.print(f"[bold cyan]•[/] {text}")


def show_command(*command: str) -> None:
    console.print(Text(f"$ {shlex.join(command)}", style="dim"))


def type_command(*command: str) -> None:
    """A command of Lifeboat as one types it; one that fails ends the demo. Run in this process, which has imported what
    each would take four seconds to import."""
    show_command("lifeboat", *command)
    if code := run(command):
        sys.exit(code)

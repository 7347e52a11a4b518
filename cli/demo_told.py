"""How the demo speaks, and how it types a command."""

from __future__ import annotations

import shlex
import subprocess
import sys

from rich.console import Console
from rich.text import Text

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    console.print(f"[bold cyan]•[/] {text}")


def show_command(*command: str) -> None:
    console.print(Text(f"$ {shlex.join(command)}", style="dim"))


def type_command(*command: str) -> None:
    """A command of Lifeboat as one types it; one that fails ends the demo."""
    show_command("lifeboat", *command)
    subprocess.run([sys.executable, "-m", "cli.main", *command], check=True)

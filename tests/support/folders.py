"""Folders that other accounts get through to."""

from __future__ import annotations

import tempfile
from pathlib import Path


def let_through(folder: Path) -> None:
    """Let everybody into ``folder``: pytest's own ones, however deep they lie, only let their owner in."""
    temporary = Path(tempfile.gettempdir()).resolve()
    for each in (folder, *folder.parents):
        if each == temporary or temporary not in each.resolve().parents:
            return
        each.chmod(0o755)

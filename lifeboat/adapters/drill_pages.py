"""Where the page of a drill is kept, on the drill host: it holds names."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lifeboat.errors import ConfigurationError


def write_page(path: Path, html: str) -> None:
    """Readable by its owner alone, and there whole or not at all; one of that name is replaced.

    Raises ``ConfigurationError`` when it cannot be written there.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(making, "x", encoding="utf-8", opener=_private) as file:
            file.write(html)
        making.replace(path)
    except OSError as error:
        with suppress(OSError):
            making.unlink()
        raise ConfigurationError(
            f"The page of the drill cannot be written to {path}: {error.strerror}.",
            hint="Its record is on the store all the same. Name another place: drills.pages of the policy.",
        ) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

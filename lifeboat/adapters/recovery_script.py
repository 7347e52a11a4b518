"""``recovery/restore.sh`` and how to run it: what restores a backup when nothing of ours is at hand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import lifeboat
from lifeboat import clock
from lifeboat.errors import CouldNotMeasure, RestoreFailed, TimeLimitExceeded

TOOLS: Final = ("age", "zstd", "jq", "openssl", "tar")
"""What the script needs besides a shell and PostgreSQL's own programs."""
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


def recovery_script() -> Path:
    """The script of an installed wheel, or of this checkout."""
    package = Path(lifeboat.__file__).parent
    return next(
        path
        for path in (package / "recovery/restore.sh", package.parent / "recovery/restore.sh")
        if path.is_file()
    )


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool, path=_PATH) is None]


def require_tools() -> None:
    """Raise ``CouldNotMeasure`` when a tool is not installed."""
    if missing := missing_tools():
        raise CouldNotMeasure(
            f"This host has no {', '.join(missing)}: recovery/restore.sh cannot be drilled here.",
            hint=f"On Debian: apt-get install {' '.join(missing)}",
        )


@dataclass(frozen=True)
class BareMachine:
    """A place with a copy of a store, the public keys, and identities; nothing of ours is in its environment.

    ``home`` is a private folder.
    """

    home: Path
    environment: str
    public_keys: Mapping[str, str]
    identities: Sequence[str] = field(repr=False)
    deadline: clock.Deadline

    def __post_init__(self) -> None:
        self.store.mkdir(mode=0o700)
        self._keys.write_text("".join(self.public_keys.values()))
        self._identity.touch(mode=0o600)
        self._identity.write_text("\n".join(self.identities) + "\n")

    @property
    def store(self) -> Path:
        """Where the copy of the environment's folder goes."""
        return self.home / "store"

    @property
    def _keys(self) -> Path:
        return self.home / "signing.pem"

    @property
    def _identity(self) -> Path:
        return self.home / "identity"

    def run(
        self, command: str, backup_id: str, *arguments: str, server: Mapping[str, str] | None = None
    ) -> None:
        """One command of the script about one backup. ``server`` are the variables that name a PostgreSQL server, and
        ``PROGRAMS``, the folder of its programs. Raises ``RestoreFailed`` with the script's words."""
        given = dict(server or {})
        programs = given.pop("PROGRAMS", "")
        environment = {
            **given,
            "PATH": f"{programs}:{_PATH}" if programs else _PATH,
            "HOME": str(self.home),
            "LIFEBOAT_FOLDER": str(self.store),
            "LIFEBOAT_ENVIRONMENT": self.environment,
            "LIFEBOAT_PUBLIC_KEYS": str(self._keys),
            "LIFEBOAT_IDENTITY_FILE": str(self._identity),
        }
        _carried_out(
            ["sh", str(recovery_script()), command, "-b", backup_id, *arguments], environment, self.deadline
        )


def _carried_out(argv: Sequence[str], environment: Mapping[str, str], deadline: clock.Deadline) -> None:
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, check=False, timeout=max(deadline.remaining(), 1)
        )
    except subprocess.TimeoutExpired:
        raise TimeLimitExceeded(
            f"restore.sh {argv[2]}: ended after the limit of {deadline.limit:.0f} s ({deadline.name})",
            hint="Raise limits.source in the policy, or look why it is so slow.",
        ) from None
    if done.returncode != 0:
        raise RestoreFailed(f"restore.sh {argv[2]}: {done.stderr.decode(errors='replace').strip()[-2000:]}")

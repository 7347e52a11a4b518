"""How a runbook is written: pieces of Markdown that hold whatever a name may hold, and where a store is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lifeboat.model.canonical import sha256_hex


@dataclass(frozen=True)
class StorePlace:
    """Where the backups of an environment lie; without host they are in a folder of this machine. No secrets."""

    folder: str
    host: str = ""
    port: int = 22
    user: str = ""
    host_key: str = ""

    @property
    def described(self) -> str:
        if not self.host:
            return f"the folder {code(self.folder)} of the worker's machine, or what is mounted there"
        keys = "; ".join(code(line) for line in self.host_key.splitlines() if line.strip())
        return (
            f"{code(self.host)} port {self.port}, folder {code(self.folder)}, account {code(self.user)}, over SFTP; "
            f"its host key is {keys}. Any account that may read that folder will do"
        )

    @property
    def destination(self) -> str:
        """As ``sftp`` takes it."""
        return (
            f"{self.user}@{self.host}" if self.port == 22 else f"sftp://{self.user}@{self.host}:{self.port}"
        )


def cell(text: str) -> str:
    """Text of somebody else's in a table or a line, never taken for markup."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A code span that holds whatever the text holds; a bar would end a table's cell."""
    text = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{padding}{text}{padding}{ticks}".replace("|", "\\|")


def fence(text: str, language: str = "sh") -> str:
    """A block of code that holds whatever the text holds."""
    ticks = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def fingerprint(recipient: str) -> str:
    """First 16 hex digits of the SHA-256 of an age recipient, as manifests name it (``docs/format.md``)."""
    return sha256_hex(recipient.encode())[:16]

"""Who competes: Lifeboat, and the shell lines that one would write by hand, on the same server and store."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Command
from benchmarks.nas import HOST, Nas
from benchmarks.sailor import RESTORE_JOBS, Orders
from lifeboat.adapters.postgres import PostgresServer, find_program
from lifeboat.stages.keygen import AgeKeyPair, new_identity, new_signing_key

_DUMP = "pg_dump --format=custom --dbname=\"dbname='$database'\""
_AGE = 'age -r "$OPERATIONS" -r "$ESCROW"'
_SSH = f'ssh -F "$SSH_CONFIG" {HOST}'
_RESTIC = f'restic --quiet --option sftp.command="ssh -F $SSH_CONFIG {HOST} -s sftp"'
_CREATE = 'createdb --template=template0 "$database-by-hand"'
_RESTORE = "pg_restore --exit-on-error --dbname=\"dbname='$database-by-hand'\""

BY_HAND = {
    "custom": ("pg_dump -Fc | age | ssh", f"{_DUMP} | {_AGE} | {_SSH} \"cat > '$FOLDER/$database.age'\""),
    "zstd": (
        "pg_dump -Fc -Z0 | zstd -1 | age | ssh",
        f"{_DUMP} --compress=0 | zstd -1 --quiet | {_AGE} | {_SSH} \"cat > '$FOLDER/$database.age'\"",
    ),
    "restic": (
        "pg_dump -Fc -Z0 | restic backup --stdin",
        f'{_DUMP} --compress=0 | {_RESTIC} backup --stdin --stdin-filename "$database.dump"',
    ),
}
"""What is timed as a backup, once for each database: name → (how a user would call it, the line)."""

RESTORED_BY_HAND = {
    "local": (
        f"pg_restore -j{RESTORE_JOBS}, local plain file",
        f'{_CREATE}; {_RESTORE} --jobs={RESTORE_JOBS} "$LOCAL/$database.dump"',
    ),
    "zstd": (
        "ssh | age -d | zstd -d | pg_restore",
        f'{_CREATE}; {_SSH} "cat \'$FOLDER/$database.age\'" | age --decrypt -i "$IDENTITY" | zstd -d --quiet '
        f"| {_RESTORE}",
    ),
}


@dataclass(frozen=True)
class Contestant:
    """``command`` makes what is timed for a folder of the store; ``prepare``, if any, runs before the clock starts.

    A restore reads the folder that the backup of the same ``key`` filled.
    """

    key: str
    label: str
    command: Callable[[Path], Command]
    prepare: Callable[[Path], Command] | None = None


@dataclass(frozen=True)
class Field:
    """The course all contestants run on: one server, one store, the same two recipients."""

    server: PostgresServer
    major: int
    nas: Nas
    scratch: Path
    databases: tuple[str, ...]
    operations: AgeKeyPair = field(default_factory=new_identity, repr=False)
    escrow: AgeKeyPair = field(default_factory=new_identity, repr=False)
    index: AgeKeyPair = field(default_factory=new_identity, repr=False)
    signing_key: str = field(default_factory=lambda: new_signing_key().private_pem, repr=False)

    @property
    def local(self) -> Path:
        return self.scratch / "local"

    @property
    def identity_file(self) -> Path:
        return self.scratch / "identity"

    def lay_out(self) -> Command:
        """Write what the shell lines read; returns the command that makes the local dumps of ``pg_restore``."""
        self.local.mkdir()
        self.identity_file.touch(mode=0o600)
        self.identity_file.write_text(self.operations.identity + "\n")
        return self.each_database(f'{_DUMP} --compress=0 --file="$LOCAL/$database.dump"', self.local)

    def backups(self) -> list[Contestant]:
        by_hand = [self._by_hand(key, *how) for key, how in BY_HAND.items()]
        return [Contestant("lifeboat", "Lifeboat", lambda folder: self._sail("backup", folder)), *by_hand]

    def restores(self) -> list[Contestant]:
        by_hand = [self._by_hand(key, *how) for key, how in RESTORED_BY_HAND.items()]
        return [Contestant("lifeboat", "Lifeboat", lambda folder: self._sail("restore", folder)), *by_hand]

    def each_database(self, line: str, folder: Path) -> Command:
        """The line for one database after the other; a failure anywhere in a pipe ends the whole."""
        script = f'set -euo pipefail; for database in "$@"; do {line}; done'
        return Command(("bash", "-c", script, "by-hand", *self.databases), self._environment(folder))

    def _by_hand(self, key: str, label: str, line: str) -> Contestant:
        prepare = self._restic_init if key == "restic" else None
        return Contestant(key, label, lambda folder: self.each_database(line, folder), prepare)

    def _restic_init(self, folder: Path) -> Command:
        return Command(("bash", "-c", f"{_RESTIC} init"), self._environment(folder))

    def _environment(self, folder: Path) -> dict[str, str]:
        settings = self.server.environment()
        programs = Path(find_program("pg_dump", self.major)).parent
        return {
            **settings,
            "PATH": f"{programs}:{settings['PATH']}",
            "OPERATIONS": self.operations.recipient,
            "ESCROW": self.escrow.recipient,
            "IDENTITY": str(self.identity_file),
            "SSH_CONFIG": str(self.nas.ssh_config),
            "FOLDER": str(folder),
            "LOCAL": str(self.local),
            "RESTIC_REPOSITORY": f"sftp:{HOST}:{folder}/repository",
            "RESTIC_PASSWORD": self.escrow.identity,
            "RESTIC_CACHE_DIR": str(self.scratch / "restic-cache"),
        }

    def _sail(self, verb: str, folder: Path) -> Command:
        orders = Orders(
            databases=list(self.databases),
            folder=str(self.scratch),
            server_port=self.server.port,
            server_password=self.server.password(),
            store=self.nas.settings(folder),
            signing_key=self.signing_key,
            recipients=[self.operations.recipient, self.escrow.recipient],
            identity=self.operations.identity,
            index_recipient=self.index.recipient,
            index_identity=self.index.identity,
        )
        text = json.dumps(dataclasses.asdict(orders))
        return Command((sys.executable, "-m", "benchmarks.sailor", verb), text=text)

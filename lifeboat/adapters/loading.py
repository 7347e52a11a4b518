"""Loading: one part of a backup into a database, a program or a private file, in a child process."""

from __future__ import annotations

import base64
import pickle
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifeboat import clock, errors
from lifeboat.adapters.children import Child, Crew
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.store import StoreTarget
from lifeboat.model.index import IndexPart, Table


@dataclass(frozen=True)
class Loader:
    """Where parts come from and what opens them. ``identities`` are secret: never shown."""

    store: StoreTarget
    identities: tuple[str, ...] = field(repr=False)
    crew: Crew
    deadline: clock.Deadline
    progress: Callable[[str], None] = lambda _: None
    _idle: queue.SimpleQueue[Child] = field(default_factory=queue.SimpleQueue, repr=False)

    def tables(
        self, part: IndexPart, tables: Sequence[Table], server: PostgresServer, database: str, encoding: str
    ) -> None:
        """Load these tables of a part, rows in ``encoding``; all of them are committed, or none."""
        connection = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password(),
            "dbname": database,
            "sslmode": server.tls_mode,
            "client_encoding": "UTF8",
            "application_name": "lifeboat restore",
            "connect_timeout": server.connect_timeout,
            **({"sslrootcert": server.tls_ca_file} if server.tls_ca_file else {}),
        }
        rows = [table.model_dump() for table in tables]
        self._load(part, tables=rows, connection=connection, encoding=encoding)

    def program(self, part: IndexPart, argv: Sequence[str], environment: dict[str, str]) -> None:
        """Feed a part's plaintext to a program."""
        self._load(part, argv=list(argv), environment=environment)

    def file(self, part: IndexPart, path: Path) -> None:
        """Write a part's plaintext to a new private file."""
        self._load(part, file=str(path))

    def _load(self, part: IndexPart, **how: Any) -> None:  # noqa: ANN401 - fields of the job
        job = {
            "store": base64.b64encode(pickle.dumps(self.store)).decode(),
            "name": part.name,
            "size": part.size,
            "sha256": part.sha256,
            "identities": list(self.identities),
            "tables": [],
            "file": "",
            "argv": [],
            "environment": {},
        } | how
        child = self._borrow()
        child.send(job)
        for event in child.events():
            if event["event"] == "progress":
                self.progress(f"load {part.name}: {int(event['plain_bytes']) / 2**20:,.0f} MiB")
                continue
            self._idle.put(child)
            if event["event"] == "failed":
                raise _failure(event)
            return
        raise errors.RestoreFailed(f"The child that loaded {part.name} ended without a result.")

    def make_ready(self, count: int) -> None:
        """Start children ahead of their first job: they import while the plan is made."""
        for _ in range(count):
            self._idle.put(self._enlist())

    def _borrow(self) -> Child:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._enlist()

    def _enlist(self) -> Child:
        return self.crew.enlist("lifeboat.adapters.loading_child", label="load", deadline=self.deadline)


def _failure(event: dict[str, Any]) -> errors.LifeboatError:
    kind = getattr(errors, event["kind"])
    error: errors.LifeboatError = kind(event["message"], hint=event["hint"])
    return error

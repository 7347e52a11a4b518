"""Loading: one part of a backup into a database, a program or a private file, in a child process."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifeboat import clock, errors
from lifeboat.adapters.children import Crew, failure_of
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.store import StoreTarget
from lifeboat.adapters.tree_target import Losses, RestoreTarget
from lifeboat.model.index import IndexPart, Table
from lifeboat.model.listing import PackedLines
from lifeboat.model.tree import Entry, EntryKind, Member

_CHILD = "lifeboat.adapters.loading_child"


@dataclass(frozen=True)
class Loader:
    """Where parts come from and what opens them. ``identities`` are secret: never shown."""

    store: StoreTarget
    identities: tuple[str, ...] = field(repr=False)
    crew: Crew
    deadline: clock.Deadline
    progress: Callable[[str], None] = lambda _: None

    def tables(
        self,
        part: IndexPart,
        tables: Sequence[Table],
        server: PostgresServer,
        database: str,
        encoding: str,
        *,
        note: tuple[str, str],
    ) -> None:
        """Load these tables of a part, rows in ``encoding``; all of them are committed, or none.

        ``note`` is a schema and a step: that the step is done goes into the schema's table ``steps`` in the same
        transaction.
        """
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
        self._load(part, tables=rows, connection=connection, encoding=encoding, note=note)

    def program(self, part: IndexPart, argv: Sequence[str], environment: dict[str, str]) -> None:
        """Feed a part's plaintext to a program."""
        self._load(part, argv=list(argv), environment=environment)

    def file(self, part: IndexPart, path: Path) -> None:
        """Write a part's plaintext to a new private file."""
        self._load(part, file=str(path))

    def files(
        self, part: IndexPart, members: PackedLines, target: RestoreTarget, folder: bytes, *, again: bool
    ) -> Losses:
        """Write these files of a part below a folder of a target; ``members`` are lines of the index.

        With ``again``, they take the place of what an earlier attempt left. Returns what the target did not take.
        """
        done = self._load(
            part,
            target=base64.b64encode(pickle.dumps(target)).decode(),
            folder=os.fsdecode(folder),
            files=base64.b64encode(members.packed).decode(),
            again=again,
        )
        return Losses(done["losses"])

    def content(self, part: IndexPart, member: Member) -> bytes:
        """One small file of a part, in memory: it is handed over when all of it is verified."""
        pieces: list[bytes] = []
        lines = PackedLines.of([member.to_line()])
        self._load(part, files=base64.b64encode(lines.packed).decode(), pieces=pieces)
        return b"".join(pieces)

    def row_sum(self, part: IndexPart, table: Table) -> str:
        """The ``RowSum`` of a table's stream as it lies in its part; nothing of it is kept."""
        stream = Entry(b"stream", EntryKind.FILE, size=table.length)
        member = Member(stream, part.number, table.offset, table.length, table.sha256)
        sums: list[bytes] = []
        lines = PackedLines.of([member.to_line()])
        self._load(part, files=base64.b64encode(lines.packed).decode(), row_sum=True, pieces=sums)
        return b"".join(sums).decode()

    def _load(
        self,
        part: IndexPart,
        pieces: list[bytes] | None = None,
        **how: Any,  # noqa: ANN401 - fields of the job
    ) -> dict[str, Any]:
        """What the child said at the end; ``pieces`` takes the content that it hands over."""
        job = {
            "store": base64.b64encode(pickle.dumps(self.store)).decode(),
            "name": part.name,
            "size": part.size,
            "sha256": part.sha256,
            "identities": list(self.identities),
            "tables": [],
            "files": "",
            "target": "",
            "row_sum": False,
            "file": "",
            "argv": [],
            "environment": {},
        } | how
        with self.crew.hire(_CHILD, job, label=f"load {part.name}", deadline=self.deadline) as child:
            for event in child.events():
                if event["event"] == "progress":
                    self.progress(f"load {part.name}: {int(event['plain_bytes']) / 2**20:,.0f} MiB")
                elif event["event"] == "content" and pieces is not None:
                    pieces.append(base64.b64decode(event["data"]))
                elif event["event"] == "row_sum" and pieces is not None:
                    pieces.append(event["value"].encode())
                elif event["event"] == "failed":
                    raise failure_of(event)
                else:
                    return event
        raise errors.RestoreFailed(f"The child that loaded {part.name} ended without a result.")

    def make_ready(self, count: int) -> None:
        """Start children ahead of their first job: they import while the plan is made."""
        self.crew.make_ready(_CHILD, count)

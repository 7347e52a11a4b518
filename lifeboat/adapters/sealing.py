"""Sealing: one part from its producers, in a child process (design §3, "dump → encrypt").

Compression is zstd level 1 with checksum, encryption is age by recipients only: nothing here could open what
it wrote.
"""

from __future__ import annotations

import base64
import dataclasses
import errno
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lifeboat import clock
from lifeboat.adapters.child_side import GO
from lifeboat.adapters.children import Crew
from lifeboat.adapters.spool import Spool
from lifeboat.adapters.tree import TreeTarget
from lifeboat.errors import LifeboatError, ProducerFailed, SealingFailed, SpoolFull
from lifeboat.model.listing import PackedLines

ZSTD_LEVEL = 1
WINDOW_LOG_OF_ROWS = 18
"""zstd looks 256 KiB back in rows of tables, half as far as it would by itself: a tenth less processor time, and one to
three percent smaller, since a row resembles its neighbours. Files are a percent larger for it, and keep zstd's own."""
SEALING_CHILD = "lifeboat.adapters.sealing_child"


@dataclass(frozen=True)
class Program:
    """A program whose standard output is sealed, as one opaque stream.

    ``environment`` and ``script``, its standard input, may hold secrets, so no repr shows them.
    """

    label: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    script: str = field(default="", repr=False)

    def as_job(self) -> dict[str, Any]:
        return {
            "kind": "program",
            "label": self.label,
            "argv": self.argv,
            "env": self.environment,
            "script": self.script,
        }


@dataclass(frozen=True)
class CopiedTable:
    """One ``COPY … TO STDOUT``, rows in ``encoding``."""

    schema: str
    name: str
    columns: tuple[str, ...]
    encoding: str


@dataclass(frozen=True)
class Copies:
    """Tables that one connection sends, one stream each, after the statements of ``session``.

    ``connection`` holds the password, so no repr shows it.
    """

    label: str
    connection: dict[str, Any] = field(repr=False)
    session: tuple[str, ...]
    tables: tuple[CopiedTable, ...]

    def as_job(self) -> dict[str, Any]:
        return {
            "kind": "copies",
            "label": self.label,
            "connection": self.connection,
            "session": self.session,
            "tables": [dataclasses.asdict(table) for table in self.tables],
        }


@dataclass(frozen=True)
class Pack:
    """Files of a tree, one tar member each, in this order, that become part number ``part``.

    ``watched``: the tree lives while it is read, so each file is looked at again afterwards (F46).
    """

    label: str
    tree: TreeTarget
    part: int
    entries: PackedLines = field(repr=False)
    watched: bool

    def as_job(self) -> dict[str, Any]:
        return {
            "kind": "pack",
            "label": self.label,
            "tree": base64.b64encode(pickle.dumps(self.tree)).decode(),
            # The compressed lines they are kept as: of ten thousand JSON values both sides would feel the cost.
            "part": self.part,
            "entries": base64.b64encode(self.entries.packed).decode(),
            "watched": self.watched,
        }


Producer = Program | Copies | Pack


@dataclass(frozen=True)
class Segment:
    """One table or one opaque stream, inside a part's plaintext. Offsets and lengths in bytes."""

    offset: int
    length: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Unusual:
    """A file that is not in the part as it was listed: ``changed`` while it was read, twice, and in it; ``vanished``
    or ``denied``, and not in it. ``path`` as ``name_text`` spells it."""

    path: str
    state: Literal["changed", "vanished", "denied"]
    why: str


@dataclass(frozen=True)
class SealedFiles:
    """``lines`` of the index, one for each file in the part."""

    lines: PackedLines = field(repr=False)
    unusual: tuple[Unusual, ...]


@dataclass(frozen=True)
class SealedPart:
    """A complete age file in the spool. ``sha256`` is of the sealed bytes.

    What it holds is told by ``segments``, or by ``files`` if a ``Pack`` filled it.
    """

    path: Path
    size: int
    sha256: str
    plain_bytes: int
    segments: tuple[Segment, ...]
    files: SealedFiles | None = None
    complaints: tuple[str, ...] = ()
    seconds: float = 0.0


Progress = Callable[[int, int], None]
"""Called with (sealed bytes, plain bytes) of the part that grows."""


def seal(
    producers: Sequence[Producer],
    path: Path,
    *,
    recipients: Sequence[str],
    spool: Spool,
    crew: Crew,
    deadline: clock.Deadline,
    label: str,
    progress: Progress = lambda *_: None,
) -> SealedPart:
    """Run the producers one after the other into one sealed part.

    Raises ``ProducerFailed`` (F4, F6), ``SealingFailed``, ``SpoolFull`` (F11, F12), ``TimeLimitExceeded`` or
    ``Cancelled``; then no part is left behind.
    """
    job = {
        "output": str(path),
        "recipients": list(recipients),
        "level": ZSTD_LEVEL,
        "window_log": WINDOW_LOG_OF_ROWS if any(isinstance(each, Copies) for each in producers) else 0,
        "producers": [producer.as_job() for producer in producers],
    }
    watch = clock.Stopwatch()
    spool.begin(path)
    try:
        with crew.hire(SEALING_CHILD, job, label=label, deadline=deadline) as child:
            result: dict[str, Any] | None = None
            for event in child.events():
                if event["event"] == "want":
                    progress(event["sealed"], event["plain"])
                    spool.grant(path, deadline)
                    child.send(GO)
                elif event["event"] == "failed":
                    raise _failure(event, label, spool)
                else:
                    result = event
        if result is None:
            raise SealingFailed(f"{label}: the sealing process ended without a result")
    except BaseException:
        spool.release(path)
        raise
    spool.sealed(path, result["size"])
    progress(result["size"], result["plain_bytes"])
    return SealedPart(
        path=path,
        size=result["size"],
        sha256=result["sha256"],
        plain_bytes=result["plain_bytes"],
        segments=tuple(Segment(**segment) for segment in result["segments"]),
        files=_sealed_files(result["files"]),
        complaints=tuple(result["complaints"]),
        seconds=watch.seconds(),
    )


def _sealed_files(told: dict[str, Any] | None) -> SealedFiles | None:
    if told is None:
        return None
    return SealedFiles(
        lines=PackedLines(base64.b64decode(told["lines"]), told["count"]),
        unusual=tuple(Unusual(*each) for each in told["unusual"]),
    )


def _failure(event: dict[str, Any], label: str, spool: Spool) -> LifeboatError:
    if event["kind"] == "producer":
        return ProducerFailed(f"{label}: {event['message']}", hint=_producer_hint(event["message"]))
    if event["errno"] in (errno.ENOSPC, errno.EDQUOT):
        return SpoolFull(
            f"{label}: the disk of the spool {spool.folder.parent} is full.",
            hint="Free space there, or move spool.folder to a larger disk; nothing was uploaded.",
        )
    return SealingFailed(f"{label}: {event['message']}")


def _producer_hint(message: str) -> str:
    # pg_dump's --lock-wait-timeout is a statement timeout while it takes its locks.
    if any(sign in message for sign in ("lock timeout", "statement timeout", "could not obtain lock")):
        return "Another session holds or waits for an exclusive lock; see the finding, or raise limits.lock_wait."
    if (
        "terminating connection" in message
        or "connection was closed" in message
        or "server closed the connection" in message
    ):
        return "The server ended the connection; the next run starts afresh."
    return "Nothing of this source was committed; older backups are untouched."

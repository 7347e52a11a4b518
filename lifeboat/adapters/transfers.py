"""Transfers: objects from the spool to the store, and their digests back, here or in a child process.

SSH in Python keeps one processor busy from beginning to end of a large backup, and an interpreter has no use for a
second one: every batch that is worth it is moved by a process of its own, as it was sealed by one.
"""

from __future__ import annotations

import base64
import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from lifeboat.adapters.children import Child, Crew, Event, failure_of
from lifeboat.adapters.store import CHUNK, FreeSpace, Store, StoreTarget
from lifeboat.clock import Deadline
from lifeboat.errors import LifeboatError, TimeLimitExceeded

TRANSFER_CHILD: Final = "lifeboat.adapters.transfer_child"
LARGE: Final = 32 * 2**20
"""Bytes that are worth a child: it takes as long to start as asyncssh takes for these."""

Check = Callable[[str], None]
"""Called with what is going on, raises when it may not: before each chunk, while a place is waited for, and when a
child was ended at its time limit."""


@dataclass(frozen=True)
class Digest:
    """What an object's bytes are: their number, and their SHA-256 in hexadecimal digits."""

    size: int
    sha256: str


class Transfers(Protocol):
    """A fresh session with the store. Raises the ``StoreError`` family, as ``Store`` does, and what a check raises."""

    def free_space(self) -> FreeSpace | None: ...

    def send(self, name: str, path: Path) -> None:
        """Create an object from a file. That it returns proves nothing: read back."""
        ...

    def digest(self, name: str) -> Digest:
        """Of the whole object, as it comes back."""
        ...


class StoreTransfers:
    """Transfers in this process."""

    def __init__(self, store: Store, check: Check = lambda _: None) -> None:
        self._store = store
        self._check = check

    def free_space(self) -> FreeSpace | None:
        return self._store.free_space()

    def send(self, name: str, path: Path) -> None:
        def chunks() -> Iterator[bytes]:
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    self._check(f"upload of {name}")
                    yield chunk

        self._store.create_new(name, chunks())

    def digest(self, name: str) -> Digest:
        digest, size = hashlib.sha256(), 0
        for chunk in self._store.read(name):
            self._check(f"read-back of {name}")
            digest.update(chunk)
            size += len(chunk)
        return Digest(size, digest.hexdigest())


class ChildTransfers:
    """Transfers in a child process, which holds the session."""

    def __init__(self, child: Child, deadline: Deadline, check: Check) -> None:
        self._child = child
        self._deadline = deadline
        self._check = check

    def free_space(self) -> FreeSpace | None:
        told = self._done("free space of the store", do="free_space")["space"]
        return FreeSpace(**told) if told else None

    def send(self, name: str, path: Path) -> None:
        self._done(f"upload of {name}", do="send", name=name, path=str(path))

    def digest(self, name: str) -> Digest:
        told = self._done(f"read-back of {name}", do="digest", name=name)
        return Digest(told["size"], told["sha256"])

    def close(self) -> None:
        self._done("end of the session", do="close")

    def _done(self, label: str, **job: Any) -> Event:  # noqa: ANN401 - fields of the job
        self._child.begin(job, label=label, deadline=self._deadline)
        return self.result(label)

    def result(self, label: str) -> Event:
        """What the child says of the job it has."""
        try:
            for event in self._child.events():
                if event["event"] == "failed":
                    raise failure_of(event)
                return event
        except TimeLimitExceeded:
            self._check(label)
            raise
        raise LifeboatError(f"{label}: the child process ended without a result")


@contextmanager
def transfers(
    target: StoreTarget, crew: Crew, *, size: int, deadline: Deadline, check: Check
) -> Iterator[Transfers]:
    """A session that is to move ``size`` bytes. Raises what ``StoreTarget.connect`` raises, and what the check does."""
    if not target.worth_a_child or size < LARGE:
        with target.connect() as store:
            yield StoreTransfers(store, check)
        return
    label = f"connection to {target.label}"
    job = {"do": "open", "store": base64.b64encode(pickle.dumps(target)).decode()}
    with (
        _admitted(crew, label, check),
        crew.hire(TRANSFER_CHILD, job, label=label, deadline=deadline) as child,
    ):
        session = ChildTransfers(child, deadline, check)
        session.result(label)
        yield session
        session.close()


@contextmanager
def _admitted(crew: Crew, label: str, check: Check) -> Iterator[None]:
    while not crew.transfers.acquire(timeout=1):
        check(label)
    try:
        yield
    finally:
        crew.transfers.release()

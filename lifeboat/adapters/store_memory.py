"""The store as a dictionary that can be told to fail: what the tests of the stages sail against.

Faults are scheduled on the target, so that they hit whichever session happens to do the k-th thing. Creates
and deletes are counted from 1 over the target's whole life; a call that is refused at once is not counted.
"""

from __future__ import annotations

import builtins
import datetime as dt
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from lifeboat import clock
from lifeboat.adapters.store import (
    CHUNK,
    FreeSpace,
    ObjectStat,
    checked_name,
    object_exists,
    object_missing,
    session_closed,
    store_full,
)
from lifeboat.errors import StoreDenied, StoreUnreachable


@dataclass(frozen=True)
class LoseConnection:
    """The session dies once ``after`` bytes of the ``create``-th object arrived; they stay, torn (F15)."""

    create: int
    after: int = 0


@dataclass(frozen=True)
class StoreNothing:
    """The ``create``-th object is acknowledged and not stored (F22)."""

    create: int


@dataclass(frozen=True)
class StoreTruncated:
    """Of the ``create``-th object only the first ``length`` bytes are stored, and all acknowledged (F21)."""

    create: int
    length: int


@dataclass(frozen=True)
class FlipByte:
    """The byte at offset ``at`` of the ``create``-th object is stored inverted (F22)."""

    create: int
    at: int


@dataclass(frozen=True)
class HideFromListing:
    """Every listing lacks the last ``last`` names and does not say so (F39)."""

    last: int


@dataclass(frozen=True)
class FullAfter:
    """The store holds ``capacity`` bytes over all objects (F13)."""

    capacity: int


@dataclass(frozen=True)
class RefuseDelete:
    """The ``delete``-th delete is denied; the object stays."""

    delete: int


Fault = LoseConnection | StoreNothing | StoreTruncated | FlipByte | HideFromListing | FullAfter | RefuseDelete


@dataclass(eq=False)
class MemoryTarget:
    """``objects`` and ``modified`` are open to tests: to damage an object, or to make it older."""

    name: str = "store"
    objects: dict[str, bytes] = field(default_factory=dict, repr=False)
    modified: dict[str, dt.datetime] = field(default_factory=dict, repr=False)
    faults: list[Fault] = field(default_factory=list)
    creates: int = 0
    deletes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    worth_a_child: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"memory://{self.name}"

    @contextmanager
    def connect(self) -> Iterator[MemoryStore]:
        """A session that shares this target's objects with every other one."""
        store = MemoryStore(self)
        try:
            yield store
        finally:
            store.close()


class MemoryStore:
    """``Store`` over a ``MemoryTarget``."""

    def __init__(self, target: MemoryTarget) -> None:
        self._target = target
        self._closed = False
        self.fsync_supported: bool | None = None

    def create_new(self, name: str, chunks: Iterable[bytes]) -> int:
        number = self._claim(name)
        received = bytearray()
        try:
            for chunk in chunks:
                received += chunk
                self._maybe_lose_connection(name, number, received)
                self._maybe_fill_up(name, received)
        finally:
            # Also after an error: what arrived stays under the name, torn.
            self._keep(name, number, bytes(received))
        self.fsync_supported = True
        return len(received)

    def read(self, name: str) -> Iterator[bytes]:
        data = self._object(name)
        for start in range(0, len(data), CHUNK):
            self._check_open()
            yield data[start : start + CHUNK]

    def stat(self, name: str) -> ObjectStat:
        return ObjectStat(name, len(self._object(name)), self._target.modified.get(name))

    def list(self) -> builtins.list[ObjectStat]:
        self._check_open()
        with self._target.lock:
            found = [
                ObjectStat(name, len(data), self._target.modified.get(name))
                for name, data in sorted(self._target.objects.items())
            ]
        hidden = sum(fault.last for fault in self._target.faults if isinstance(fault, HideFromListing))
        return found[: max(0, len(found) - hidden)]

    def delete_exact(self, name: str) -> None:
        self._object(name)
        with self._target.lock:
            self._target.deletes += 1
            if RefuseDelete(self._target.deletes) in self._target.faults:
                raise StoreDenied(f"Deleting {name!r} on {self._target.label} was denied.")
            self._target.objects.pop(name, None)
            self._target.modified.pop(name, None)

    def free_space(self) -> FreeSpace | None:
        self._check_open()
        capacity = self._capacity()
        return None if capacity is None else FreeSpace(capacity, max(0, capacity - self._used()))

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise session_closed(self._target.label)

    def _object(self, name: str) -> bytes:
        self._check_open()
        try:
            return self._target.objects[checked_name(name)]
        except KeyError:
            raise object_missing(self._target.label, name) from None

    def _claim(self, name: str) -> int:
        """Take the name, as an exclusive create does, and return which create of the target this is."""
        self._check_open()
        with self._target.lock:
            if checked_name(name) in self._target.objects:
                raise object_exists(self._target.label, name)
            self._target.creates += 1
            self._target.objects[name] = b""
            self._target.modified[name] = clock.utc_now()
            return self._target.creates

    def _keep(self, name: str, number: int, received: bytes) -> None:
        with self._target.lock:
            if StoreNothing(number) in self._target.faults:
                del self._target.objects[name], self._target.modified[name]
            else:
                self._target.objects[name] = self._as_stored(number, received)

    def _as_stored(self, number: int, received: bytes) -> bytes:
        for fault in self._target.faults:
            match fault:
                case StoreTruncated(create, length) if create == number:
                    received = received[:length]
                case FlipByte(create, at) if create == number:
                    received = received[:at] + bytes([received[at] ^ 0xFF]) + received[at + 1 :]
        return received

    def _maybe_lose_connection(self, name: str, number: int, received: bytearray) -> None:
        for fault in self._target.faults:
            if isinstance(fault, LoseConnection) and fault.create == number and len(received) >= fault.after:
                del received[fault.after :]
                self.close()
                raise StoreUnreachable(
                    f"The connection to {self._target.label} was lost while writing {name!r}."
                )

    def _maybe_fill_up(self, name: str, received: bytearray) -> None:
        capacity = self._capacity()
        if capacity is not None and self._used() + len(received) > capacity:
            del received[max(0, capacity - self._used()) :]
            raise store_full(self._target.label, name, FreeSpace(capacity, 0))

    def _capacity(self) -> int | None:
        return min(
            (fault.capacity for fault in self._target.faults if isinstance(fault, FullAfter)), default=None
        )

    def _used(self) -> int:
        return sum(map(len, self._target.objects.values()))

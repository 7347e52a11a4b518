"""The store: one environment's folder of flat, create-only objects.

The interface is as narrow as a write-once account allows (design §4): objects are created under a name
that was never used, read, listed, and - by another account - deleted one by one. Nothing is renamed,
overwritten or deleted recursively, so no bug above this line can do it either.

A ``StoreTarget`` says where the store is; ``connect()`` opens a fresh session. Each step opens its own:
what one session wrote, another must read back before it counts (F18, F22).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lifeboat.errors import StoreDenied, StoreFull, StoreObjectExists, StoreObjectMissing, StoreUnreachable

CHUNK = 4 * 2**20
"""Bytes handed over at a time, reading and writing."""


@dataclass(frozen=True)
class ObjectStat:
    """One object as a listing shows it. ``modified`` is the store's own clock, aware UTC, or None."""

    name: str
    size: int
    modified: dt.datetime | None


@dataclass(frozen=True)
class FreeSpace:
    """Bytes on the store's filesystem; ``available`` is what this account may still write."""

    total: int
    available: int


class Store(Protocol):
    """An open session, used by one thread at a time. Names are flat ASCII (``checked_name``).

    Every method raises the ``StoreError`` family only, with the name and the store in the message;
    ``StoreUnreachable`` is the only one that may be repeated, and only with a new session. A closed
    session answers every call with it.

    An object is a regular file. What bears an object's name and is none (a folder, a link, a device) is
    never followed, read or deleted: ``StoreDenied``, so that nobody takes the name for free or gone.
    """

    fsync_supported: bool | None
    """Whether the store writes through to its disk on request; None until the first object was created."""

    def create_new(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a new object and return the bytes handed over. The return value proves nothing: read back.

        The object may be empty. Raises ``StoreObjectExists`` when the name was ever used, also by a torn
        upload; ``StoreFull``; ``StoreDenied``; and whatever ``chunks`` raises, unchanged. After an error
        the name may hold a torn object: it is never tried again, the next attempt takes another name.
        """
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """The object from its first byte to its last, in chunks of at most ``CHUNK``.

        Raises only once it is iterated. A short read, and an object that goes on after the size it was
        listed with, raise ``StoreProtocolError``: the stream never simply ends early (F21).
        """
        ...

    def stat(self, name: str) -> ObjectStat:
        """The object's size and time; ``StoreObjectMissing`` when there is none of that name."""
        ...

    def list(self) -> list[ObjectStat]:
        """Every object of the folder, sorted by name; sub-folders, links and devices are left out.

        Raises rather than return a partial listing (F39); a missing folder is ``StoreObjectMissing``.
        Foreign files are listed too, under the names they have: bytes that are no UTF-8 come as
        surrogates, so show a listed name with ``repr``.
        """
        ...

    def delete_exact(self, name: str) -> None:
        """Delete this one object. A missing one raises ``StoreObjectMissing``; a folder is refused."""
        ...

    def free_space(self) -> FreeSpace | None:
        """What statvfs says, or None where the store cannot tell."""
        ...

    def close(self) -> None:
        """End the session. Never raises: nothing that close() says is evidence."""
        ...


class StoreTarget(Protocol):
    """Where an environment's store is and how to reach it; holds secrets, so its repr shows none."""

    def connect(self) -> AbstractContextManager[Store]:
        """A fresh session, closed at the end of the ``with`` block."""
        ...

    @property
    def worth_a_child(self) -> bool:
        """Whether moving bytes keeps a processor busy, so that a process of its own should do it (``transfers``)."""
        ...

    @property
    def label(self) -> str:
        """For people: ``sftp://lifeboat@nas.example:22/production``. Never a secret."""
        ...


def checked_name(name: str) -> str:
    """Return ``name`` if it is a flat object name, else raise ``ValueError`` (a defect of ours)."""
    ok = name.isascii() and 0 < len(name) <= 200 and name[0] not in ".-" and set(name) <= _NAME_CHARACTERS
    if not ok:
        raise ValueError(f"not an object name: {name!r}")
    return name


_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


# What every store says in the same words. Each returns the error, for the caller to raise.


def object_missing(label: str, name: str) -> StoreObjectMissing:
    return StoreObjectMissing(f"There is no object {name!r} on {label}.")


def folder_missing(label: str) -> StoreObjectMissing:
    return StoreObjectMissing(
        f"The folder of {label} is missing.",
        hint="Create it on the store, owned by the upload account: Lifeboat never creates folders.",
    )


def object_exists(label: str, name: str) -> StoreObjectExists:
    return StoreObjectExists(
        f"The name {name!r} is taken on {label}.",
        hint="Objects are created once. Take another name; a torn upload keeps its name until it is reaped.",
    )


def not_an_object(label: str, name: str) -> StoreDenied:
    return StoreDenied(
        f"{name!r} on {label} is a folder, a link or a device, not an object; it was left alone.",
        hint="Lifeboat creates plain files only: find out who put it there.",
    )


def store_full(label: str, name: str, space: FreeSpace | None) -> StoreFull:
    numbers = f": {space.available:,} of {space.total:,} bytes are free" if space else ""
    return StoreFull(
        f"No space left for {name!r} on {label}{numbers}.",
        hint="Enlarge the store; if bytes are free, look for a quota or used-up inodes. Nothing was deleted.",
    )


def session_closed(label: str) -> StoreUnreachable:
    return StoreUnreachable(f"This session with {label} has ended.", hint="Open a new session.")

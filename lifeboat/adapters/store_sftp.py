"""A NAS's store over SFTP; ``store_sftp_session`` does the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from lifeboat.adapters.sftp_account import SftpAccount
from lifeboat.adapters.store_sftp_session import SftpStore


@dataclass(frozen=True)
class SftpTarget(SftpAccount):
    """One account's folder on one server."""

    worth_a_child: ClassVar[bool] = True

    @contextmanager
    def connect(self) -> Iterator[SftpStore]:
        """A connection of its own, never one that fsspec kept although it may be dead (F18)."""
        store = SftpStore(self)
        try:
            yield store
        finally:
            store.close()

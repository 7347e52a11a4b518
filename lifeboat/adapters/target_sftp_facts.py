"""Owner, mode and mtime of what is restored over SFTP, as far as the server lets its account set them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from lifeboat.adapters.tree_target import Losses
from lifeboat.model.tree import Entry
from lifeboat.model.tree_target import FINE_TIMES, OWNERS

SetStat = Callable[[asyncssh.SFTPAttrs], Awaitable[None]]


class Facts:
    """``losses`` counts what could not be set. An owner that was refused once is not tried again."""

    def __init__(self, sftp: asyncssh.SFTPClient, losses: Losses) -> None:
        self._sftp = sftp
        self.losses = losses
        self._may_give_away = True

    async def of_file(self, file: asyncssh.SFTPClientFile, entry: Entry) -> None:
        await self._set(file.setstat, entry)

    async def of_folder(self, place: bytes, entry: Entry) -> None:
        async def setstat(attributes: asyncssh.SFTPAttrs) -> None:
            await self._sftp.setstat(place, attributes)

        await self._set(setstat, entry)

    async def of_link(self, place: bytes, entry: Entry) -> None:
        """Raises ``SFTPOpUnsupported`` where the server can set nothing of a link."""

        async def setstat(attributes: asyncssh.SFTPAttrs) -> None:
            await self._sftp.setstat(place, attributes, follow_symlinks=False)

        await self._set(setstat, entry._replace(mode=None))

    async def _set(self, setstat: SetStat, entry: Entry) -> None:
        if entry.uid is not None:
            await self._give_away(setstat, entry.uid, entry.gid or 0)
        seconds, fraction = divmod(entry.mtime_ns, 10**9)
        self.losses[FINE_TIMES] += bool(fraction)
        facts: dict[str, Any] = {"atime": seconds, "mtime": seconds}
        if entry.mode is not None:
            facts["permissions"] = entry.mode  # after the owner, which takes setuid and setgid away
        await setstat(asyncssh.SFTPAttrs(**facts))

    async def _give_away(self, setstat: SetStat, uid: int, gid: int) -> None:
        if self._may_give_away:
            try:
                await setstat(asyncssh.SFTPAttrs(uid=uid, gid=gid))
                return
            except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure):
                self._may_give_away = False
        self.losses[OWNERS] += 1

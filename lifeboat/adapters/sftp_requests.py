"""Requests to an SFTP server: many on their way, each one limited in time, every answer accounted for.

asyncssh pipelines by itself when it is handed large pieces, but it takes an end-of-file status for the end
of the work: a write answered so counts as written, and a gap in what is read is filled with zeros. Here
every request is a single one (``block_size=0`` on the open file), and any answer but the right one raises.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import asyncssh

from lifeboat import clock

Answer = TypeVar("Answer")

WINDOW = 4 * 2**20
"""Bytes that may be on their way without an answer: the memory a transfer takes, besides one chunk. 8 MiB
gain a twentieth over a line of 40 ms, and cost up to a tenth more processor time on every line."""

SSH_WINDOW = 2 * WINDOW
"""Bytes that the server may send before SSH asks it to wait. asyncssh's own 2 MiB hold back answers to requests that
were made long ago: 131 MB over a line of 40 ms took 6.4 s to come and take 2.1 s with this."""

_REQUEST = 63 * 2**10
_LARGE_REQUEST = 255 * 2**10
"""Bytes per request, on any line and on one that answers promptly. Just below a multiple of 32 KiB, so that its header
does not cost an SSH packet of its own. Large ones take a quarter less of asyncssh's processor time, but on a slow line
(F17) answers must come more often than keepalives go out: asyncssh counts a keepalive that waits behind the data as
lost. OpenSSH takes no larger ones."""

_PROMPT = 0.25
"""Seconds within which the oldest answer must come for the next request to be a large one: 1 MB/s keep it so."""

_REQUEST_EVERYWHERE = 32 * 2**10
"""Bytes that every SFTP server must take at once. asyncssh assumes half of it where none are told (OpenSSH
before 8.5)."""

FAREWELL = 2.0
"""Seconds to spend on tidying up after a failure; nothing depends on it."""


class Stalled(Exception):
    """Nothing was answered for a whole stall timeout, or nobody waited for the answer any more."""


class WrongLength(Exception):
    """The object ended before its size, or went on after it."""


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Raise ``Stalled`` when the block takes longer; the block may reschedule the limit on progress."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError:
        if not limit.expired():
            raise  # the operating system's own, about the connection
        raise Stalled(f"no byte moved for {seconds:g} s") from None


def request_size(largest: int, *, prompt: bool = False) -> int:
    """Bytes to ask for at once; ``largest`` is what asyncssh thinks the server takes in this direction, ``prompt``
    whether it answers promptly."""
    return max(_REQUEST_EVERYWHERE, min(_LARGE_REQUEST if prompt else _REQUEST, largest))


class Requests(Generic[Answer]):
    """Requests without an answer yet, oldest first. Servers answer in order, so the oldest shows progress.

    ``largest`` as for ``request_size``.
    """

    def __init__(self, largest: int, stall_timeout: float) -> None:
        self._largest = largest
        self._stall_timeout = stall_timeout
        self._prompt = False
        self._bytes = 0
        self._unanswered: deque[tuple[asyncio.Task[Answer], int]] = deque()

    def __len__(self) -> int:
        return len(self._unanswered)

    @property
    def full(self) -> bool:
        """Whether ``WINDOW`` bytes are on their way."""
        return self._bytes >= WINDOW

    @property
    def size(self) -> int:
        """Bytes that the next request is for, at most."""
        return request_size(self._largest, prompt=self._prompt)

    @property
    def oldest_size(self) -> int:
        """Bytes that the oldest request is for."""
        return self._unanswered[0][1]

    def ask(self, request: Coroutine[Any, Any, Answer], size: int) -> None:
        self._unanswered.append((asyncio.create_task(request), size))
        self._bytes += size

    async def oldest(self) -> Answer:
        """The answer to the oldest request; raises what it raised, or ``Stalled``."""
        waited = clock.Stopwatch()
        task, size = self._unanswered.popleft()
        self._bytes -= size
        async with answered_within(self._stall_timeout):
            answer = await task
        self._prompt = waited.seconds() < _PROMPT
        return answer

    async def abandon(self) -> None:
        requests = [request for request, _ in self._unanswered]
        self._unanswered.clear()
        self._bytes = 0
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)


async def close_quietly(file: asyncssh.SFTPClientFile) -> None:
    """Closing proves nothing, and on a dead session asyncssh reports success anyway."""
    with suppress(asyncssh.Error, OSError, Stalled, ValueError):
        async with answered_within(FAREWELL):
            await file.close()


async def scanned(
    sftp: asyncssh.SFTPClient,
    folder: str | bytes,
    take: Callable[[asyncssh.SFTPName], Coroutine[Any, Any, None]],
    stall_timeout: float,
) -> None:
    """Give every name of ``folder`` to ``take``; raises ``Stalled`` when none came for a whole stall timeout or two.

    asyncssh closes the handle of a listing that is cancelled, and waits for the answer: on a line that fell silent a
    time limit around it would never end. So the listing is a task of its own that nobody waits for then.
    """
    count = 0

    async def scan() -> None:
        nonlocal count
        async for item in sftp.scandir(folder):
            count += 1
            await take(item)

    listing = asyncio.create_task(scan())
    try:
        counted = -1
        while not (await asyncio.wait({listing}, timeout=stall_timeout))[0]:
            if count == counted:
                raise Stalled(f"no byte moved for {stall_timeout:g} s")
            counted = count
        listing.result()
    finally:
        listing.cancel()

"""COPY … TO STDOUT of many tables over one connection, inside the sealing child.

asyncpg takes the protocol's framing off in C, many rows at a time: an eighth of psql's processor time, and no pipe
(decision D8). It is asynchronous and its caller is not: the event loop runs only while the caller waits for a piece,
and in between the server waits for us.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import closing, suppress
from typing import Any

import asyncpg

from lifeboat import clock
from lifeboat.adapters.producers import NAP, EndOfStream, Pieces, ProducerEndedBadly
from lifeboat.adapters.sockets import keep_alive

PIECE = 2**19
LITTLE = 2**16


def copy_tables(job: dict[str, Any], complaints: list[str]) -> Pieces:
    """The tables' streams one after the other; warnings of the server go to ``complaints``.

    Raises ``ProducerEndedBadly`` for whatever the server or the network did.
    """
    with closing(_Loop()) as loop:
        try:
            yield from _streams(loop, job, complaints)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise ProducerEndedBadly(f"{job['label']} failed: {_words(error)}") from None


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose connections notice a dead peer."""

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the base class's
        transport, protocol = await super().create_connection(*args, **kwargs)
        keep_alive(transport.get_extra_info("socket"))
        return transport, protocol


def _streams(loop: _Loop, job: dict[str, Any], complaints: list[str]) -> Pieces:
    connection = loop.run_until_complete(_connect(job["connection"]))
    try:
        connection.add_log_listener(lambda _, notice: complaints.append(_words(notice)))
        for statement in job["session"]:
            loop.run_until_complete(connection.execute(statement))
        for table in job["tables"]:
            yield from _stream(loop, connection, table)
        loop.run_until_complete(connection.execute("COMMIT"))
        loop.run_until_complete(connection.close())
    finally:
        connection.terminate()


def _stream(loop: _Loop, connection: asyncpg.Connection[Any], table: dict[str, Any]) -> Pieces:
    pieces = _Pieces()
    copying = loop.create_task(
        connection.copy_from_table(
            table["name"],
            schema_name=table["schema"],
            # Without a list when there are no columns to list, as pg_dump does.
            columns=table["columns"] or None,
            encoding=table["encoding"],
            output=pieces.put,
        )
    )
    try:
        while piece := loop.run_until_complete(pieces.next(copying)):
            yield piece
        yield EndOfStream(int(copying.result().removeprefix("COPY ")))
    finally:
        copying.cancel()
        with suppress(asyncio.CancelledError, Exception):
            loop.run_until_complete(copying)


class _Pieces:
    """What asyncpg hands over, some KiB at a time, put together to what is worth a turn of the pipeline."""

    def __init__(self) -> None:
        self._gathered: list[bytes] = []
        self._size = 0
        self._full: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

    async def put(self, data: bytes) -> None:
        self._gathered.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            await self._full.put(self._take())
        elif len(data) < LITTLE:
            clock.sleep(NAP)  # stops the loop, and means to: the server fills the socket meanwhile

    async def next(self, copying: asyncio.Task[str]) -> bytes:
        """The next piece, empty when all were taken; raises what ended the COPY."""
        waiting = asyncio.ensure_future(self._full.get())
        await asyncio.wait([waiting, copying], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        copying.result()
        return self._take()

    def _take(self) -> bytes:
        data = b"".join(self._gathered)
        self._gathered, self._size = [], 0
        return data


async def _connect(settings: dict[str, Any]) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(
        host=settings["host"],
        port=settings["port"],
        user=settings["user"],
        password=settings["password"],
        database=settings["database"],
        timeout=settings["connect_timeout"],
        ssl=_tls(settings["tls_mode"], settings["tls_ca_file"]),
        server_settings=settings["options"],
    )


def _tls(mode: str, ca_file: str | None) -> ssl.SSLContext | bool:
    """libpq's ``sslmode`` as a context; ``system``, or no file at all, are this host's own authorities."""
    if mode == "disable":
        return False
    context = ssl.create_default_context(cafile=None if ca_file == "system" else ca_file)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and not ca_file:
        context.verify_mode = ssl.CERT_NONE
    return context


def _words(error: object) -> str:
    severity = getattr(error, "severity", None)
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{severity}: {text}" if severity else text

"""A TCP proxy that breaks connections on purpose: real bytes, real sockets, one fault per direction.

``up`` is the way from the client to the server, ``down`` the way back. Faults count the bytes of one direction
from the moment they are set, over all connections, so a test can set one in the middle of a session.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_PIECE = 16 * 2**10


@dataclass
class Direction:
    """What happens to the bytes that flow one way; None means: nothing."""

    cut_after: int | None = None
    """Both ends are reset once this many bytes passed."""
    hold_after: int | None = None
    """Nothing more is forwarded once this many bytes passed, and nobody is told: a black hole."""
    flip_at: int | None = None
    """The byte at this offset is inverted."""
    bytes_per_second: int | None = None
    passed: int = 0
    """Bytes forwarded since the last fault was set."""

    def set(
        self, *, cut_after: int | None = None, hold_after: int | None = None, flip_at: int | None = None
    ) -> None:
        self.passed = 0
        self.cut_after, self.hold_after, self.flip_at = cut_after, hold_after, flip_at


@dataclass
class FaultProxy:
    """Forwards ``port`` to the server on ``server_port``, both on loopback."""

    server_port: int
    up: Direction = field(default_factory=Direction)
    down: Direction = field(default_factory=Direction)
    connections: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _sockets: list[socket.socket] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        self.connections += 1
        server = socket.create_connection(("127.0.0.1", self.server_port))
        for endpoint in (client, server):
            endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets += [client, server]
        for source, sink, direction in ((client, server, self.up), (server, client, self.down)):
            threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                self._forward(data, sink, direction)
                if direction.cut_after is not None and direction.passed >= direction.cut_after:
                    _reset(source, sink)
                    return
            sink.shutdown(socket.SHUT_WR)

    def _forward(self, data: bytes, sink: socket.socket, direction: Direction) -> None:
        if direction.flip_at is not None and 0 <= direction.flip_at - direction.passed < len(data):
            at = direction.flip_at - direction.passed
            data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        if direction.hold_after is not None and direction.passed + len(data) > direction.hold_after:
            self._stopped.wait()
        if direction.cut_after is not None:
            data = data[: direction.cut_after - direction.passed]
        sink.sendall(data)
        direction.passed += len(data)
        if direction.bytes_per_second:
            time.sleep(len(data) / direction.bytes_per_second)

    def stop(self) -> None:
        self._stopped.set()
        self._listener.close()
        for endpoint in self._sockets:
            endpoint.close()


def _reset(*endpoints: socket.socket) -> None:
    """Close with RST: a lingering close would look like an orderly end."""
    for endpoint in endpoints:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            # Wakes the thread that reads from it; close() alone would not.
            endpoint.shutdown(socket.SHUT_RD)
        endpoint.close()


@contextlib.contextmanager
def fault_proxy(server_port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(server_port)
    acceptor = threading.Thread(target=proxy.serve, daemon=True)
    acceptor.start()
    try:
        yield proxy
    finally:
        # close() does not wake a blocked accept(); a last connection does.
        proxy._stopped.set()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), 1):
            pass
        acceptor.join(5)
        proxy.stop()

"""A relay in front of the store that counts what is sent and received: the same for all contestants.

``python -m benchmarks.relay LISTEN TARGET`` on loopback. Once it listens it says so, and each line on
standard input is answered with the bytes so far
to the store and back from it. The kernel moves them (splice), so it costs little, and everybody the same.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress

PIPE = 2**20


class Relay:
    """``sent`` and ``received`` are seen from the contestant."""

    def __init__(self, listen: int, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", listen), backlog=64)
        self._lock = threading.Lock()
        self.sent = self.received = 0

    def serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            for one, other, up in ((client, server, True), (server, client, False)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(one, other, up), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        out, into = os.pipe()
        with suppress(OSError):
            while count := os.splice(source.fileno(), into, PIPE):
                with self._lock:
                    self.sent += count if up else 0
                    self.received += 0 if up else count
                while count:
                    count -= os.splice(out, sink.fileno(), count)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        os.close(out)
        os.close(into)


def main() -> None:
    relay = Relay(int(sys.argv[1]), int(sys.argv[2]))
    threading.Thread(target=relay.serve, daemon=True).start()
    print("listening", flush=True)
    for _ in sys.stdin:
        print(relay.sent, relay.received, flush=True)


if __name__ == "__main__":
    main()

"""The server itself: plain threads, one handler, a counter for every operation."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import secrets
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from support.filerest.faults import Fault, Faults
from support.filerest.operations import Answer, Request, perform
from support.filerest.shares import Rejected, Share, Shares
from support.filerest.signing import Account, Forbidden


@dataclass
class FileRestServer:
    """An account of its own on 127.0.0.1. ``counts`` holds the requests by operation."""

    root: Path
    certificate: Path | None = None
    """PEM with key: the server then speaks TLS."""
    token: str = ""
    account_name: str = "lifeboattest"
    account_key: str = field(
        default_factory=lambda: base64.b64encode(secrets.token_bytes(64)).decode(), repr=False
    )
    counts: Counter[str] = field(default_factory=Counter)
    body_bytes: Counter[str] = field(default_factory=Counter)
    """Bytes of file contents that were sent, by path."""
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.shares = Shares(self.root)
        self.lock = threading.Lock()
        self.http = _Http(("127.0.0.1", 0), _Handler)
        self.http.owner = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)

    @property
    def account(self) -> Account:
        return Account(self.account_name, self.account_key, self.token)

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.http.server_address[1]}"

    def share(self, name: str) -> Share:
        """A new share, empty."""
        return self.shares.add(name)

    def inject(self, fault: Fault) -> None:
        self.faults.pending.append(fault)

    def count(self, operation: str) -> None:
        with self.lock:
            self.counts[operation] += 1


@contextlib.contextmanager
def running_server(root: Path, certificate: Path | None = None, token: str = "") -> Iterator[FileRestServer]:
    """A server that is stopped at the end; ``root`` is an empty folder of the test."""
    server = FileRestServer(root, certificate, token)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: FileRestServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news; everything else must be seen."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Headers and body leave together: a packet each costs 40 ms of delayed acknowledgement.
    wbufsize = 2**16
    server: _Http

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names http.server looks for

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = self._parsed(body)
        self.server.owner.count(request.operation)
        fault = self.server.owner.faults.next(request.operation, "/".join(request.names))
        if fault and fault.kind == "first":
            fault.action()
        if fault and fault.kind == "cut-header":
            return self._reset()
        answer = self._answer(request, fault)
        return self._send(request, answer, fault)

    def _parsed(self, body: bytes) -> Request:
        target = urlsplit(self.path)
        query = {name.lower(): value for name, value in parse_qsl(target.query, keep_blank_values=True)}
        parts = [part for part in unquote(target.path).split("/") if part]
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("x-ms-allow-trailing-dot") != "true":
            parts = [part.rstrip(".") for part in parts]
        return Request(self.command, parts[0] if parts else "", parts[1:], query, headers, body)

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        if fault and fault.kind == "busy":
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return Answer.error(503, "ServerBusy", "The server is busy.", wait)
        if fault and fault.kind == "forbidden":
            return Answer.error(403, "AuthorizationPermissionMismatch", "Not permitted.")
        try:
            # The headers as they were sent: their values are signed.
            now = dt.datetime.now(dt.UTC)
            self.server.owner.account.check(self.command, self.path, dict(self.headers.items()), now)
            return perform(self.server.owner.shares, request)
        except Forbidden as error:
            return Answer.error(403, error.code, error.message)
        except Rejected as error:
            return Answer.error(error.status, error.code, "Rejected.")

    def _send(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        body = answer.body
        if fault and fault.kind == "short":
            body = body[: len(body) // 2]
        self.send_response(answer.status)
        headers = {
            "x-ms-version": request.headers.get("x-ms-version", ""),
            "x-ms-request-id": secrets.token_hex(8),
        }
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        if request.method != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault and fault.kind == "drop":
            self.wfile.write(body[: len(body) // 2])
            return self._reset()
        if request.method != "HEAD":
            if request.operation == "get-file":
                with self.server.owner.lock:
                    self.server.owner.body_bytes["/".join(request.names)] += len(body)
            self.wfile.write(body)
        return None

    def _reset(self) -> None:
        """The connection ends with a reset, as when a load balancer gives up."""
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(timestamp, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

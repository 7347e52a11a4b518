"""A real HTTP service on loopback, with or without TLS, that answers what a test says and keeps what it was asked."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Reply:
    """An answer. ``raw`` writes what follows the status line by itself; the connection then ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    raw: Callable[[Any], None] | None = None


def as_json(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


@dataclass
class HttpService:
    """``answer`` gets path, with its query, and headers of each request."""

    answer: Callable[[str, dict[str, str]], Reply]
    scheme: str = "http"
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


def _handler(service: HttpService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: 40 ms each time

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.asked.append((self.path, headers))
            reply = service.answer(self.path, headers)
            self.send_response(reply.status)
            if reply.raw is not None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    reply.raw(self)
                return
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):
                    self.wfile.write(reply.body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Nothing to the terminal."""

    return Handler


@contextlib.contextmanager
def http_service(
    answer: Callable[[str, dict[str, str]], Reply], certificate: Path | None = None
) -> Iterator[HttpService]:
    """``certificate`` is a PEM file with certificate and key: the service then speaks TLS."""
    service = HttpService(answer, "https" if certificate else "http")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake belongs to the connection's own thread: a client that turns away stops nobody else.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def make_certificates(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """The CA's certificate, and certificate and key of a server at ``address``, both as PEM files."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    of_authority = _certificate("a CA of the tests", authority, "a CA of the tests", authority, None)
    of_server = _certificate(address, server, "a CA of the tests", authority, address)
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(of_authority.public_bytes(serialization.Encoding.PEM))
    key = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server_file.write_bytes(of_server.public_bytes(serialization.Encoding.PEM) + key)
    return ca_file, server_file


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    address: str | None,
) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())

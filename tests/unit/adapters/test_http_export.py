"""Exports over HTTP against a real service: what is asked, what is believed, and how it is refused."""

from __future__ import annotations

import base64
import gc
import json
import pickle
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.http_service import Reply, http_service, make_certificates
from support.proxy import fault_proxy
from support.sshd import free_port

from lifeboat.adapters.http_export import PlainExport
from lifeboat.adapters.http_session import BearerToken, Endpoint, UserPassword
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.errors import (
    ConfigurationError,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceUnreachable,
)

CANARY = "S3CRET-canary"
WHO = UserPassword("keeper", CANARY)


def export(url: str, **changes: Any) -> PlainExport:
    return PlainExport(Endpoint(**{"url": url, "first_wait": 0.01, **changes}))


def captured(of: PlainExport) -> dict[bytes, bytes]:
    target = of.capture().target
    assert isinstance(target, CapturedTreeTarget)
    return dict(target.files)


def always(reply: Reply) -> Callable[[str, dict[str, str]], Reply]:
    return lambda path, headers: reply


def refusal(reply: Reply, **changes: Any) -> SourceError:
    """How an export is refused to which the service answers this."""
    with http_service(always(reply)) as service, pytest.raises(SourceError) as caught:
        export(f"{service.url}/api/export", credential=WHO, **changes).capture()
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert base64.b64encode(f"keeper:{CANARY}".encode()).decode() not in shown
    assert caught.value.hint
    return caught.value


def test_export_is_stored_as_it_comes_under_the_last_name_of_its_url() -> None:
    body = b'{"b": 1,\n "a": [ ]}'
    with http_service(always(Reply(body=body))) as service:
        assert captured(export(f"{service.url}/api/things%20to%20keep")) == {b"things to keep": body}
        assert captured(export(f"{service.url}/")) == {b"export": body}
    assert [path for path, _ in service.asked] == ["/api/things%20to%20keep", "/"]


def test_export_that_is_no_json_is_bytes() -> None:
    body = bytes(range(256))
    with http_service(always(Reply(body=body, content_type="application/octet-stream"))) as service:
        assert captured(export(f"{service.url}/realm.p12")) == {b"realm.p12": body}


def test_chunked_export_is_whole() -> None:
    def chunks(handler: Any) -> None:
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    with http_service(always(Reply(raw=chunks))) as service:
        assert captured(export(f"{service.url}/x")) == {b"x": b"abcde"}


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (
            UserPassword("keeper", "p:äss"),
            f"Basic {base64.b64encode('keeper:p:äss'.encode()).decode()}",
        ),
        (BearerToken(CANARY), f"Bearer {CANARY}"),
        (None, None),
    ],
)
def test_credential_goes_with_the_request(
    credential: UserPassword | BearerToken | None, expected: str | None
) -> None:
    with http_service(always(Reply())) as service:
        export(f"{service.url}/x", credential=credential).capture()
    ((_, headers),) = service.asked
    assert headers.get("authorization") == expected
    assert headers["accept-encoding"] == "identity"


def test_export_crosses_processes_and_shows_no_secret() -> None:
    for credential in (WHO, BearerToken(CANARY)):
        origin = export("http://127.0.0.1:1/x", credential=credential)
        assert pickle.loads(pickle.dumps(origin)) == origin
        assert CANARY not in repr(origin)


@pytest.mark.parametrize(
    "make", [lambda: UserPassword("a:b", CANARY), lambda: BearerToken(f"{CANARY}\nX: y")]
)
def test_credential_that_no_header_can_carry_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, SourceDenied),
        (403, SourceDenied),
        (404, SourceMissing),
        (418, SourceError),
        (429, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
def test_status_that_is_no_export_is_refused_by_kind(status: int, kind: type[SourceError]) -> None:
    error = refusal(Reply(status, body=CANARY.encode()))
    assert type(error) is kind
    assert f"({status})" in error.message or f"answered {status}" in error.message


def test_redirect_is_not_followed_and_the_credential_stays_here() -> None:
    with http_service(always(Reply())) as elsewhere:
        error = refusal(Reply(302, headers={"Location": f"{elsewhere.url}/?token={CANARY}"}))
        assert elsewhere.asked == []
    assert "sends us elsewhere (302)" in error.message


def test_busy_service_is_asked_again_when_it_says() -> None:
    replies = [Reply(503, headers={"Retry-After": "1"}), Reply(body=b'"whole"')]
    with http_service(lambda path, headers: replies.pop(0)) as service:
        began = time.monotonic()
        assert captured(export(f"{service.url}/x", attempts=2)) == {b"x": b'"whole"'}
    assert time.monotonic() - began >= 1


def test_page_for_people_is_no_export() -> None:
    assert (
        "text/html" in refusal(Reply(body=b"<html>Sign in", content_type="text/html; charset=utf-8")).message
    )


@pytest.mark.parametrize("body", [b'{"users": [', b"", b"[" * 100_000, b"\xff\xfe"])
def test_json_that_is_none_is_refused(body: bytes) -> None:
    # Other tests' garbage, finalised at the bottom of a recursion, would be reported as an error of this one.
    gc.disable()
    try:
        assert "is no JSON" in refusal(Reply(body=body)).message
    finally:
        gc.enable()


def test_export_above_the_limit_is_refused_naming_it() -> None:
    body = json.dumps("x" * 2**20).encode()
    assert "1 MiB" in refusal(Reply(body=body), size_limit=2**20).message
    with http_service(always(Reply(body=body))) as service:
        assert captured(export(f"{service.url}/x", size_limit=len(body))) == {b"x": body}


def test_answer_that_does_not_say_where_it_ends_is_refused() -> None:
    def until_closed(handler: Any) -> None:
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(b"[1, 2]")

    assert "does not say where it ends" in refusal(Reply(raw=until_closed)).message


def test_answer_that_ends_too_soon_is_refused() -> None:
    def short(handler: Any) -> None:
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"[1, 2]")

    def without_last_chunk(handler: Any) -> None:
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"2\r\n[]\r\n")

    for how in (short, without_last_chunk):
        assert isinstance(refusal(Reply(raw=how), attempts=2), SourceUnreachable)


def test_answer_compressed_unasked_is_refused() -> None:
    assert "compressed" in refusal(Reply(headers={"Content-Encoding": "gzip"})).message


def test_answer_that_trickles_is_given_up_after_the_time_limit() -> None:
    def trickle(handler: Any) -> None:
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    began = time.monotonic()
    assert isinstance(refusal(Reply(raw=trickle), time_limit=0.5, attempts=1), SourceUnreachable)
    assert time.monotonic() - began < 10


def test_service_that_falls_silent_is_given_up() -> None:
    with http_service(always(Reply())) as service, fault_proxy(service.port) as proxy:
        proxy.down.set(hold_after=5)
        with pytest.raises(SourceUnreachable, match="ReadTimeout"):
            export(f"http://127.0.0.1:{proxy.port}/x", time_limit=0.5, attempts=1).capture()


def test_service_that_is_away_is_unreachable() -> None:
    with pytest.raises(SourceUnreachable, match="ConnectError"):
        export(f"http://127.0.0.1:{free_port()}/x").capture()


def test_certificate_is_checked_against_the_ca_file_and_nothing_else(tmp_path: Path) -> None:
    ca_file, certificate = make_certificates(tmp_path)
    with http_service(always(Reply(body=b"[]")), certificate) as service:
        assert captured(export(f"{service.url}/x", ca_file=str(ca_file))) == {b"x": b"[]"}
        for wrong in (None, *_other_ca(tmp_path)):
            with pytest.raises(SourceError, match="certificate is not trusted") as caught:
                export(f"{service.url}/x", ca_file=wrong, credential=WHO, attempts=1).capture()
            assert not caught.value.retryable
    assert len(service.asked) == 1


def test_certificate_of_another_server_is_refused(tmp_path: Path) -> None:
    ca_file, certificate = make_certificates(tmp_path, "127.0.0.2")
    with http_service(always(Reply()), certificate) as service, pytest.raises(SourceError, match="mismatch"):
        export(f"{service.url}/x", ca_file=str(ca_file), attempts=1).capture()
    assert service.asked == []


def _other_ca(folder: Path) -> list[str]:
    (folder / "other").mkdir()
    return [str(make_certificates(folder / "other")[0])]


def test_ca_file_that_cannot_be_used_is_refused_naming_it(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigurationError, match=name):
            export("https://127.0.0.1:1/x", ca_file=str(tmp_path / name)).capture()

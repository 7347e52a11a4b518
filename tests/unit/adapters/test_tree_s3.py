"""What of trees of objects is S3's alone; ``test_tree_object.py`` has what it shares with Azure."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.http_service import HttpService, Reply, http_service, make_certificates
from support.s3 import QUICK, SECRET, S3Service, running_s3
from support.trees import content_of

from lifeboat import clock
from lifeboat.adapters.tree_s3 import S3TreeTarget
from lifeboat.errors import (
    ConfigurationError,
    EntryChanged,
    SourceDenied,
    SourceError,
    SourceUnreachable,
)
from lifeboat.model.patterns import Selection
from lifeboat.model.tree import Entry, EntryKind


@pytest.fixture
def service() -> Iterator[S3Service]:
    with running_s3() as running:
        yield running


def walked(target: S3TreeTarget) -> list[bytes]:
    with target.connect() as tree:
        return [entry.path for entry in tree.walk()]


def test_key_that_may_not_read_everything_is_denied_that_object_only(service: S3Service) -> None:
    service.put("docs", {"open": b"1", "closed": b"2"})
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::docs"}
    reading = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::docs/open"}
    with service.permitting_only(listing, reading) as target:
        with target.connect() as tree:
            entries = {entry.path: entry for entry in tree.walk()}
            assert content_of(tree, entries[b"open"]) == b"1"
            with pytest.raises(SourceDenied, match=r"'closed' in .* said no \(403 AccessDenied\)"):
                tree.open(entries[b"closed"])
        for wrong in ({"access_key": "nobody"}, {"secret_key": "another"}):
            with pytest.raises(SourceDenied, match=r"said no \(403"):
                walked(dataclasses.replace(target, **wrong))


def test_dots_as_names_and_content_under_a_folders_name_are_refused(service: S3Service) -> None:
    service.put("docs", {"up/../passwd": b"1", "here/./x": b"2", "content/": b"not empty"})
    for folder, message in (("up", r"'\.\.'"), ("here", r"'\.'"), ("content", "''")):
        with pytest.raises(SourceError, match=f"something called {message}"):
            walked(service.target("docs", folder))
    left_out = Selection(exclude=("up", "here", "content"))
    assert walked(service.target("docs", selection=left_out)) == []


def test_key_of_a_worker_is_never_sent_to_an_address_from_its_environment(
    service: S3Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.put("docs", {"a": b"1"})
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    assert walked(service.target("docs")) == [b"a"]


@pytest.mark.parametrize("endpoint", ["fra1", "ftp://host", "https://user:pw@host", "https://host/?sig=x"])
def test_endpoint_that_is_none_is_refused_without_showing_it(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="not the URL of a service") as caught:
        S3TreeTarget("docs", "", "id", SECRET, endpoint)
    assert endpoint not in str(caught.value)


# Services that lie, or say no: what moto would never do

LISTED = (
    '<?xml version="1.0"?><ListBucketResult><Name>docs</Name><IsTruncated>%s</IsTruncated>%s'
    "<Contents><Key>a</Key><Size>5</Size><LastModified>2026-11-25T22:00:00.123Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag></Contents></ListBucketResult>"
)
FILE = Entry(b"a", EntryKind.FILE, size=5, mtime_ns=1795644000 * 10**9, etag="e")


def listing(truncated: str = "false", more: str = "") -> Reply:
    return Reply(200, (LISTED % (truncated, more)).encode(), content_type="application/xml")


def refusal(status: int, code: str) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
    return Reply(status, body, content_type="application/xml")


def answering(answer: Callable[[int], Reply]) -> Callable[[str, dict[str, str]], Reply]:
    """``answer`` gets the number of the request, from 1."""
    asked: list[str] = []

    def reply(path: str, _: dict[str, str]) -> Reply:
        asked.append(path)
        return answer(len(asked))

    return reply


def target_of(service: HttpService, **changes: object) -> S3TreeTarget:
    target = S3TreeTarget("docs", "", "id", SECRET, service.url, patience=QUICK)
    return dataclasses.replace(target, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_service_that_is_busy_is_asked_again_each_time_later(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(clock, "sleep", waits.append)
    with http_service(answering(lambda n: refusal(status, "SlowDown") if n < 4 else listing())) as service:
        assert walked(target_of(service)) == [b"a"]
    assert waits == [0.01, 0.02, 0.04]


def test_service_that_stays_busy_is_given_up_and_its_words_are_not_repeated() -> None:
    with http_service(lambda *_: refusal(503, "SlowDown")) as service:
        with pytest.raises(SourceUnreachable, match=r"too busy or broken \(503 SlowDown\)") as caught:
            walked(target_of(service))
        assert len(service.asked) == QUICK.retries + 1
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "SignatureDoesNotMatch", SourceDenied),
        (400, "ExpiredToken", SourceDenied),
        (400, "AuthorizationHeaderMalformed", SourceError),
        (501, "NotImplemented", SourceError),
        (400, f"Forged {SECRET}\x1b[31m", SourceError),
    ],
)
def test_refusal_is_not_asked_again(status: int, code: str, kind: type[SourceError]) -> None:
    with http_service(lambda *_: refusal(status, code)) as service:
        with pytest.raises(kind) as caught:
            walked(target_of(service))
        assert type(caught.value) is kind
        assert len(service.asked) == 1
    assert SECRET not in str(caught.value)


def test_listing_that_goes_on_without_saying_where_is_an_error_and_no_end() -> None:
    with http_service(lambda *_: listing("true")) as service, pytest.raises(SourceError, match="goes on"):
        walked(target_of(service))
    again = "<NextContinuationToken>t</NextContinuationToken>"
    with (
        http_service(lambda *_: listing("true", again)) as service,
        pytest.raises(SourceError, match="goes on"),
    ):
        walked(target_of(service))


def test_time_of_a_listing_is_cut_to_what_a_header_tells() -> None:
    """Ceph, which Spaces is, lists milliseconds; the header has none, and both must compare equal."""

    def answer(path: str, _: dict[str, str]) -> Reply:
        if "list-type" in path:
            return listing()
        headers = {"ETag": '"e"', "Last-Modified": "Wed, 25 Nov 2026 22:00:00 GMT"}
        return Reply(200, b"12345", headers)

    with http_service(answer) as service, target_of(service).connect() as tree:
        assert list(tree.walk()) == [FILE] == [tree.look_again(b"a")]


@pytest.mark.parametrize(("body", "came"), [(b"123", 3), (b"", 0), (b"123456", 6), (b"12345678" * 1000, 6)])
def test_body_of_another_length_is_never_taken_for_the_file(body: bytes, came: int) -> None:
    with http_service(lambda *_: Reply(206, body, {"ETag": '"e"'})) as service:
        message = f"{came} bytes came where 5 were asked for"
        with target_of(service).connect() as tree, pytest.raises(SourceUnreachable, match=message):
            tree.open(FILE)
        assert len(service.asked) == QUICK.retries + 1


def test_service_that_overlooks_if_match_does_not_pass_another_object_off() -> None:
    headers = {"ETag": '"f"', "Last-Modified": "Wed, 25 Nov 2026 22:00:00 GMT"}
    with http_service(lambda *_: Reply(206, b"12345", headers)) as service:
        with target_of(service).connect() as tree, pytest.raises(EntryChanged):
            tree.open(FILE).read(5)
        assert service.asked[0][1]["if-match"] == '"e"'
        assert service.asked[0][1]["range"] == "bytes=0-4"


def test_certificate_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    authority, certificate = make_certificates(tmp_path)
    with http_service(lambda *_: listing(), certificate) as service:
        assert walked(target_of(service, ca_file=str(authority))) == [b"a"]
        with pytest.raises(SourceUnreachable, match="SSLError"):
            walked(target_of(service))


def test_digest_of_what_was_read_is_that_of_what_was_stored(service: S3Service) -> None:
    content = bytes(range(256)) * 100_000
    service.put("docs", {"large": content})
    with service.target("docs").connect() as tree:
        (entry,) = tree.walk()
        assert entry.etag == hashlib.md5(content_of(tree, entry)).hexdigest()

"""An Azure file share through Microsoft's unmodified client: listing, reading, writing, and every fault on the way."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import io
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.storage.fileshare import (
    AccountSasPermissions,
    ContentSettings,
    ResourceTypes,
    ShareServiceClient,
    generate_account_sas,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.filerest import Fault, FileRestServer, Share, running_server

from lifeboat.adapters.azure_files import AzureShareFileSystem
from lifeboat.adapters.azure_files_share import AccountKey, EntraCredential, SharedAccessSignature
from lifeboat.adapters.azure_files_transfer import PARTIAL
from lifeboat.errors import (
    ConfigurationError,
    EntryChanged,
    EntryExists,
    EntryMissing,
    LifeboatError,
    Refused,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceUnreachable,
)

MIB = 2**20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileRestServer]:
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def share(server: FileRestServer) -> Share:
    return server.share("documents")


def opened(server: FileRestServer, **options: Any) -> AzureShareFileSystem:
    """The share ``documents``, with the account's key; repeats quickly."""
    key = AccountKey(server.account_name, server.account_key)
    return AzureShareFileSystem(server.url, "documents", key, **{"first_wait": 0.01, **options})


def put(share: Share, path: str, content: bytes = b"content") -> Path:
    target = share.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


# Listing


def test_listing_tells_size_time_and_etag_without_a_request_per_entry(
    server: FileRestServer, share: Share
) -> None:
    for number in range(300):
        put(share, f"{number % 3}/{number}.txt", b"x" * number)
    moment = 1_700_000_000_123_456_700
    os.utime(share.folder / "1/100.txt", ns=(moment, moment))

    found = opened(server).find("", detail=True)

    assert len(found) == 300
    assert found["1/100.txt"]["size"] == 100
    assert found["1/100.txt"]["mtime_ns"] == moment
    assert found["1/100.txt"]["mtime"] == dt.datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=dt.UTC)
    assert all(info["etag"] for info in found.values())
    assert server.counts == {"list-entries": 4}


def test_listing_of_a_large_folder_costs_a_request_a_page(server: FileRestServer, share: Share) -> None:
    for number in range(10_001):
        (share.folder / f"{number}").touch()
    assert len(opened(server).ls("", detail=False)) == 10_001
    assert server.counts == {"list-entries": 3}


def test_properties_of_one_file_equal_what_the_listing_said(server: FileRestServer, share: Share) -> None:
    put(share, "a/file")
    files = opened(server)
    [listed] = files.ls("a")
    assert files.info("a/file") == listed


def test_etag_of_an_unchanged_file_is_the_same_in_every_snapshot(
    server: FileRestServer, share: Share
) -> None:
    put(share, "file")
    etags = {
        opened(server, snapshot=share.freeze({}).id).info("file")["etag"],
        opened(server, snapshot=share.freeze({}).id).info("file")["etag"],
    }
    assert etags == {opened(server).info("file")["etag"]}


HOSTILE = [
    "-rf",
    "trailing dot.",
    "two dots..",
    " leading and trailing space ",
    "100%",
    "%2e%2e",
    "a#b&c=d+e~f;g,h",
    "it's $HOME `id`",
    "Straße äöü 文件 🚢",
    "[*]".replace("*", "x"),
    "...",
    "\ufffe no XML",
    "n" * 255,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_go_both_ways(server: FileRestServer, share: Share, name: str) -> None:
    if len(name.encode()) > 255:
        pytest.skip("this file system keeps 255 bytes of a name")
    files = opened(server)
    files.mkdir(name)
    files.pipe_file(f"{name}/{name}", name.encode(), mode="create")

    assert files.find("") == [f"{name}/{name}"]
    assert files.cat_file(f"{name}/{name}") == name.encode()
    assert (share.folder / name / name).read_bytes() == name.encode()


@pytest.mark.parametrize("path", ["a/../b", "..", "a//b", "a/./b", "a\\b", "a:b", "a\nb", "n" * 256, ""])
def test_names_that_no_share_can_hold_are_refused_before_they_travel(
    server: FileRestServer, share: Share, path: str
) -> None:
    with pytest.raises(SourceError, match="cannot be a path"):
        opened(server).pipe_file(path, b"")
    assert not server.counts


def test_a_folder_that_vanishes_while_it_is_walked_is_not_left_out_in_silence(
    server: FileRestServer, share: Share
) -> None:
    put(share, "a/file")
    folder = put(share, "b/file").parent
    server.inject(Fault("list-entries", "first", path="b", action=lambda: _empty(folder)))
    with pytest.raises(EntryMissing, match="'b'"):
        opened(server).find("")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_whether_something_exists_is_no_guess(server: FileRestServer, share: Share) -> None:
    put(share, "a/file")
    files = opened(server)
    assert (files.exists("a/file"), files.exists("a"), files.exists(""), files.exists("b")) == (
        True,
        True,
        True,
        False,
    )
    assert (files.isfile("a/file"), files.isfile("a"), files.isdir("a")) == (True, False, True)
    server.inject(Fault("file-properties", "forbidden"))
    with pytest.raises(SourceDenied):
        files.exists("a/file")


# Reading


@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB])
def test_file_comes_whole_in_ranges_of_4_mib(
    server: FileRestServer, share: Share, tmp_path: Path, size: int
) -> None:
    content = os.urandom(size)
    put(share, "file", content)
    files = opened(server)

    assert [len(piece) for piece in files.ranges("file")] == [
        min(4 * MIB, size - begin) for begin in range(0, size, 4 * MIB)
    ]
    assert files.cat_file("file") == content
    files.get_file("file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    with files.open("file") as file:
        assert file.read() == content


def test_parts_of_a_file_are_what_slices_are(server: FileRestServer, share: Share) -> None:
    content = os.urandom(5 * MIB)
    put(share, "file", content)
    files = opened(server)
    for start, end in [(0, 10), (10, 20), (4 * MIB - 5, 4 * MIB + 5), (-10, None), (5 * MIB, None), (3, 3)]:
        assert files.cat_file("file", start, end) == content[start:end]
    with files.open("file") as file:
        file.seek(4 * MIB + 7)
        assert file.read(9) == content[4 * MIB + 7 :][:9]


def test_file_stored_as_gzip_comes_as_it_is_stored(server: FileRestServer, share: Share) -> None:
    packed = gzip.compress(b"plain" * 1000)
    client = ShareServiceClient(
        server.url, {"account_name": server.account_name, "account_key": server.account_key}
    )
    stored = client.get_share_client("documents").get_file_client("log.gz")
    stored.upload_file(packed, content_settings=ContentSettings(content_encoding="gzip"))
    # The trap is real: Microsoft's client unpacks by default.
    assert stored.download_file().readall() == b"plain" * 1000

    assert opened(server).cat_file("log.gz") == packed


READ_IN_A_PROCESS_OF_ITS_OWN = """
import hashlib, pickle, sys, tracemalloc
files, size = pickle.load(sys.stdin.buffer)
files.cat_file("large", 0, 1)  # imports and the connection
digest = hashlib.sha256()
tracemalloc.start()
for piece in files.ranges("large"):
    digest.update(piece)
print(digest.hexdigest(), tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("size", [32 * MIB, 96 * MIB])
def test_memory_of_a_reader_is_that_of_few_ranges_whatever_the_file(
    server: FileRestServer, share: Share, size: int
) -> None:
    content = put(share, "large", os.urandom(MIB) * (size // MIB)).read_bytes()

    done = subprocess.run(
        [sys.executable, "-c", READ_IN_A_PROCESS_OF_ITS_OWN],
        input=pickle.dumps((opened(server), size)),
        stdout=subprocess.PIPE,
        check=True,
    )

    digest, peak = done.stdout.split()
    assert digest.decode() == hashlib.sha256(content).hexdigest()
    # The range before, and this one as it came and joined to one.
    assert int(peak) < 13 * MIB


def test_many_threads_read_through_one_instance(server: FileRestServer, share: Share) -> None:
    for number in range(200):
        put(share, f"{number}", f"{number}".encode() * 100)
    files = opened(server)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: files.cat_file(f"{number}"), range(200)))
    assert found == [f"{number}".encode() * 100 for number in range(200)]


# Faults


def test_busy_server_is_asked_again_after_the_time_it_names(server: FileRestServer, share: Share) -> None:
    put(share, "file")
    server.inject(Fault("get-file", "busy", times=2, retry_after=1))
    begun = time.monotonic()
    assert opened(server).cat_file("file") == b"content"
    assert 2 <= time.monotonic() - begun < 4
    assert server.counts["get-file"] == 3


@pytest.mark.parametrize("operation", ["list-entries", "get-file"])
def test_server_that_stays_busy_is_unreachable(server: FileRestServer, share: Share, operation: str) -> None:
    put(share, "file")
    server.inject(Fault(operation, "busy", times=99))
    files = opened(server, retries=2)
    with pytest.raises(SourceUnreachable, match="ServerBusy") as caught:
        files.ls("") if operation == "list-entries" else files.cat_file("file")
    assert caught.value.retryable
    assert caught.value.hint
    assert server.counts[operation] == 3


@pytest.mark.parametrize("kind", ["drop", "cut-header"])
def test_connection_lost_within_a_file_costs_a_range_and_not_the_file(
    server: FileRestServer, share: Share, kind: Any
) -> None:
    content = os.urandom(10 * MIB)
    put(share, "file", content)
    server.inject(Fault("get-file", kind, skip=1))
    assert opened(server).cat_file("file") == content
    assert server.counts["get-file"] == 4


@pytest.mark.parametrize("kind", ["drop", "cut-header"])
def test_connection_that_is_lost_every_time_is_unreachable(
    server: FileRestServer, share: Share, kind: Any
) -> None:
    put(share, "file", os.urandom(MIB))
    server.inject(Fault("get-file", kind, times=99))
    with pytest.raises(SourceUnreachable, match="'file' on file share 'documents'"):
        opened(server, retries=2).cat_file("file")
    assert server.counts["get-file"] == 3


def test_listing_cut_off_in_the_middle_is_never_a_shorter_listing(
    server: FileRestServer, share: Share
) -> None:
    for number in range(50):
        put(share, f"{number}")
    server.inject(Fault("list-entries", "drop", times=99))
    with pytest.raises(SourceUnreachable):
        opened(server, retries=2).ls("")
    assert server.counts["list-entries"] == 3


def test_body_shorter_than_asked_is_noticed(server: FileRestServer, share: Share) -> None:
    put(share, "file", os.urandom(MIB))
    server.inject(Fault("get-file", "short"))
    with pytest.raises(SourceUnreachable, match=f"{MIB // 2} bytes came where {MIB}"):
        opened(server).cat_file("file")


def test_denied_file_is_denied_with_a_hint(server: FileRestServer, share: Share) -> None:
    put(share, "file")
    server.inject(Fault("get-file", "forbidden"))
    with pytest.raises(SourceDenied, match="AuthorizationPermissionMismatch") as caught:
        opened(server).cat_file("file")
    assert "role" in caught.value.hint
    assert server.counts["get-file"] == 1


def test_file_that_vanishes_after_the_listing_is_missing(server: FileRestServer, share: Share) -> None:
    path = put(share, "file")
    files = opened(server)
    [info] = files.ls("")
    server.inject(Fault("get-file", "first", action=path.unlink))
    with pytest.raises(EntryMissing) as caught:
        files.cat_file(info["name"])
    assert isinstance(caught.value, FileNotFoundError)


def test_file_that_is_written_between_two_ranges_is_never_mixed(server: FileRestServer, share: Share) -> None:
    path = put(share, "file", b"a" * 6 * MIB)
    server.inject(
        Fault("get-file", "first", skip=1, action=lambda: path.write_bytes(b"b" * 6 * MIB) and None)
    )
    with pytest.raises(EntryChanged):
        opened(server).cat_file("file")


@pytest.mark.parametrize("length", [0, 4 * MIB, 5 * MIB])
def test_file_that_shrinks_between_two_ranges_is_noticed(
    server: FileRestServer, share: Share, length: int
) -> None:
    path = put(share, "file", b"a" * 6 * MIB)
    server.inject(Fault("get-file", "first", skip=1, action=lambda: os.truncate(path, length)))
    with pytest.raises(EntryChanged):
        opened(server).cat_file("file")


def test_file_other_than_the_listing_said_is_noticed(server: FileRestServer, share: Share) -> None:
    path = put(share, "file")
    files = opened(server)
    [info] = files.ls("")
    path.write_bytes(b"another")
    with pytest.raises(EntryChanged):
        list(files.ranges("file", etag=info["etag"], size=info["size"]))
    path.write_bytes(b"")
    with pytest.raises(EntryChanged):
        list(files.ranges("file", etag=info["etag"], size=info["size"]))


def test_share_that_vanishes_is_another_thing_than_a_file(server: FileRestServer, share: Share) -> None:
    put(share, "file")
    files = opened(server)
    server.inject(Fault("get-file", "first", action=lambda: server.shares.remove("documents")))
    with pytest.raises(SourceMissing, match="ShareNotFound"):
        files.cat_file("file")
    with pytest.raises(SourceMissing):
        files.ls("")


def test_snapshot_that_is_deleted_under_us_is_another_thing_than_a_file(
    server: FileRestServer, share: Share
) -> None:
    put(share, "file", b"x" * 6 * MIB)
    taken = share.freeze({})
    files = opened(server, snapshot=taken.id)
    server.inject(Fault("get-file", "first", skip=1, action=lambda: share.thaw(taken.id)))
    with pytest.raises(SourceMissing, match="ShareSnapshotNotFound"):
        files.cat_file("file")


def test_server_that_is_away_is_unreachable(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        files = opened(server, retries=1)
    with pytest.raises(SourceUnreachable):
        files.ls("")


# Snapshots as filesystems


def test_snapshot_shows_what_was_and_cannot_be_written(server: FileRestServer, share: Share) -> None:
    put(share, "a/file", b"then")
    files = opened(server, snapshot=share.freeze({}).id)
    put(share, "a/file", b"now!")
    put(share, "a/new")

    assert files.find("") == ["a/file"]
    assert files.cat_file("a/file") == b"then"
    for write in _writes(files):
        with pytest.raises(Refused, match="read-only"):
            write()
    assert set(server.counts) == {"list-entries", "get-file"}


def _writes(files: AzureShareFileSystem) -> list[Callable[[], object]]:
    return [
        lambda: files.pipe_file("b", b""),
        lambda: files.put_file(__file__, "b"),
        lambda: files.mkdir("b"),
        lambda: files.makedirs("b/c"),
        lambda: files.open("b", "wb"),
    ]


@pytest.mark.parametrize("snapshot", ["", "yesterday", "2026-11-23", "2026-11-23T07:24:11.942Z\n"])
def test_text_that_is_no_snapshot_never_means_the_live_share(
    server: FileRestServer, share: Share, snapshot: str
) -> None:
    with pytest.raises(ConfigurationError):
        opened(server, snapshot=snapshot)


# Writing


@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 9 * MIB + 1])
def test_written_file_is_whole_with_its_time(
    server: FileRestServer, share: Share, tmp_path: Path, size: int
) -> None:
    content = os.urandom(size)
    local = tmp_path / "local"
    local.write_bytes(content)
    moment = dt.datetime(2020, 2, 29, 12, 30, 15, 123456, tzinfo=dt.UTC)
    files = opened(server)

    files.pipe_file("piped", content, mode="create", mtime=moment)
    files.put_file(str(local), "put", mode="create", mtime=moment)
    with files.open("opened", "xb") as file:
        file.write(content[: size // 2])
        file.write(content[size // 2 :])

    for name in ("piped", "put", "opened"):
        assert (share.folder / name).read_bytes() == content
    assert files.modified("piped") == files.modified("put") == moment
    assert sorted(path.name for path in share.folder.iterdir()) == ["opened", "piped", "put"]


def test_taken_name_is_never_overwritten_by_a_creation_also_in_other_case(
    server: FileRestServer, share: Share
) -> None:
    put(share, "Offer.PDF", b"theirs")
    files = opened(server)
    with pytest.raises(EntryExists) as caught:
        files.pipe_file("offer.pdf", b"ours", mode="create")
    assert isinstance(caught.value, FileExistsError)
    with pytest.raises(EntryExists), files.open("offer.pdf", "xb") as file:
        file.write(b"ours")
    assert {path.name: path.read_bytes() for path in share.folder.iterdir()} == {"Offer.PDF": b"theirs"}

    files.pipe_file("offer.pdf", b"ours")
    assert {path.name: path.read_bytes() for path in share.folder.iterdir()} == {"Offer.PDF": b"ours"}


def test_of_two_that_create_the_same_name_one_wins(server: FileRestServer, share: Share) -> None:
    files = opened(server)
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        barrier.wait()
        try:
            files.pipe_file("file", bytes([number]) * 1000, mode="create")
        except EntryExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert (share.folder / "file").read_bytes() == bytes([won.index(True)]) * 1000
    assert [path.name for path in share.folder.iterdir()] == ["file"]


def test_what_is_cut_off_while_it_is_written_never_gets_its_name(
    server: FileRestServer, share: Share
) -> None:
    files = opened(server, retries=1)
    server.inject(Fault("put-range", "forbidden", skip=1))
    with pytest.raises(SourceDenied):
        files.pipe_file("denied", b"x" * 9 * MIB)
    with pytest.raises(SourceError, match="3 bytes came where 5 were announced"):
        files.put_chunks("short", 5, [b"abc"])
    with pytest.raises(ZeroDivisionError), files.open("open", "wb") as file:
        file.write(b"x" * 9 * MIB)
        raise ZeroDivisionError
    abandoned = files.open("abandoned", "wb")
    abandoned.write(b"x")
    del abandoned
    assert not list(share.folder.iterdir())


def test_partial_file_that_could_not_be_removed_is_named(server: FileRestServer, share: Share) -> None:
    server.inject(Fault("put-range", "forbidden"))
    server.inject(Fault("delete-file", "forbidden"))
    with pytest.raises(SourceDenied) as caught:
        opened(server).pipe_file("file", b"x")
    [left] = [path.name for path in share.folder.iterdir()]
    assert left.startswith(PARTIAL)
    assert left in caught.value.__notes__[0]


def test_folders_are_made_with_their_parents_and_existing_ones_are_told(
    server: FileRestServer, share: Share
) -> None:
    files = opened(server)
    files.makedirs("a/b/c")
    files.makedirs("a/b/c", exist_ok=True)
    with pytest.raises(EntryExists):
        files.makedirs("A/b/C")
    with pytest.raises(EntryMissing):
        files.mkdir("x/y", create_parents=False)
    assert (share.folder / "a/b/c").is_dir()


# Credentials


def test_wrong_key_is_denied(server: FileRestServer, share: Share) -> None:
    key = AccountKey(server.account_name, base64.b64encode(b"another").decode())
    files = AzureShareFileSystem(server.url, "documents", key)
    with pytest.raises(SourceDenied, match="AuthenticationFailed"):
        files.ls("")


def sas(server: FileRestServer, permission: str, hours: int = 1) -> SharedAccessSignature:
    token = generate_account_sas(
        server.account_name,
        server.account_key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions.from_string(permission),
        dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours),
    )
    return SharedAccessSignature(f"?{token}")


def test_sas_for_reading_reads_and_may_not_write(server: FileRestServer, share: Share) -> None:
    put(share, "a/file")
    files = AzureShareFileSystem(server.url, "documents", sas(server, "rl"))
    assert [files.cat_file(path) for path in files.find("")] == [b"content"]
    with pytest.raises(SourceDenied):
        files.mkdir("b")


def test_sas_for_all_writes(server: FileRestServer, share: Share) -> None:
    files = AzureShareFileSystem(server.url, "documents", sas(server, "rwdlc"))
    files.pipe_file("file", b"content", mode="create")
    assert files.cat_file("file") == b"content"


def test_secrets_never_show(server: FileRestServer, share: Share) -> None:
    put(share, "file")
    expired = sas(server, "rl", hours=-1)
    files = AzureShareFileSystem(server.url, "documents", expired, retries=1, first_wait=0.01)
    signature = expired.token.rpartition("sig=")[2]
    with pytest.raises(SourceDenied) as caught:
        files.ls("")
    server.inject(Fault("get-file", "cut-header", times=99))
    with pytest.raises(LifeboatError) as lost:
        files.cat_file("file")
    for error in (caught.value, lost.value):
        assert error.__cause__ is None
        assert error.__suppress_context__
        assert signature not in f"{error!r} {error}"
    assert signature not in f"{files!r} {files} {files.at!r} {expired!r}"
    key = AccountKey(server.account_name, server.account_key)
    assert server.account_key not in f"{key!r} {opened(server)!r} {opened(server).at!r}"


def test_url_with_a_signature_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureShareFileSystem("https://a.file.core.windows.net/?sig=secret", "documents", AccountKey("a", "a"))
    assert "secret" not in str(caught.value)


class Identity:
    """What azure-identity gives: something with a token."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        return AccessToken(self.token, 2**33)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName(
        [x509.IPAddress(__import__("ipaddress").ip_address("127.0.0.1"))]
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_entra_reads_with_the_intent_of_a_backup_over_tls(tmp_path: Path, certificate: Path) -> None:
    with running_server(tmp_path, certificate, token="let-me-in") as server:
        put(server.share("documents"), "file")

        def files(token: str, **options: Any) -> AzureShareFileSystem:
            return AzureShareFileSystem(
                server.url,
                "documents",
                EntraCredential(Identity(token)),
                retries=0,
                first_wait=0.01,
                **options,
            )

        assert files("let-me-in", ca_file=str(certificate)).cat_file("file") == b"content"
        with pytest.raises(SourceDenied):
            files("another", ca_file=str(certificate)).ls("")
        with pytest.raises(SourceUnreachable):
            files("let-me-in").ls("")


def test_instance_crosses_to_another_process(server: FileRestServer, share: Share) -> None:
    put(share, "file")
    files = pickle.loads(pickle.dumps(opened(server, snapshot=share.freeze({}).id)))
    assert files.cat_file("file") == b"content"
    assert files.at.snapshot is not None


def test_sdk_is_not_imported_before_a_share_is_opened() -> None:
    code = (
        "import sys, lifeboat.adapters.azure_files_tree; print('azure.storage' in str(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_open_file_can_be_copied_into(server: FileRestServer, share: Share) -> None:
    put(share, "file", b"x" * 5 * MIB)
    into = io.BytesIO()
    opened(server).get_file("file", into)
    assert into.getvalue() == b"x" * 5 * MIB

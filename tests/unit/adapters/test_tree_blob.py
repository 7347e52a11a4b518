"""What of trees of objects is Azure's alone; ``test_tree_object.py`` has what it shares with S3."""

from __future__ import annotations

import datetime as dt
import gc
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from support.azurite import ACCOUNT, AZURITE_MISSING, KEY, Azurite, UnsignedTokens, running_azurite
from support.http_service import Reply, http_service, make_certificates
from support.s3 import QUICK
from support.trees import contents

from lifeboat import clock
from lifeboat.adapters.azure_files_share import AccountKey, EntraCredential, SharedAccessSignature
from lifeboat.adapters.tree_blob import BlobTreeTarget
from lifeboat.errors import (
    ConfigurationError,
    SourceDenied,
    SourceError,
    SourceUnreachable,
)
from lifeboat.model.tree import Entry, EntryKind

needs_azurite = pytest.mark.skipif(bool(AZURITE_MISSING), reason=AZURITE_MISSING)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


def sas(container: str, **permissions: bool) -> SharedAccessSignature:
    expiry = clock.utc_now() + dt.timedelta(hours=1)
    rights = ContainerSasPermissions(**permissions)
    return SharedAccessSignature(
        generate_container_sas(ACCOUNT, container, account_key=KEY, permission=rights, expiry=expiry)
    )


def walked(target: BlobTreeTarget) -> dict[bytes, str]:
    with target.connect() as tree:
        return {entry.path: entry.kind.value for entry in tree.walk()}


@needs_azurite
def test_folders_as_hadoop_writes_them_down_are_folders_once(azurite: Azurite) -> None:
    azurite.put("hadoop", {"full": b"", "empty": b"", "top/full": b""}, metadata={"hdi_isfolder": "true"})
    azurite.put("hadoop", {"full/file": b"1", "file": b"", "top/full/file": b"2"})
    assert walked(azurite.target("hadoop")) == {
        b"empty": "directory",
        b"file": "file",
        b"full": "directory",
        b"full/file": "file",
        b"top": "directory",
        b"top/full": "directory",
        b"top/full/file": "file",
    }
    with azurite.target("hadoop").connect() as tree:
        assert tree.look_again(b"empty") == Entry(b"empty", EntryKind.DIRECTORY)


@needs_azurite
def test_line_feed_in_a_name_is_a_line_feed(azurite: Azurite) -> None:
    azurite.put("feeds", {"new\nline/a\nb": b"1"})
    with azurite.target("feeds").connect() as tree:
        assert contents(tree) == {b"new\nline/a\nb": b"1"}


@needs_azurite
def test_signature_that_may_read_and_list_is_enough_and_one_that_may_not_is_denied(azurite: Azurite) -> None:
    azurite.put("signed", {"a": b"1"})
    with azurite.target("signed", credential=sas("signed", read=True, list=True)).connect() as tree:
        assert contents(tree) == {b"a": b"1"}
        (entry,) = tree.walk()
    with (
        azurite.target("signed", credential=sas("signed", list=True)).connect() as tree,
        pytest.raises(SourceDenied, match=r"'a' in .* said no \(403 \w+\)"),
    ):
        tree.open(entry)
    with pytest.raises(SourceDenied):
        walked(azurite.target("signed", credential=sas("signed", read=True)))


@needs_azurite
def test_wrong_key_or_signature_is_denied_and_never_shown(azurite: Azurite) -> None:
    azurite.put("guarded", {"a": b"1"})
    wrong = sas("another", read=True, list=True)
    signature = wrong.token.partition("sig=")[2].partition("&")[0]
    for credential in (AccountKey(ACCOUNT, KEY[::-1].replace("=", "A")), wrong):
        target = azurite.target("guarded", credential=credential)
        with pytest.raises(SourceDenied, match="403") as caught:
            walked(target)
        shown = repr(target) + target.label + "".join(traceback.format_exception(caught.value))
        for secret in (signature, KEY[::-1][10:40]):
            assert secret not in shown


@needs_azurite
def test_identity_of_entra_reads_over_tls_with_the_given_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certificate = make_certificates(tmp_path)
    options = ("--oauth", "basic", "--cert", str(certificate), "--key", str(certificate))
    with running_azurite(tmp_path, *options, scheme="https") as azurite:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        azurite.put("entra", {"a": b"1"})
        entra = EntraCredential(UnsignedTokens())
        target = azurite.target("entra", credential=entra, ca_file=str(authority))
        with target.connect() as tree:
            assert contents(tree) == {b"a": b"1"}
        with pytest.raises(SourceUnreachable, match="no whole answer"):
            walked(azurite.target("entra", credential=entra))
        with pytest.raises(SourceDenied, match="said no"):
            walked(
                azurite.target(
                    "entra", credential=AccountKey(ACCOUNT, KEY[4:] + "AAA="), ca_file=str(authority)
                )
            )
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "BlobEndpoint=https://elsewhere.example")
        with pytest.raises(ConfigurationError, match="AZURE_STORAGE_CONNECTION_STRING would go before"):
            walked(target)


@needs_azurite
def test_identity_of_the_worker_is_closed_with_the_connection(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    class OfTheWorker(UnsignedTokens):
        async def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", OfTheWorker)
    url = azurite.url.replace("http:", "https:")
    for given, times in ((EntraCredential(), 1), (EntraCredential(UnsignedTokens()), 0)):
        closed.clear()
        with azurite.target("entra", credential=given, endpoint=url).connect():
            pass
        assert len(closed) == times


def test_identity_of_entra_is_never_sent_in_the_clear() -> None:
    with pytest.raises(ConfigurationError, match="over https only"):
        BlobTreeTarget("account", "docs", "", EntraCredential(), "http://127.0.0.1")


@needs_azurite
def test_key_of_a_worker_s_environment_is_not_used(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    azurite.put("env", {"a": b"1"})
    for name in ("CONNECTION_STRING", "ACCOUNT_KEY", "SAS_TOKEN", "ACCOUNT_NAME", "CLIENT_ID", "ANON"):
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", "BlobEndpoint=http://127.0.0.1:1/;AccountName=x")
    assert walked(azurite.target("env")) == {b"a": "file"}


@needs_azurite
def test_connections_that_ended_leave_no_client_behind(azurite: Azurite) -> None:
    """adlfs keeps every one of its filesystems until the process ends; a sealing child opens one for each part."""
    from azure.storage.blob.aio import BlobServiceClient

    azurite.put("many", {"a": b"1"})
    for _ in range(3):
        assert walked(azurite.target("many")) == {b"a": "file"}
    gc.collect()
    assert [held for held in gc.get_objects() if isinstance(held, BlobServiceClient)] == []


# A service that says no, or lies: what Azurite would never do

ENTRY = Entry(b"a", EntryKind.FILE, size=5, mtime_ns=0, etag="0x1")


def target_at(url: str) -> BlobTreeTarget:
    return BlobTreeTarget(ACCOUNT, "docs", "", AccountKey(ACCOUNT, KEY), f"{url}/{ACCOUNT}", patience=QUICK)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_service_that_stays_busy_is_asked_as_often_as_we_say_and_no_more(status: int) -> None:
    busy = Reply(status, b"", {"x-ms-error-code": "ServerBusy"})
    with http_service(lambda *_: busy) as service:
        with pytest.raises(SourceUnreachable, match=rf"too busy or broken \({status} \w+\)"):
            walked(target_at(service.url))
        assert len(service.asked) == QUICK.retries + 1


def test_refusal_is_not_asked_again_and_told_by_its_code() -> None:
    with http_service(lambda *_: Reply(409, b"", {"x-ms-error-code": "BlobArchived"})) as service:
        with target_at(service.url).connect() as tree, pytest.raises(SourceError, match="409 BlobArchived"):
            tree.open(ENTRY)
        assert len(service.asked) == 1


@pytest.mark.parametrize("body", [b"123", b"12345678"])
def test_body_of_another_length_is_never_taken_for_the_file(body: bytes) -> None:
    headers = {
        "ETag": '"0x1"',
        "Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}",
        "Last-Modified": "Wed, 25 Nov 2026 22:00:00 GMT",
        "x-ms-blob-type": "BlockBlob",
    }
    with http_service(lambda *_: Reply(206, body, headers)) as service:
        with target_at(service.url).connect() as tree, pytest.raises(SourceUnreachable, match="bytes came"):
            tree.open(ENTRY)
        assert service.asked[0][1]["if-match"] == '"0x1"'


def test_missing_adlfs_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "adlfs", None)
    with pytest.raises(ConfigurationError, match="need adlfs, which is not installed"):
        walked(target_at("http://127.0.0.1:1"))

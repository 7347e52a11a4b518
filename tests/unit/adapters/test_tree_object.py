"""Trees of objects against moto's S3 and Microsoft's Azurite: the real clients, the real protocols (F23, F43–F47)."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.azurite import AZURITE_MISSING, KEY, Azurite, running_azurite
from support.proxy import FaultProxy, fault_proxy
from support.s3 import QUICK, SECRET, S3Service, running_s3
from support.trees import content_of, contents, in_walk_order

from lifeboat import clock
from lifeboat.adapters.tree_object import RANGE
from lifeboat.errors import (
    EntryChanged,
    EntryMissing,
    SourceError,
    SourceMissing,
    SourceUnreachable,
)
from lifeboat.model.patterns import Selection
from lifeboat.model.tree import Entry, EntryKind

ROOT = Path(__file__).resolve().parents[3]
Service = S3Service | Azurite
_numbers = itertools.count()

HOSTILE = [
    "-rf",
    "Case",
    "case",
    " leading and trailing ",
    "*?[a]",
    "...",
    "~",
    "umlaut-ä",
    "umlaut-a\u0308",
    "percent%2Fslash",
    "percent%252F",
    "plus+and&and=",
    "question?mark",
    "quote'\"<>",
    "hash#",
    "a-b",
    "a.b",
    "a b",
    "日本",
    "x" * 255,
]


@pytest.fixture(scope="module", params=["s3", "azurite"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if request.param == "s3":
        with running_s3() as running:
            yield running
        return
    if AZURITE_MISSING:
        pytest.skip(AZURITE_MISSING)
    with running_azurite(tmp_path_factory.mktemp("azurite")) as azurite:
        yield azurite


@pytest.fixture
def bucket() -> str:
    return f"bucket-{next(_numbers)}"


def walked(target: Any) -> list[Entry]:
    with target.connect() as tree:
        return list(tree.walk())


def kinds(entries: list[Entry]) -> dict[bytes, str]:
    return {entry.path: entry.kind.value for entry in entries}


def file_of(target: Any, path: bytes) -> Entry:
    return next(entry for entry in walked(target) if entry.path == path)


# What is in it


def test_hostile_and_deep_keys_are_walked_in_order_and_read_equal(service: Service, bucket: str) -> None:
    objects = {name: f"content of {name}".encode() for name in HOSTILE}
    objects |= {f"folder {name[:200]}/{name}": name.encode() for name in HOSTILE}
    objects |= {"a/inner": b"1", "a/b/c": b"2", "empty": b"", "/".join("d" * 60): b"deep"}
    service.put(bucket, objects)
    with service.target(bucket).connect() as tree:
        assert contents(tree) == {key.encode(): content for key, content in objects.items()}
        entries = list(tree.walk())
        assert in_walk_order(entries)
        assert all(entry.etag and entry.mtime_ns for entry in entries if entry.kind is EntryKind.FILE)
        for entry in entries:
            assert tree.look_again(entry.path) == entry
    folders = {entry.path for entry in entries if entry.kind is EntryKind.DIRECTORY}
    assert {b"a", b"a/b", b"d", b"/".join([b"d"] * 59)} <= folders
    assert len(entries) == len(objects) + len(folders)


def test_folder_of_a_bucket_is_a_tree_and_its_neighbours_are_none(service: Service, bucket: str) -> None:
    service.put(
        bucket, {"docs/a": b"1", "docs/b/c": b"2", "docs-old/a": b"3", "docsx": b"4", "other/a": b"5"}
    )
    with service.target(bucket, "docs").connect() as tree:
        assert contents(tree) == {b"a": b"1", b"b/c": b"2"}
        assert tree.look_again(b"b") == Entry(b"b", EntryKind.DIRECTORY)
        assert tree.look_again(b"c") is None


def test_markers_of_folders_are_folders_also_with_nothing_in_them(service: Service, bucket: str) -> None:
    service.put(bucket, {"top/": b"", "top/empty/": b"", "top/full/": b"", "top/full/file": b"1"})
    entries = walked(service.target(bucket, "top"))
    assert kinds(entries) == {b"empty": "directory", b"full": "directory", b"full/file": "file"}


def test_object_stored_compressed_is_read_as_it_is_stored(service: Service, bucket: str) -> None:
    stored = gzip.compress(b"inside" * 1000)
    if isinstance(service, S3Service):
        service.put(bucket, {"page.html": stored}, ContentEncoding="gzip")
    else:
        from azure.storage.blob import ContentSettings

        service.put(bucket, {"page.html": stored}, content_settings=ContentSettings(content_encoding="gzip"))
    with service.target(bucket).connect() as tree:
        assert contents(tree) == {b"page.html": stored}


def test_large_object_comes_in_bounded_ranges(service: Service, bucket: str) -> None:
    content = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range((2 * RANGE + 1000) // 32))
    service.put(bucket, {"large": content})
    with service.target(bucket).connect() as tree:
        (entry,) = tree.walk()
        service.asked()
        assert content_of(tree, entry) == content
    reads = [line for line in service.asked() if line.startswith("GET") and "large" in line]
    assert len(reads) == 3


def test_names_that_no_file_can_have_are_refused_unless_left_out(service: Service, bucket: str) -> None:
    refused = {
        "double//slash": "something called ''",
        "long/" + "ä" * 150: "has a name of 300 bytes",
        "both": "as a file and a folder",
    }
    service.put(bucket, {"kept": b"1", "both/inner": b"2", **dict.fromkeys(refused, b"3")})
    left_out = Selection(exclude=("double", "long", "both"))
    assert kinds(walked(service.target(bucket, selection=left_out))) == {b"kept": "file"}
    for folder, message in (("double", "''"), ("long", "300 bytes")):
        with pytest.raises(SourceError, match=message):
            walked(service.target(bucket, folder))
    with pytest.raises(SourceError, match="as a file and a folder"):
        walked(service.target(bucket, selection=Selection(exclude=("double", "long"))))


# What it costs


def test_listing_asks_once_for_each_folder_and_never_for_an_object(service: Service, bucket: str) -> None:
    service.put(bucket, {f"{folder}/{n}": b"" for folder in ("a", "b", "left out") for n in range(20)})
    service.asked()
    entries = walked(service.target(bucket, selection=Selection(exclude=("left out",))))
    assert len(entries) == 42
    asked = service.asked()
    assert len(asked) == 3, asked
    assert all(line.startswith("GET") for line in asked)


WALKING = """
import pickle, resource, sys
target = pickle.loads(sys.stdin.buffer.read())
with target.connect() as tree:
    next(tree.walk(), None) if len(sys.argv) > 1 else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(1 for _ in tree.walk())
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_large_folder_is_listed_in_pages_and_bounded_memory(service: Service, bucket: str) -> None:
    if isinstance(service, S3Service):
        count, page, per_entry = 20_500, 1000, 500
        fill_s3(bucket, service, count)
    else:
        count, page, per_entry = 5_100, 5000, 10_000  # most of it is the page as Microsoft's client holds it
        service.put(bucket, {f"folder/object-{n:06}": b"" for n in range(count)})
    service.asked()
    told = in_a_fresh_process(WALKING, service.target(bucket))
    walked, kibibytes = map(int, told.split())
    assert walked == count + 1
    # A page that took longer than a client waits was asked for again, with the same words.
    assert len(set(service.asked())) == 1 + -(-count // page)
    assert kibibytes * 1024 < 8 * 2**20 + count * per_entry


def fill_s3(bucket: str, service: S3Service, count: int) -> None:
    """Past the wire, which would take minutes."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    service.put(bucket, {})
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for n in range(count):
        backend.put_object(bucket, f"folder/object-{n:06}", b"")


# What changes under us


def test_object_overwritten_while_it_is_read_is_changed(service: Service, bucket: str) -> None:
    old, new = bytes(4 * RANGE), b"\1" * (4 * RANGE)
    service.put(bucket, {"large": old})
    with service.target(bucket).connect() as tree:
        (entry,) = tree.walk()
        file = tree.open(entry)
        assert file.read(100) == bytes(100)
        overwrite(service, bucket, "large", new)
        with pytest.raises(EntryChanged, match="'large' in .* was overwritten"):
            while piece := file.read(RANGE):
                assert b"\1" not in piece
        file.close()
        again = tree.look_again(b"large")
        assert again is not None
        assert (again.size, again.etag == entry.etag) == (entry.size, False)


@pytest.mark.parametrize("content", [b"", b"old"])
def test_object_overwritten_since_it_was_listed_opens_and_is_changed(
    service: Service, bucket: str, content: bytes
) -> None:
    service.put(bucket, {"file": content})
    with service.target(bucket).connect() as tree:
        (entry,) = tree.walk()
        overwrite(service, bucket, "file", b"newer")
        file = tree.open(entry)
        with pytest.raises(EntryChanged):
            file.read(100)


def test_object_deleted_before_it_is_opened_is_missing(service: Service, bucket: str) -> None:
    service.put(bucket, {"file": b"1", "empty": b""})
    with service.target(bucket).connect() as tree:
        for entry in list(tree.walk()):
            delete(service, bucket, entry.path.decode())
            with pytest.raises(EntryMissing, match="is gone"):
                tree.open(entry)
            assert tree.look_again(entry.path) is None


def test_object_deleted_while_it_is_read_is_missing_and_never_short(service: Service, bucket: str) -> None:
    service.put(bucket, {"large": bytes(4 * RANGE)})
    with service.target(bucket).connect() as tree:
        (entry,) = tree.walk()
        file = tree.open(entry)
        file.read(100)
        delete(service, bucket, "large")
        with pytest.raises(EntryMissing):
            while file.read(RANGE):
                pass


def overwrite(service: Service, bucket: str, key: str, content: bytes) -> None:
    if isinstance(service, S3Service):
        service.client().put_object(Bucket=bucket, Key=key, Body=content)
    else:
        service.container(bucket).upload_blob(key, content, overwrite=True)


def delete(service: Service, bucket: str, key: str) -> None:
    if isinstance(service, S3Service):
        service.client().delete_object(Bucket=bucket, Key=key)
    else:
        service.container(bucket).delete_blob(key)


# What is not there, or does not answer


def test_bucket_or_folder_that_is_not_there_is_an_error_and_not_an_empty_tree(
    service: Service, bucket: str
) -> None:
    with pytest.raises(SourceMissing, match="is not there"):
        walked(service.target("never-made"))
    service.put(bucket, {})
    assert walked(service.target(bucket)) == []
    with pytest.raises(SourceMissing, match="There is nothing in .*wrong"):
        walked(service.target(bucket, "wrong"))


@pytest.fixture
def proxy(service: Service) -> Iterator[FaultProxy]:
    with fault_proxy(service.port) as running:
        yield running


def test_connection_that_drops_in_the_middle_is_taken_up_again(
    service: Service, bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"".join(b"%09d\n" % n for n in range(RANGE // 5))
    service.put(bucket, {"large": content})
    waits: list[float] = []

    def heal(seconds: float) -> None:
        waits.append(seconds)
        proxy.down.set()

    monkeypatch.setattr(clock, "sleep", heal)
    with service.target(bucket, port=proxy.port).connect() as tree:
        (entry,) = tree.walk()
        proxy.down.set(cut_after=RANGE + 100_000)
        assert content_of(tree, entry) == content
    assert waits


@pytest.mark.parametrize("after", [0, 300_000])
def test_connection_that_drops_again_and_again_is_given_up_within_bounds(
    service: Service, bucket: str, proxy: FaultProxy, after: int
) -> None:
    service.put(bucket, {"large": bytes(RANGE)})
    with service.target(bucket, port=proxy.port).connect() as tree:
        (entry,) = tree.walk()
        connections = proxy.connections
        proxy.down.set(cut_after=after)
        with pytest.raises(SourceUnreachable, match="'large' in .* no whole answer"):
            content_of(tree, entry)
        # Microsoft's client repeats an answer that broke off by itself, three times.
        assert proxy.connections - connections <= 4 * (QUICK.retries + 1)


def test_service_that_falls_silent_is_given_up_in_time(
    service: Service, bucket: str, proxy: FaultProxy
) -> None:
    service.put(bucket, {"large": bytes(RANGE)})
    with service.target(bucket, port=proxy.port).connect() as tree:
        (entry,) = tree.walk()
        proxy.down.set(hold_after=200_000)
        begun = clock.utc_now()
        with pytest.raises(SourceUnreachable):
            content_of(tree, entry)
        assert (clock.utc_now() - begun).total_seconds() < 60


def test_service_that_is_not_there_is_unreachable(service: Service) -> None:
    with pytest.raises(SourceUnreachable, match="no whole answer"):
        walked(service.target("anything", port=1))


# Secrets and processes

HASHING = """
import hashlib, pickle, sys
from support.trees import contents
with pickle.loads(sys.stdin.buffer.read()).connect() as tree:
    print(hashlib.sha256(repr(sorted(contents(tree).items())).encode()).hexdigest())
"""


def in_a_fresh_process(program: str, target: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        input=pickle.dumps(target),
        capture_output=True,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout.decode()


def test_target_crosses_to_a_fresh_process_and_reads_the_same(service: Service, bucket: str) -> None:
    service.put(bucket, {"a": b"1", "b/c": b"2"})
    seen = repr(sorted({b"a": b"1", b"b/c": b"2"}.items())).encode()
    assert in_a_fresh_process(HASHING, service.target(bucket)).strip() == hashlib.sha256(seen).hexdigest()


def test_no_secret_is_in_what_is_shown(service: Service, bucket: str) -> None:
    service.put(bucket, {"file": b"1"})
    target = service.target(bucket)
    shown = [repr(target), target.label, repr(service.target("never-made"))]
    breaking: list[Callable[[], object]] = [
        lambda: walked(service.target("never-made")),
        lambda: walked(service.target(bucket, port=1)),
    ]
    for action in breaking:
        with pytest.raises(SourceError) as caught:
            action()
        shown.append("".join(traceback.format_exception(caught.value)))
    assert [text for text in shown for secret in (SECRET, KEY) if secret in text] == []


def test_filesystems_below_are_neither_shared_nor_kept(service: Service, bucket: str) -> None:
    from adlfs import AzureBlobFileSystem
    from s3fs import S3FileSystem

    service.put(bucket, {"file": b"1"})
    target = service.target(bucket)
    with target.connect() as first, target.connect() as second:
        assert list(first.walk()) == list(second.walk())
        assert not S3FileSystem._cache
        assert not AzureBlobFileSystem._cache
    with target.connect() as third:  # not the one that ended
        assert len(list(third.walk())) == 1


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "a:80"])
def test_name_that_no_bucket_has_is_refused(service: Service, name: str) -> None:
    from lifeboat.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="is no name of a"):
        service.target(name)

"""One suite that every store passes: what the stages above may rely on, whichever store it is."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.sshd import SSHD, SshServer, account, running_sshd

from lifeboat.adapters.store import CHUNK, Store, StoreTarget, checked_name
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.store_memory import MemoryTarget
from lifeboat.errors import (
    StoreDenied,
    StoreObjectExists,
    StoreObjectMissing,
    StoreProtocolError,
    StoreUnreachable,
)


@dataclass
class Case:
    """A store under test. ``folder`` is its folder as this machine sees it, where there is one."""

    target: StoreTarget
    folder: Path | None = None
    may_delete: bool = True

    def create(self, name: str, data: bytes) -> None:
        with self.target.connect() as store:
            assert store.create_new(name, [data]) == len(data)

    def read(self, name: str) -> bytes:
        with self.target.connect() as store:
            return b"".join(store.read(name))


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    with account() as name:
        yield name


@pytest.fixture(scope="module")
def servers(user: str) -> Iterator[dict[str, SshServer]]:
    with running_sshd(user) as plain, running_sshd(user, write_once=True) as write_once:
        yield {"sftp": plain, "sftp-write-once": write_once}


_NEEDS_SSHD = [pytest.mark.sshd, pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")]


_WITH_A_FOLDER = [
    "local",
    pytest.param("sftp", marks=_NEEDS_SSHD),
    pytest.param("sftp-write-once", marks=_NEEDS_SSHD),
]

stores_with_a_folder = pytest.mark.parametrize("case", _WITH_A_FOLDER, indirect=True)
"""For what only another program can put into a store."""


@pytest.fixture(params=["memory", *_WITH_A_FOLDER])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "memory":
        yield Case(MemoryTarget())
    elif request.param == "local":
        yield Case(LocalTarget(tmp_path), tmp_path)
    else:
        server: SshServer = request.getfixturevalue("servers")[request.param]
        yield Case(server.target(), server.folder, may_delete=not server.write_once)
        for leftover in server.folder.iterdir():
            leftover.rmdir() if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()


@pytest.fixture
def folder(case: Case) -> Path:
    assert case.folder
    return case.folder


def chunks_of(size: int, seed: int) -> Iterator[bytes]:
    """``size`` random bytes, always the same for a seed, in chunks."""
    source = random.Random(seed)
    while size:
        yield source.randbytes(min(size, CHUNK))
        size -= min(size, CHUNK)


def test_object_read_in_a_new_session_is_what_was_created(case: Case) -> None:
    case.create("a.age", b"sealed")
    assert case.read("a.age") == b"sealed"


@pytest.mark.parametrize("size", [0, 1, 63 * 1024, 63 * 1024 + 1, CHUNK, CHUNK + 1])
def test_object_of_any_size_comes_back_whole(case: Case, size: int) -> None:
    data = b"".join(chunks_of(size, seed=size))
    case.create("a.age", data)
    assert case.read("a.age") == data


def test_object_of_64_mib_comes_back_with_its_hash(case: Case) -> None:
    size = 64 * 2**20
    sent = hashlib.sha256()

    def counted() -> Iterator[bytes]:
        for chunk in chunks_of(size, seed=1):
            sent.update(chunk)
            yield chunk

    with case.target.connect() as store:
        assert store.create_new("large.age", counted()) == size
    received = hashlib.sha256()
    with case.target.connect() as store:
        for chunk in store.read("large.age"):
            assert 0 < len(chunk) <= CHUNK
            received.update(chunk)
    assert received.digest() == sent.digest()


def test_chunks_of_odd_sizes_arrive_in_their_order(case: Case) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate([1, 0, 70_000, 3, 200_000, CHUNK + 5])]
    with case.target.connect() as store:
        assert store.create_new("a.age", iter(pieces)) == sum(map(len, pieces))
    assert case.read("a.age") == b"".join(pieces)


def test_create_of_a_taken_name_raises_and_leaves_the_object_alone(case: Case) -> None:
    case.create("a.age", b"first")
    with case.target.connect() as store, pytest.raises(StoreObjectExists, match=r"a\.age"):
        store.create_new("a.age", [b"second"])
    assert case.read("a.age") == b"first"


def test_create_whose_source_fails_passes_its_error_on_and_burns_the_name(case: Case) -> None:
    def failing() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the spool is gone")

    with case.target.connect() as store:
        with pytest.raises(OSError, match="the spool is gone"):
            store.create_new("a.age", failing())
        with pytest.raises(StoreObjectExists):
            store.create_new("a.age", [b"again"])
        assert store.create_new("a.1.age", [b"again"]) == 5


def test_create_tells_whether_the_store_wrote_through_to_its_disk(case: Case) -> None:
    with case.target.connect() as store:
        assert store.fsync_supported is None
        store.create_new("a.age", [b"sealed"])
        assert store.fsync_supported is True


def test_stat_tells_size_and_time(case: Case) -> None:
    case.create("a.age", b"sealed")
    with case.target.connect() as store:
        found = store.stat("a.age")
    assert (found.name, found.size) == ("a.age", 6)
    assert found.modified is not None
    assert abs(dt.datetime.now(tz=dt.UTC) - found.modified) < dt.timedelta(minutes=1)


def test_list_shows_every_object_sorted_with_its_size(case: Case) -> None:
    names = [f"main.{number:04}.age" for number in range(300)]
    with case.target.connect() as store:
        for number, name in enumerate(reversed(names)):
            store.create_new(name, [b"x" * number])
        listed = store.list()
        assert [item.name for item in listed] == names
        assert [item.size for item in listed] == list(range(299, -1, -1))
        assert listed[7] == store.stat(names[7])


def test_list_of_an_empty_store_is_empty(case: Case) -> None:
    with case.target.connect() as store:
        assert store.list() == []


def test_read_and_stat_of_a_missing_object_raise(case: Case) -> None:
    with case.target.connect() as store:
        with pytest.raises(StoreObjectMissing, match=r"gone\.age"):
            store.stat("gone.age")
        with pytest.raises(StoreObjectMissing, match=r"gone\.age"):
            next(iter(store.read("gone.age")))


def test_delete_removes_exactly_the_named_object(case: Case) -> None:
    case.create("a.age", b"sealed")
    case.create("a.age.1", b"sealed")
    with (
        case.target.connect() as store,
        nullcontext() if case.may_delete else pytest.raises(StoreDenied, match=r"a\.age"),
    ):
        store.delete_exact("a.age")
    with case.target.connect() as store:
        left = [item.name for item in store.list()]
    assert left == (["a.age.1"] if case.may_delete else ["a.age", "a.age.1"])


def test_delete_of_a_missing_object_raises(case: Case) -> None:
    with case.target.connect() as store, pytest.raises(StoreObjectMissing, match=r"gone\.age"):
        store.delete_exact("gone.age")


def test_names_that_are_no_object_names_are_refused_everywhere(case: Case) -> None:
    with case.target.connect() as store:
        for name in ("../a", "sub/a", ".hidden", "-rf", "", "ä", "a\nb"):
            for call in (lambda n: store.create_new(n, []), store.stat, store.delete_exact):
                with pytest.raises(ValueError, match="not an object name"):
                    call(name)
            with pytest.raises(ValueError, match="not an object name"):
                list(store.read(name))


@pytest.mark.parametrize("call", ["create", "read", "stat", "list", "delete", "free_space"])
def test_closed_session_answers_nothing(case: Case, call: str) -> None:
    case.create("a.age", b"sealed")
    with case.target.connect() as store:
        pass
    store.close()
    with pytest.raises(StoreUnreachable):
        _call(store, call)


def _call(store: Store, call: str) -> Any:
    return {
        "create": lambda: store.create_new("b.age", [b""]),
        "read": lambda: list(store.read("a.age")),
        "stat": lambda: store.stat("a.age"),
        "list": store.list,
        "delete": lambda: store.delete_exact("a.age"),
        "free_space": store.free_space,
    }[call]()


def test_session_opened_before_sees_what_another_one_created(case: Case) -> None:
    with case.target.connect() as early:
        assert early.list() == []
        case.create("a.age", b"sealed")
        assert [item.name for item in early.list()] == ["a.age"]


def test_read_that_is_left_early_does_not_disturb_the_session(case: Case) -> None:
    case.create("a.age", b"x" * (3 * CHUNK))
    with case.target.connect() as store:
        reader = iter(store.read("a.age"))
        next(reader)
        del reader
        assert store.stat("a.age").size == 3 * CHUNK


@stores_with_a_folder
def test_free_space_is_a_part_of_the_total(case: Case, folder: Path) -> None:
    with case.target.connect() as store:
        space = store.free_space()
    assert space is not None
    assert 0 < space.available <= space.total


@stores_with_a_folder
def test_list_leaves_out_what_is_no_object_and_shows_foreign_names(case: Case, folder: Path) -> None:
    case.create("a.age", b"sealed")
    (folder / "folder.age").mkdir()
    (folder / "link.age").symlink_to("a.age")
    (folder / "dangling.age").symlink_to("nowhere")
    (folder / b"caf\xe9 \n.txt".decode(errors="surrogateescape")).write_bytes(b"foreign")
    with case.target.connect() as store:
        listed = store.list()
    assert [item.name for item in listed] == ["a.age", "caf\udce9 \n.txt"]


@stores_with_a_folder
@pytest.mark.parametrize("kind", ["folder", "link", "dangling"])
def test_name_borne_by_something_else_is_refused_not_followed(case: Case, folder: Path, kind: str) -> None:
    case.create("a.age", b"sealed")
    odd = folder / "odd.age"
    odd.mkdir() if kind == "folder" else odd.symlink_to("a.age" if kind == "link" else "nowhere")
    with case.target.connect() as store:
        for call in (store.stat, store.delete_exact, lambda name: list(store.read(name))):
            with pytest.raises(StoreDenied, match="not an object"):
                call("odd.age")
        with pytest.raises(StoreObjectExists):
            store.create_new("odd.age", [b"through the link"])
    assert odd.is_symlink() or odd.is_dir()
    assert case.read("a.age") == b"sealed"
    assert not (folder / "nowhere").exists()


@stores_with_a_folder
@pytest.mark.parametrize("change", [b"", b"x" * (CHUNK + 1)], ids=["shorter", "longer"])
def test_object_that_changes_its_length_while_read_raises(case: Case, folder: Path, change: bytes) -> None:
    (folder / "a.age").write_bytes(b"x" * (5 * CHUNK))
    with case.target.connect() as store:
        reader = iter(store.read("a.age"))
        next(reader)
        with (folder / "a.age").open("ab") as file:
            file.write(change) if change else file.truncate(CHUNK)
        with pytest.raises(StoreProtocolError, match=r"a\.age"):
            list(reader)


@stores_with_a_folder
def test_missing_folder_raises_rather_than_looking_empty(case: Case, folder: Path) -> None:
    aside = folder.with_name(folder.name + "-aside")
    folder.rename(aside)
    try:
        with case.target.connect() as store:
            for call in (store.list, store.free_space, lambda: store.create_new("a.age", [b""])):
                with pytest.raises(StoreObjectMissing, match="folder"):
                    call()
    finally:
        aside.rename(folder)


@pytest.mark.parametrize("name", ["a.age", "A-1_b.manifest.json", "x" * 200])
def test_checked_name_flat_ascii_passes(name: str) -> None:
    assert checked_name(name) == name

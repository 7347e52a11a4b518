"""Transfers to and from a real sshd: the same in this process and in a child, also when they fail."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import psutil
import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE
from support.proxy import fault_proxy
from support.sshd import SSHD, SshServer, account, public_line, running_sshd

from lifeboat import clock
from lifeboat.adapters import transfers as module
from lifeboat.adapters.children import TRANSFERS_AT_ONCE, Crew
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.adapters.transfers import TRANSFER_CHILD, Digest, Transfers, transfers
from lifeboat.errors import (
    Cancelled,
    LifeboatError,
    StoreError,
    StoreHostKeyMismatch,
    StoreObjectExists,
    StoreObjectMissing,
    StoreUnreachable,
    TimeLimitExceeded,
)

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")]

DATA = random.Random(24).randbytes(9 * 2**20 + 5)
WHOLE = Digest(len(DATA), hashlib.sha256(DATA).hexdigest())


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with account() as user, running_sshd(user) as running:
        yield running


@pytest.fixture(autouse=True)
def empty(server: SshServer) -> None:
    for path in server.folder.iterdir():
        path.unlink()


@pytest.fixture(params=["here", "child"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the bytes are moved."""
    monkeypatch.setattr(module, "LARGE", 0 if request.param == "child" else sys.maxsize)
    return str(request.param)


@pytest.fixture
def in_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 0)


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew() as crew:
        yield crew


@pytest.fixture
def spooled(tmp_path: Path) -> Path:
    path = tmp_path / "0001.age"
    path.write_bytes(DATA)
    return path


@contextlib.contextmanager
def session(target: SftpTarget | LocalTarget, crew: Crew, *, limit: float = 60) -> Iterator[Transfers]:
    deadline = clock.Deadline.after(limit)

    def check(what: str) -> None:
        if deadline.passed():
            raise TimeLimitExceeded(f"{what}: the store is too slow")

    with transfers(target, crew, size=1, deadline=deadline, check=check) as opened:
        yield opened


def children() -> list[int]:
    """Transfer children that this test began: the crew of other tests may have some at rest."""
    return sorted(_transfer_children() - OTHERS)


OTHERS: set[int] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    OTHERS.clear()
    OTHERS.update(_transfer_children())


def _transfer_children() -> set[int]:
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if TRANSFER_CHILD in child.cmdline():
                found.add(child.pid)
    return found


def test_what_was_sent_comes_back_over_another_session(
    place: str, server: SshServer, crew: Crew, spooled: Path
) -> None:
    with session(server.target(), crew) as store:
        space = store.free_space()
        assert space is not None
        assert 0 < space.available <= space.total
        store.send("a.age", spooled)
        store.send("b.age", spooled)
    with session(server.target(), crew) as store:
        assert store.digest("a.age") == store.digest("b.age") == WHOLE
    assert (server.folder / "a.age").read_bytes() == DATA
    assert len(children()) == (place == "child"), "one child for both sessions, or none"


@pytest.mark.usefixtures("place")
def test_a_byte_changed_on_the_store_changes_the_digest(server: SshServer, crew: Crew, spooled: Path) -> None:
    with session(server.target(), crew) as store:
        store.send("a.age", spooled)
    with (server.folder / "a.age").open("r+b") as file:
        file.seek(WHOLE.size - 1)
        file.write(bytes([DATA[-1] ^ 1]))
    with session(server.target(), crew) as store:
        found = store.digest("a.age")
    assert found.size == WHOLE.size
    assert found.sha256 != WHOLE.sha256


@pytest.mark.usefixtures("place")
def test_errors_of_the_store_keep_kind_words_and_hint(server: SshServer, crew: Crew, spooled: Path) -> None:
    (server.folder / "a.age").touch()
    with pytest.raises(StoreObjectExists, match=r"'a\.age' is taken on sftp://") as taken:  # noqa: SIM117
        with session(server.target(), crew) as store:
            store.send("a.age", spooled)
    assert "Objects are created once" in (taken.value.hint or "")
    with pytest.raises(StoreObjectMissing, match=r"b\.age"), session(server.target(), crew) as store:
        store.digest("b.age")


@pytest.mark.usefixtures("place")
def test_another_host_key_is_refused_before_a_byte_is_sent(server: SshServer, crew: Crew) -> None:
    other = public_line(asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises(StoreHostKeyMismatch), session(server.target(host_key=other), crew):
        pytest.fail("a session was opened")
    assert children() == []


@pytest.mark.usefixtures("place")
def test_a_line_that_is_cut_is_a_store_that_cannot_be_reached(
    server: SshServer, crew: Crew, spooled: Path
) -> None:
    with fault_proxy(server.port) as proxy:
        proxy.up.set(cut_after=2 * 2**20)
        with pytest.raises(StoreUnreachable), session(server.target(port=proxy.port), crew) as store:
            store.send("a.age", spooled)
    assert children() == []


@pytest.mark.usefixtures("place")
def test_a_store_too_slow_for_the_limit_is_said_to_be_that(
    server: SshServer, crew: Crew, spooled: Path
) -> None:
    """F17"""
    with fault_proxy(server.port) as proxy:
        proxy.up.bytes_per_second = 2**20
        with (
            pytest.raises(TimeLimitExceeded, match=r"upload of a\.age: the store is too slow"),
            session(server.target(port=proxy.port), crew, limit=2) as store,
        ):
            store.send("a.age", spooled)
    assert children() == []


@pytest.mark.usefixtures("in_child")
def test_the_end_of_the_run_ends_a_transfer(server: SshServer, crew: Crew, spooled: Path) -> None:
    with fault_proxy(server.port) as proxy:
        proxy.up.set(hold_after=2**20)
        with pytest.raises(Cancelled), session(server.target(port=proxy.port), crew) as store:
            (pid,) = children()
            ending = threading.Timer(0.5, crew.dismiss)
            ending.start()
            store.send("a.age", spooled)
        ending.join()
    assert proxy.up.passed >= 2**20, "it was under way"
    assert not psutil.pid_exists(pid)


@pytest.mark.usefixtures("in_child")
def test_more_batches_than_are_moved_at_once_wait(server: SshServer, crew: Crew) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(TRANSFERS_AT_ONCE):
            opened.enter_context(session(server.target(), crew))
        assert len(children()) == TRANSFERS_AT_ONCE
        with (
            pytest.raises(TimeLimitExceeded, match="connection to sftp"),
            session(server.target(), crew, limit=1),
        ):
            pytest.fail("one more than are moved at once")
    with session(server.target(), crew), session(server.target(), crew):
        assert len(children()) == TRANSFERS_AT_ONCE, "places come back, and so do children"


@pytest.mark.usefixtures("in_child")
def test_a_child_that_dies_is_an_error(server: SshServer, crew: Crew, spooled: Path) -> None:
    with pytest.raises(LifeboatError, match="ended by signal 9"), session(server.target(), crew) as store:
        (pid,) = children()
        psutil.Process(pid).kill()
        store.send("a.age", spooled)


@pytest.mark.usefixtures("in_child")
def test_after_a_failure_the_next_session_has_another_child(
    server: SshServer, crew: Crew, spooled: Path
) -> None:
    with pytest.raises(StoreError), session(server.target(), crew) as store:
        (first,) = children()
        store.digest("missing.age")
    with session(server.target(), crew) as store:
        store.send("a.age", spooled)
        assert store.digest("a.age") == WHOLE
        assert children() != [first]


@pytest.mark.usefixtures("in_child")
def test_a_local_store_is_written_by_the_run_itself(tmp_path: Path, crew: Crew, spooled: Path) -> None:
    (tmp_path / "store").mkdir()
    with session(LocalTarget(tmp_path / "store"), crew) as store:
        store.send("a.age", spooled)
        assert store.digest("a.age") == WHOLE
        assert children() == []


def test_no_packet_is_a_filler(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[int] = []
    send_packet = asyncssh.SSHClientConnection.send_packet

    def noted(self: asyncssh.SSHClientConnection, pkttype: int, *args: bytes, **handler: None) -> None:
        kinds.append(pkttype)
        send_packet(self, pkttype, *args, **handler)

    monkeypatch.setattr(asyncssh.SSHClientConnection, "send_packet", noted)
    with server.target().connect() as store:
        kinds.clear()
        store.create_new("a.age", [DATA])
        assert kinds.count(MSG_CHANNEL_DATA) > len(DATA) // 2**15
        assert MSG_IGNORE not in kinds

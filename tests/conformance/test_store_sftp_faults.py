"""The SFTP store against real servers that fail: rows F13 to F22 and F39 of the fault matrix."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import fsspec.asyn
import psutil
import pytest
from support.lying_sftp import Lies, lying_server
from support.proxy import FaultProxy, fault_proxy
from support.sshd import SSHD, SshServer, account, public_line, running_sshd

from lifeboat.adapters.store import CHUNK
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.errors import (
    ConfigurationError,
    StoreAuthenticationFailed,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreHostKeyMismatch,
    StoreObjectExists,
    StoreProtocolError,
    StoreUnreachable,
)

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")]

DATA = random.Random(15).randbytes(3 * 2**20)


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    with account() as name:
        yield name


@pytest.fixture
def server(user: str) -> Iterator[SshServer]:
    with running_sshd(user) as running:
        yield running


@pytest.fixture
def proxy(server: SshServer) -> Iterator[FaultProxy]:
    with fault_proxy(server.port) as running:
        yield running


def store_and_read(target: SftpTarget, name: str, data: bytes) -> bytes:
    """Create in one session, read in another, as the stages do."""
    with target.connect() as store:
        store.create_new(name, [data])
    with target.connect() as store:
        return b"".join(store.read(name))


def unanswered_requests() -> list[str]:
    """What still runs on the filesystems' loop on behalf of an open file."""
    running = (str(task.get_coro()) for task in asyncio.all_tasks(fsspec.asyn.get_loop()))
    return [coroutine for coroutine in running if "SFTPClientFile" in coroutine]


def open_connections(port: int) -> list[Any]:
    lines = psutil.Process().net_connections("tcp")
    return [line for line in lines if line.raddr and line.raddr.port == port and line.status == "ESTABLISHED"]


# F13, F14: the NAS is full


@pytest.fixture
def small_disk(server: SshServer) -> Iterator[Callable[[str], None]]:
    """Mounts a tmpfs with the given options over the store's folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem needs root")
    owner = server.folder.stat()

    def mount(options: str) -> None:
        options += f",uid={owner.st_uid},gid={owner.st_gid}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(server.folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")

    yield mount
    subprocess.run(["umount", str(server.folder)], capture_output=True, check=False)


@pytest.fixture(params=["sftp", "local"])
def full_target(request: pytest.FixtureRequest, server: SshServer) -> SftpTarget | LocalTarget:
    return server.target() if request.param == "sftp" else LocalTarget(server.folder)


def test_disk_that_fills_up_in_the_middle_is_full_with_its_numbers(
    full_target: SftpTarget | LocalTarget, small_disk: Callable[[str], None]
) -> None:
    small_disk("size=8m")
    with full_target.connect() as store:
        with pytest.raises(StoreFull, match=r"big\.age.*of 8,388,608 bytes"):
            store.create_new("big.age", (DATA for _ in range(10)))
        assert [item.name for item in store.list()] == ["big.age"], "nothing is deleted to make room"
        with pytest.raises(StoreFull):
            store.create_new("second.age", [b"x"])


def test_disk_without_inodes_is_full_at_open(
    full_target: SftpTarget | LocalTarget, small_disk: Callable[[str], None]
) -> None:
    small_disk("size=64m,nr_inodes=3")
    with full_target.connect() as store:
        store.create_new("a.age", [b"x"])
        store.create_new("b.age", [b"x"])
        with pytest.raises(StoreFull, match=r"c\.age"):
            store.create_new("c.age", [b"x"])
        with pytest.raises(StoreObjectExists):
            store.create_new("a.age", [b"x"])


def test_disk_that_turns_out_full_at_fsync_is_full(tmp_path: Path) -> None:
    with (
        lying_server(tmp_path, Lies(fsync_finds_disk_full=True)) as nas,
        nas.target().connect() as store,
        pytest.raises(StoreFull, match="0 of 4,096,000 bytes"),
    ):
        store.create_new("a.age", [DATA])


# F15: the connection is cut


@pytest.mark.parametrize("seed", range(6))
def test_connection_cut_anywhere_in_an_upload_leaves_a_torn_object_and_another_name_works(
    server: SshServer, proxy: FaultProxy, seed: int
) -> None:
    cut = random.Random(seed).randrange(1, len(DATA))
    target = server.target(port=proxy.port)
    with target.connect() as store:
        proxy.up.set(cut_after=cut)
        with pytest.raises(StoreUnreachable, match=r"a\.age"):
            store.create_new("a.age", [DATA])
        with pytest.raises(StoreUnreachable):
            store.stat("a.age")
    proxy.up.set()
    with target.connect() as store:
        # Cut before the request to open it arrived, the object was never created.
        torn = {item.name: item.size for item in store.list()}
        assert torn.get("a.age", 0) < len(DATA)
        if torn:
            with pytest.raises(StoreObjectExists):
                store.create_new("a.age", [DATA])
    assert store_and_read(target, "a.1.age", DATA) == DATA


@pytest.mark.parametrize("cut", [1, 40_000, 2 * 2**20])
def test_connection_cut_in_a_download_raises(server: SshServer, proxy: FaultProxy, cut: int) -> None:
    target = server.target(port=proxy.port)
    with target.connect() as store:
        store.create_new("a.age", [DATA])
    with target.connect() as store:
        proxy.down.set(cut_after=cut)
        with pytest.raises(StoreUnreachable, match=r"a\.age"):
            list(store.read("a.age"))


def test_connection_with_a_flipped_byte_never_delivers_it(server: SshServer, proxy: FaultProxy) -> None:
    target = server.target(port=proxy.port, stall_timeout=3)
    with target.connect() as store:
        store.create_new("a.age", [DATA])
    with target.connect() as store:
        proxy.down.set(flip_at=1_000_000)
        with pytest.raises(StoreUnreachable):
            list(store.read("a.age"))
    with target.connect() as store:
        proxy.up.set(flip_at=1_000_000)
        with pytest.raises(StoreUnreachable):
            store.create_new("b.age", [DATA])


def test_connection_refused_is_unreachable_and_quick(server: SshServer) -> None:
    server.stop()
    started = time.monotonic()
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1"), server.target().connect():
        pass
    assert time.monotonic() - started < 5


def test_server_that_accepts_and_says_nothing_is_unreachable_within_the_connect_timeout(
    server: SshServer, proxy: FaultProxy
) -> None:
    proxy.down.set(hold_after=0)
    started = time.monotonic()
    with pytest.raises(StoreUnreachable), server.target(port=proxy.port, connect_timeout=1).connect():
        pass
    assert time.monotonic() - started < 5


# F16, F17: the connection is silent, or slow


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize(
    "limits",
    [{"stall_timeout": 1}, {"keepalive_interval": 0.3, "keepalive_count": 2}],
    ids=["stall", "keepalive"],
)
def test_black_hole_ends_within_the_limits(
    server: SshServer, proxy: FaultProxy, way: str, limits: dict[str, Any]
) -> None:
    with server.target(port=proxy.port, **limits).connect() as store:
        getattr(proxy, way).set(hold_after=100_000 if way == "up" else 0)
        started = time.monotonic()
        with pytest.raises(StoreUnreachable, match=r"a\.age"):
            store.create_new("a.age", [DATA])
        assert time.monotonic() - started < 8
        assert unanswered_requests() == []
        started = time.monotonic()
    assert time.monotonic() - started < 8, "closing must not wait for a dead server either"
    assert open_connections(proxy.port) == []


@pytest.mark.parametrize("call", ["stat", "list", "delete_exact", "free_space", "read"])
def test_black_hole_ends_every_call(server: SshServer, proxy: FaultProxy, call: str) -> None:
    with server.target(port=proxy.port, stall_timeout=0.5).connect() as store:
        store.create_new("a.age", [DATA])
        proxy.down.set(hold_after=0)
        with pytest.raises(StoreUnreachable, match=r"no byte moved for 0\.5 s"):
            {
                "stat": lambda: store.stat("a.age"),
                "list": store.list,
                "delete_exact": lambda: store.delete_exact("a.age"),
                "free_space": store.free_space,
                "read": lambda: list(store.read("a.age")),
            }[call]()


def test_listing_that_falls_silent_in_the_middle_ends_within_two_stall_timeouts(
    server: SshServer, proxy: FaultProxy
) -> None:
    for number in range(2000):
        (server.folder / f"{number}.age").touch()
    with server.target(port=proxy.port, stall_timeout=0.5).connect() as store:
        proxy.down.set(hold_after=20_000)
        started = time.monotonic()
        with pytest.raises(StoreUnreachable, match=r"no byte moved for 0\.5 s"):
            store.list()
        assert time.monotonic() - started < 3


def test_stopped_server_process_ends_within_the_stall_timeout(server: SshServer) -> None:
    assert server._process
    with server.target(stall_timeout=1).connect() as store:
        sessions = psutil.Process(server._process.pid).children(recursive=True)
        for session in sessions:
            session.suspend()
        try:
            with pytest.raises(StoreUnreachable, match="no byte moved"):
                store.create_new("a.age", (DATA for _ in range(20)))
        finally:
            for session in sessions:
                session.resume()


def test_slow_line_is_not_a_stalled_one(server: SshServer, proxy: FaultProxy) -> None:
    data = DATA[: 1536 * 1024]
    target = server.target(port=proxy.port, stall_timeout=1.5)
    started = time.monotonic()
    with target.connect() as store:
        proxy.up.bytes_per_second = 512 * 1024
        assert store.create_new("a.age", [data]) == len(data)
    proxy.up.bytes_per_second = None
    with target.connect() as store:
        proxy.down.bytes_per_second = 512 * 1024
        assert b"".join(store.read("a.age")) == data
    assert time.monotonic() - started > 4, "the whole took longer than the stall timeout"


def test_slow_listing_is_not_a_stalled_one(server: SshServer, proxy: FaultProxy) -> None:
    for number in range(2000):
        (server.folder / f"main.{number:04}.age").touch()
    with server.target(port=proxy.port, stall_timeout=1).connect() as store:
        proxy.down.bytes_per_second = 128 * 1024
        started = time.monotonic()
        assert len(store.list()) == 2000
    assert time.monotonic() - started > 1


def test_consumer_slower_than_the_stall_timeout_reads_on(server: SshServer) -> None:
    with server.target(stall_timeout=0.5).connect() as store:
        store.create_new("a.age", (DATA for _ in range(8)))
        received = bytearray()
        for chunk in store.read("a.age"):
            received += chunk
            time.sleep(0.7 if len(received) < 3 * CHUNK else 0)
    assert bytes(received) == DATA * 8


def test_upload_cancelled_on_its_loop_is_an_error_not_a_success(server: SshServer, proxy: FaultProxy) -> None:
    # fsspec's own bridge returns None for a cancelled call (finding 4).
    loop = fsspec.asyn.get_loop()

    def cancel_all() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    with server.target(port=proxy.port).connect() as store:
        proxy.up.set(hold_after=100_000)
        timer = threading.Timer(0.5, loop.call_soon_threadsafe, [cancel_all])
        timer.start()
        with pytest.raises(StoreUnreachable):
            store.create_new("a.age", [DATA])
        timer.join()


# F18: the server restarts


def test_restarted_server_ends_the_session_and_takes_a_new_one(server: SshServer) -> None:
    target = server.target()
    with target.connect() as store:
        store.create_new("a.age", [DATA])
        server.restart()
        with pytest.raises(StoreUnreachable):
            store.list()
    with target.connect() as store:
        assert b"".join(store.read("a.age")) == DATA


# F19: somebody else answers


def test_changed_host_key_is_a_security_error_and_no_secret_is_sent(
    server: SshServer, tmp_path: Path
) -> None:
    with lying_server(tmp_path, Lies()) as stranger:
        target = server.target(port=stranger.port, password="S3CRET")
        with pytest.raises(StoreHostKeyMismatch, match="host key") as caught, target.connect():
            pass
        assert stranger.logins == []
    assert caught.value.security
    assert not caught.value.retryable


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ssh-rsa"])
def test_host_key_of_another_type_only_is_a_mismatch_not_a_broken_line(server: SshServer, kind: str) -> None:
    target = server.target()
    server.host_key = asyncssh.generate_private_key(kind)
    server.restart()
    with pytest.raises(StoreHostKeyMismatch), target.connect():
        pass


def test_server_that_added_a_host_key_is_still_known_by_the_pinned_one(server: SshServer) -> None:
    added = asyncssh.generate_private_key("ssh-ed25519")
    server.host_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    server.further_host_keys = [added]
    server.restart()
    with server.target().connect() as store:
        assert store.list() == []
    with server.target(host_key=public_line(added)).connect() as store:
        assert store.list() == []
    stranger = asyncssh.generate_private_key("ssh-rsa")
    with pytest.raises(StoreHostKeyMismatch), server.target(host_key=public_line(stranger)).connect():
        pass


def test_any_of_several_pinned_host_keys_is_accepted(server: SshServer) -> None:
    coming = asyncssh.generate_private_key("ssh-ed25519")
    lines = f"{public_line(coming)}\n{public_line(server.host_key)} nas-2024"
    with server.target(host_key=lines).connect() as store:
        assert store.list() == []


# F20: the login


def test_revoked_key_fails_at_once_and_names_no_secret(server: SshServer) -> None:
    target = server.target()
    server.authorize(asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises(StoreAuthenticationFailed, match=server.user) as caught, target.connect():
        pass
    assert not caught.value.retryable


def test_failed_login_is_one_try_for_each_way_to_log_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    for changes, tries in (
        ({"private_key": wrong}, 1),
        ({"private_key": None, "password": "S3CRET"}, 1),
        ({"private_key": wrong, "password": "S3CRET"}, 2),
    ):
        with lying_server(tmp_path, Lies()) as nas:
            target = nas.target(**changes)
            with pytest.raises(StoreAuthenticationFailed) as caught, target.connect():
                pass
            assert len(nas.logins) == tries
            shown = "".join(traceback.format_exception(caught.value)) + repr(target) + caplog.text
            assert "S3CRET" not in shown


def test_settings_keys_and_known_hosts_of_the_person_who_runs_it_are_not_used(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / ".ssh"
    own.mkdir()
    (own / "config").write_text("Host *\n  ProxyCommand /bin/false\n")
    (own / "id_ed25519").write_bytes(server.key.export_private_key())
    (own / "id_ed25519").chmod(0o600)
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    (own / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {public_line(server.host_key)}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with server.target().connect() as store:
        assert store.list() == []
    with pytest.raises(StoreAuthenticationFailed):
        server.target(private_key=None, password="S3CRET").connect().__enter__()
    with pytest.raises(StoreHostKeyMismatch):
        server.target(host_key=public_line(stranger)).connect().__enter__()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"host_key": ""}, "No host key is pinned"),
        ({"host_key": "\n"}, "No host key is pinned"),
        ({"host_key": "nas ssh-ed25519 AAAA"}, "Line 1 of the host key"),
        ({"host_key": "ssh-ed25519 AAAA"}, "Line 1 of the host key"),
        ({"host_key": "ssh-dss AAAA"}, "Line 1 of the host key"),
        ({"private_key": None}, "neither a private key nor a password"),
        ({"private_key": "garbage"}, "private key .* cannot be read"),
    ],
)
def test_target_without_usable_keys_is_refused_when_written(
    server: SshServer, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        server.target(**changes)


def test_private_key_pasted_as_host_key_is_refused_and_not_shown(server: SshServer) -> None:
    secret = server.key.export_private_key().decode()
    with pytest.raises(ConfigurationError) as caught:
        server.target(host_key=secret)
    assert not any(line in str(caught.value) for line in secret.splitlines())


@pytest.mark.parametrize(("passphrase", "works"), [("open", True), ("wrong", False), (None, False)])
def test_private_key_with_a_passphrase_needs_the_right_one(
    server: SshServer, passphrase: str | None, works: bool
) -> None:
    sealed = server.key.export_private_key("pkcs8-pem", passphrase="open").decode()
    with (
        contextlib.nullcontext() if works else pytest.raises(ConfigurationError, match="private key"),
        server.target(private_key=sealed, passphrase=passphrase).connect() as store,
    ):
        assert store.list() == []


def test_secrets_are_in_no_representation(server: SshServer) -> None:
    target = server.target(password="S3CRET", passphrase="S3CRET")
    with target.connect() as store:
        shown = f"{target!r}{target}{store!r}{target.label}"
    assert "S3CRET" not in shown
    assert "PRIVATE" not in shown


# F21, F22: the server lies


@pytest.mark.parametrize(
    "lie",
    [
        lambda number, data: None if number == 2 else data,
        lambda number, data: data[:-1] if number == 2 else data,
        lambda number, data: bytes([data[0] ^ 1]) + data[1:] if number == 2 else data,
        lambda _number, _data: None,
    ],
    ids=["drops one", "shortens one", "corrupts one", "stores nothing"],
)
def test_write_that_was_acknowledged_and_not_done_shows_when_read_back(
    tmp_path: Path, lie: Callable[[int, bytes], bytes | None]
) -> None:
    with lying_server(tmp_path, Lies(write=lie)) as nas:
        with nas.target().connect() as store:
            assert store.create_new("a.age", [DATA]) == len(DATA), "no client can see this while writing"
        with nas.target().connect() as store:
            assert b"".join(store.read("a.age")) != DATA


def test_object_damaged_after_it_was_read_back_shows_when_read_again(server: SshServer) -> None:
    assert store_and_read(server.target(), "a.age", DATA) == DATA
    with (server.folder / "a.age").open("r+b") as file:
        file.seek(1_000_000)
        file.write(bytes([DATA[1_000_000] ^ 1]))
    with server.target().connect() as store:
        assert b"".join(store.read("a.age")) != DATA


@pytest.mark.parametrize(
    "status", [asyncssh.SFTPEOFError(), asyncssh.SFTPFailure("Failure")], ids=["eof", "failure"]
)
def test_write_answered_with_any_error_fails_the_upload(tmp_path: Path, status: Exception) -> None:
    # asyncssh's own writer takes an end-of-file status for success.
    with (
        lying_server(tmp_path, Lies(write_error=status)) as nas,
        nas.target().connect() as store,
        pytest.raises(StoreProtocolError, match=r"a\.age"),
    ):
        store.create_new("a.age", [DATA])


@pytest.mark.parametrize(
    "lies",
    [
        Lies(read=lambda number, data: b"" if number == 3 else data),
        Lies(read=lambda number, data: data + b"more" if number == 3 else data),
        Lies(size=lambda size: size + 1),
        Lies(size=lambda size: size - 1),
    ],
    ids=["end too early", "more than asked", "size too large", "size too small"],
)
def test_read_of_another_length_than_told_raises(tmp_path: Path, lies: Lies) -> None:
    (tmp_path / "a.age").write_bytes(DATA)
    with (
        lying_server(tmp_path, lies) as nas,
        nas.target().connect() as store,
        pytest.raises(StoreProtocolError, match=r"a\.age"),
    ):
        list(store.read("a.age"))


def test_read_answered_in_short_pieces_is_put_together(tmp_path: Path) -> None:
    # The protocol allows it, and some servers do it.
    (tmp_path / "a.age").write_bytes(DATA)
    lies = Lies(read=lambda _number, data: data[:20_000])
    with lying_server(tmp_path, lies) as nas, nas.target().connect() as store:
        assert b"".join(store.read("a.age")) == DATA


# F39: listings


def test_listing_cut_off_raises_rather_than_being_short(server: SshServer, proxy: FaultProxy) -> None:
    for number in range(2000):
        (server.folder / f"main.{number:04}.age").touch()
    with server.target(port=proxy.port).connect() as store:
        assert len(store.list()) == 2000
        whole = proxy.down.passed
    for cut in random.Random(39).sample(range(10_000, whole - 10_000), 5):
        with server.target(port=proxy.port).connect() as store:
            proxy.down.set(cut_after=cut - 10_000)
            with pytest.raises(StoreUnreachable):
                store.list()
        proxy.down.set()


@pytest.mark.parametrize("call", ["list", "read", "create_new"])
def test_folder_or_object_without_permission_is_denied_not_empty(server: SshServer, call: str) -> None:
    (server.folder / "a.age").write_bytes(DATA)
    (server.folder / "a.age").chmod(0)
    server.folder.chmod(0o555 if call != "list" else 0o111)
    try:
        with server.target().connect() as store, pytest.raises(StoreDenied):
            {
                "list": store.list,
                "read": lambda: list(store.read("a.age")),
                "create_new": lambda: store.create_new("b.age", [DATA]),
            }[call]()
    finally:
        server.folder.chmod(0o755)


def test_listing_of_names_only_is_completed_by_asking_for_each(tmp_path: Path) -> None:
    (tmp_path / "a.age").write_bytes(b"sealed")
    (tmp_path / "folder.age").mkdir()
    with lying_server(tmp_path, Lies(forget_types=True)) as nas, nas.target().connect() as store:
        assert [(item.name, item.size) for item in store.list()] == [("a.age", 6)]


# What belongs to no row


def test_server_without_extensions_works_and_it_shows(tmp_path: Path) -> None:
    with lying_server(tmp_path, Lies(knows_no_extensions=True)) as nas, nas.target().connect() as store:
        assert store.create_new("a.age", [DATA]) == len(DATA)
        assert store.fsync_supported is False
        assert store.free_space() is None


def test_every_error_of_the_store_is_a_store_error_with_a_hint(server: SshServer) -> None:
    target = server.target()
    server.stop()
    with pytest.raises(StoreError) as caught, target.connect():
        pass
    assert target.label in caught.value.message
    assert caught.value.hint


def test_session_interrupted_while_it_waits_can_be_closed(server: SshServer, proxy: FaultProxy) -> None:
    def interrupting() -> Iterator[bytes]:
        yield DATA
        raise KeyboardInterrupt

    with server.target(port=proxy.port).connect() as store, pytest.raises(KeyboardInterrupt):
        store.create_new("a.age", interrupting())
    assert store_and_read(server.target(), "b.age", DATA) == DATA


def test_no_connection_outlives_its_session(server: SshServer) -> None:
    assert server._process
    listener = psutil.Process(server._process.pid)
    for _ in range(3):
        with server.target().connect() as store:
            store.list()
            assert listener.children()
    deadline = time.monotonic() + 5
    while listener.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert listener.children() == []


def test_memory_of_a_transfer_does_not_grow_with_the_object(server: SshServer) -> None:
    process = psutil.Process()
    with server.target().connect() as store:
        store.create_new("warm.age", [DATA])
        before = process.memory_info().rss
        peak = before
        for number in range(2):
            assert store.create_new(f"{number}.age", (bytes(CHUNK) for _ in range(32))) == 32 * CHUNK
            for part, _ in enumerate(store.read(f"{number}.age")):
                time.sleep(0 if part else 1)  # a slow reader is not read ahead for without end
                peak = max(peak, process.memory_info().rss)
    assert peak - before < 64 * 2**20

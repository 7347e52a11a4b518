"""Trees over SFTP against a real sshd: hostile names, links, swaps, host keys, connections that die."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest
from support.proxy import FaultProxy, fault_proxy
from support.sshd import SSHD, SshServer, account, public_line, running_sshd
from support.trees import content_of, contents, in_walk_order, make_hostile_tree, make_links_and_specials

from lifeboat.adapters.tree import Entry, EntryKind, TreeTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.adapters.tree_sftp import SftpTreeTarget
from lifeboat.errors import (
    EntryChanged,
    EntryMissing,
    SourceDenied,
    SourceHostKeyMismatch,
    SourceMissing,
    SourceUnreachable,
)
from lifeboat.model.patterns import Selection

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(not SSHD, reason="there is no sshd on this machine")]


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    with account() as name:
        yield name


@pytest.fixture
def server(user: str) -> Iterator[SshServer]:
    with running_sshd(user) as started:
        yield started


@pytest.fixture
def proxy(server: SshServer) -> Iterator[FaultProxy]:
    with fault_proxy(server.port) as started:
        yield started


def target_of(server: SshServer, **changes: Any) -> SftpTreeTarget:
    known = {name: value for name, value in vars(server.target()).items() if value is not None}
    return SftpTreeTarget(**{**known, **changes})


def walked(target: TreeTarget) -> dict[bytes, Entry]:
    with target.connect() as tree:
        entries = list(tree.walk())
    assert in_walk_order(entries)
    return {entry.path: entry for entry in entries}


def test_hostile_names_come_as_bytes_in_order_with_their_content(server: SshServer) -> None:
    files = make_hostile_tree(server.folder)
    target: TreeTarget = target_of(server)
    with target.connect() as tree:
        assert in_walk_order(tree.walk())
        assert contents(tree) == files


def test_entries_are_those_of_the_folder_itself_but_for_fractions_and_hard_links(server: SshServer) -> None:
    make_hostile_tree(server.folder)
    make_links_and_specials(server.folder)
    local = walked(LocalTreeTarget(server.folder))
    first = local[b"first"]
    for name in (b"second", b"third"):
        local[name] = first._replace(path=name)
    expected = {
        path: entry._replace(mtime_ns=entry.mtime_ns // 10**9 * 10**9, etag="")
        for path, entry in local.items()
    }
    assert walked(target_of(server)) == expected


def test_patterns_leave_out_what_they_say_and_folders_that_hold_nothing_wanted(server: SshServer) -> None:
    make_hostile_tree(server.folder)
    selection = Selection(("a/**", "[Cc]ase"), ("a/b",))
    found = walked(target_of(server, selection=selection))
    assert found.keys() == walked(LocalTreeTarget(server.folder, selection)).keys()
    assert found.keys() == {b"a", b"a/inner", b"Case", b"case"}


def test_listing_5000_files_costs_no_round_trip_for_each(server: SshServer, proxy: FaultProxy) -> None:
    for number in range(5000):
        os.close(os.open(server.folder / f"file-{number}", os.O_CREAT | os.O_WRONLY))
    with target_of(server, port=proxy.port).connect() as tree:
        before = proxy.up.passed
        assert sum(1 for _ in tree.walk()) == 5000
        # Asking for a name takes more than 40 bytes.
        assert proxy.up.passed - before < 5000 * 4


def test_file_larger_than_the_window_comes_whole_in_large_pieces(server: SshServer) -> None:
    content = os.urandom(19 * 2**20 + 7)
    (server.folder / "large").write_bytes(content)
    with target_of(server).connect() as tree:
        (entry,) = tree.walk()
        file = tree.open(entry)
        pieces = list(iter(lambda: file.read(2**24), b""))
        file.close()
    assert b"".join(pieces) == content
    assert len(pieces) < 25


@pytest.mark.parametrize("size", [0, 1, 63 * 2**10, 63 * 2**10 + 1, 2**20])
def test_file_of_any_size_ends_where_it_ends_and_is_read_in_pieces_as_asked(
    server: SshServer, size: int
) -> None:
    content = os.urandom(size)
    (server.folder / "file").write_bytes(content)
    with target_of(server).connect() as tree:
        (entry,) = tree.walk()
        assert content_of(tree, entry, 1000) == content


@pytest.mark.parametrize("now", [0, 5, 300_000, 3_000_000])
def test_file_that_grew_or_shrank_since_it_was_opened_is_read_to_its_end(server: SshServer, now: int) -> None:
    file = server.folder / "file"
    file.write_bytes(bytes(200_000))
    with target_of(server).connect() as tree:
        (entry,) = tree.walk()
        opened = tree.open(entry)
        file.write_bytes(b"x" * now)
        read = b"".join(iter(lambda: opened.read(2**20), b""))
        opened.close()
        assert read == b"x" * now
        again = tree.look_again(b"file")
        assert again is not None
        assert again.size == now


def test_look_again_tells_what_changed_vanished_or_became_a_link(server: SshServer) -> None:
    (server.folder / "folder").mkdir()
    file = server.folder / "folder" / "file"
    file.write_bytes(b"1")
    target = target_of(server)
    before = walked(target)[b"folder/file"]
    with target.connect() as tree:
        assert tree.look_again(b"folder/file") == before
        file.unlink()
        assert tree.look_again(b"folder/file") is None
        file.symlink_to("/etc/passwd")
        again = tree.look_again(b"folder/file")
        assert again is not None
        assert (again.kind, again.target) == (EntryKind.SYMLINK, b"/etc/passwd")
        file.unlink()
        (server.folder / "folder").rmdir()
        (server.folder / "folder").symlink_to("/etc")
        assert tree.look_again(b"folder/passwd") is None


@pytest.mark.parametrize("replacement", ["link", "pipe", "folder"])
def test_file_that_something_else_took_the_place_of_is_not_read_and_nothing_hangs(
    server: SshServer, replacement: str
) -> None:
    file = server.folder / "file"
    file.write_bytes(b"1")
    with target_of(server).connect() as tree:
        (entry,) = tree.walk()
        file.unlink()
        if replacement == "folder":
            file.mkdir()
        elif replacement == "link":
            file.symlink_to("/etc/passwd")
        else:
            os.mkfifo(file)
        with pytest.raises(EntryChanged, match="'file' in .* no longer a file"):
            tree.open(entry)


def test_folder_swapped_for_a_link_out_of_the_tree_is_not_followed(server: SshServer) -> None:
    outside = server.home / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (server.folder / "folder").mkdir()
    (server.folder / "folder" / "secret").write_bytes(b"1")
    with target_of(server).connect() as tree:
        walk = tree.walk()
        assert next(walk).path == b"folder"
        (server.folder / "folder").rename(server.home / "moved")
        (server.folder / "folder").symlink_to(outside)
        assert list(walk) == []
        with pytest.raises(EntryMissing):
            tree.open(Entry(b"folder/secret", EntryKind.FILE))


def test_link_as_top_is_followed_and_a_missing_top_is_said_so(server: SshServer) -> None:
    (server.folder / "file").touch()
    (server.home / "current").symlink_to("store")
    assert walked(target_of(server, folder=str(server.home / "current"))).keys() == {b"file"}
    for folder in (server.home / "gone", server.folder / "file"):
        with (
            pytest.raises(SourceMissing, match="There is no folder"),
            target_of(server, folder=str(folder)).connect(),
        ):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that the account may not read")
def test_what_may_not_be_read_is_denied_by_its_escaped_name(server: SshServer) -> None:
    (server.folder / "a").write_bytes(b"1")
    (server.folder / "a").chmod(0)
    (server.folder / os.fsdecode(b"folder\n\x1b[31m\xff")).mkdir(0)
    with target_of(server).connect() as tree:
        with pytest.raises(SourceDenied, match=r"'a' in sftp://.*may not do this"):
            tree.open(Entry(b"a", EntryKind.FILE))
        with pytest.raises(SourceDenied) as caught:
            list(tree.walk())
    assert r"'folder\n\x1b[31m\udcff' in sftp://" in caught.value.message
    assert "exclude pattern" in caught.value.hint


def test_another_host_key_is_an_alarm_and_a_wrong_client_key_is_denied(server: SshServer) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with (
        pytest.raises(SourceHostKeyMismatch, match="another host key") as caught,
        target_of(server, host_key=public_line(stranger)).connect(),
    ):
        pass
    assert caught.value.security
    wrong = target_of(server, private_key=stranger.export_private_key().decode())
    with pytest.raises(SourceDenied, match="not accepted"), wrong.connect():
        pass


def test_server_that_is_not_there_is_unreachable(server: SshServer) -> None:
    target = target_of(server)
    server.stop()
    with pytest.raises(SourceUnreachable), target.connect():
        pass


def test_connection_that_dies_while_a_file_is_read_is_unreachable(
    server: SshServer, proxy: FaultProxy
) -> None:
    (server.folder / "large").write_bytes(os.urandom(20 * 2**20))
    with target_of(server, port=proxy.port).connect() as tree:
        (entry,) = tree.walk()
        proxy.down.set(cut_after=5 * 2**20)
        with pytest.raises(SourceUnreachable, match=r"'large' in sftp://"):
            content_of(tree, entry)
        with pytest.raises(SourceUnreachable):
            tree.look_again(b"large")


def test_connection_that_falls_silent_is_given_up(server: SshServer, proxy: FaultProxy) -> None:
    for number in range(2000):
        (server.folder / f"file-{number}").touch()
    with target_of(server, port=proxy.port, stall_timeout=1.0).connect() as tree:
        proxy.down.set(hold_after=20_000)
        begun = time.monotonic()
        with pytest.raises(SourceUnreachable, match="no byte moved for 1 s"):
            list(tree.walk())
    assert time.monotonic() - begun < 10


def test_tree_left_in_the_middle_of_a_file_can_go_on_with_it(server: SshServer) -> None:
    (server.folder / "large").write_bytes(bytes(20 * 2**20))
    with target_of(server).connect() as tree:
        (entry,) = tree.walk()
        opened = tree.open(entry)
        opened.read(1)
        opened.close()
        assert content_of(tree, entry) == bytes(20 * 2**20)


def test_target_crosses_to_another_process_and_shows_no_secret(server: SshServer) -> None:
    (server.folder / "file").write_bytes(b"1")
    target = pickle.loads(pickle.dumps(target_of(server)))
    assert "PRIVATE KEY" not in repr(target)
    assert walked(target).keys() == {b"file"}

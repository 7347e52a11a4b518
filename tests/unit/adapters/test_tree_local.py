"""Local trees against real folders: hostile names, links, specials, depth, and things swapped in between."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from support.sshd import account
from support.trees import contents, in_walk_order, make_hostile_tree, make_links_and_specials

from lifeboat.adapters.tree import Entry, EntryKind, TreeTarget
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import EntryChanged, EntryMissing, SourceError, SourceMissing
from lifeboat.model.patterns import Selection


def walked(folder: Path, selection: Selection | None = None) -> dict[bytes, Entry]:
    with LocalTreeTarget(folder, selection or Selection()).connect() as tree:
        entries = list(tree.walk())
    assert in_walk_order(entries)
    return {entry.path: entry for entry in entries}


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_hostile_names_come_as_bytes_in_order_with_their_content(tmp_path: Path) -> None:
    files = make_hostile_tree(tmp_path)
    target: TreeTarget = LocalTreeTarget(tmp_path)
    with target.connect() as tree:
        assert in_walk_order(tree.walk())
        assert contents(tree) == files
        # A second walk sees it all again.
        assert contents(tree) == files


def test_entries_say_size_mode_owner_and_times(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    file.chmod(0o4640)
    os.utime(file, ns=(1, 1_700_000_000_123_456_789))
    found = file.stat()
    assert walked(tmp_path) == {
        b"file": Entry(
            b"file",
            EntryKind.FILE,
            size=5,
            mtime_ns=1_700_000_000_123_456_789,
            mode=0o4640,
            uid=os.getuid(),
            gid=found.st_gid,
            etag=f"{found.st_ctime_ns:x}",
        )
    }


def test_links_are_given_as_they_are_written_and_specials_are_named(tmp_path: Path) -> None:
    make_links_and_specials(tmp_path)
    found = walked(tmp_path)
    assert {path: entry.target for path, entry in found.items() if entry.kind is EntryKind.SYMLINK} == {
        b"out": b"/etc",
        b"loop": b".",
        b"dangling": b"nowhere-\xff",
    }
    assert {path: entry.target for path, entry in found.items() if entry.kind is EntryKind.HARDLINK} == {
        b"second": b"first",
        b"third": b"first",
    }
    assert {path for path, entry in found.items() if entry.kind is EntryKind.SPECIAL} == {b"pipe", b"socket"}
    assert found[b"setuid"].mode == 0o4755


def test_file_changed_and_dated_back_has_another_etag(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    before = walked(tmp_path)[b"file"]
    file.write_bytes(b"54321")
    os.utime(file, ns=(before.mtime_ns, before.mtime_ns))
    after = walked(tmp_path)[b"file"]
    assert (after.size, after.mtime_ns) == (before.size, before.mtime_ns)
    assert after.etag != before.etag


def test_patterns_decide_what_is_walked_and_an_excluded_folder_is_not_entered(tmp_path: Path) -> None:
    make_hostile_tree(tmp_path)
    assert walked(tmp_path, Selection(("a/**",), ("a/b/**",))).keys() == {b"a", b"a/b", b"a/inner"}
    assert walked(tmp_path, Selection(("**",), ("**/*",))) == {}


def test_tree_of_500_levels_is_walked_with_few_descriptors(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for level in range(500):
        os.close(os.open(f"file-{level}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(os.open(f"z-{level}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("l" * 30, dir_fd=here)
        below = os.open("l" * 30, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    already = open_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (already + 100, limits[1]))
    try:
        found = walked(tmp_path)
        with LocalTreeTarget(tmp_path).connect() as tree:
            deepest = max(found.values(), key=lambda entry: entry.path.count(b"/"))
            assert tree.look_again(deepest.path) == deepest
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(found) == 1500
    subprocess.run(["rm", "-rf", str(tmp_path / ("l" * 30))], check=True)


def test_tree_of_50000_files_takes_memory_for_one_folder_only(tmp_path: Path) -> None:
    for folder in range(50):
        (tmp_path / f"folder-{folder}").mkdir()
        for file in range(1000):
            os.close(os.open(tmp_path / f"folder-{folder}" / f"file-{file}", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    try:
        with LocalTreeTarget(tmp_path).connect() as tree:
            count = sum(1 for _ in tree.walk())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 50_050
    assert peak < 1_000_000


def test_hard_links_whose_names_all_came_are_forgotten(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}-a").touch()
        (tmp_path / f"{number}-b").hardlink_to(tmp_path / f"{number}-a")
    tracemalloc.start()
    try:
        with LocalTreeTarget(tmp_path).connect() as tree:
            kinds = [entry.kind for entry in tree.walk()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (kinds.count(EntryKind.FILE), kinds.count(EntryKind.HARDLINK)) == (2000, 2000)
    assert peak < 700_000


def test_look_again_tells_what_changed_vanished_or_became_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "file"
    file.write_bytes(b"1")
    before = walked(tmp_path)[b"folder/file"]
    with LocalTreeTarget(tmp_path).connect() as tree:
        assert tree.look_again(b"folder/file") == before
        file.write_bytes(b"12")
        assert tree.look_again(b"folder/file") != before
        file.unlink()
        assert tree.look_again(b"folder/file") is None
        file.symlink_to("/etc/passwd")
        again = tree.look_again(b"folder/file")
        assert again is not None and again.kind is EntryKind.SYMLINK
        file.unlink()
        (tmp_path / "folder").rmdir()
        (tmp_path / "folder").symlink_to("/etc")
        assert tree.look_again(b"folder/passwd") is None


@pytest.mark.parametrize("replacement", ["link", "pipe", "socket", "folder"])
def test_file_that_something_else_took_the_place_of_is_not_read_and_nothing_hangs(
    tmp_path: Path, replacement: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    with LocalTreeTarget(tmp_path).connect() as tree:
        (entry,) = tree.walk()
        file.unlink()
        if replacement == "folder":
            file.mkdir()
        elif replacement == "link":
            file.symlink_to("/etc/passwd")
        else:
            make_links_and_specials(tmp_path)
            (tmp_path / replacement).rename(file)
        with pytest.raises(EntryChanged, match="'file' in .* no longer a file"):
            tree.open(entry)


def test_folder_swapped_for_a_link_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    top = tmp_path / "top"
    (top / "folder").mkdir(parents=True)
    (top / "folder" / "secret").write_bytes(b"1")
    with LocalTreeTarget(top).connect() as tree:
        walk = tree.walk()
        assert next(walk).path == b"folder"
        (top / "folder").rename(tmp_path / "moved")
        (top / "folder").symlink_to(outside)
        assert list(walk) == []
        with pytest.raises(EntryMissing):
            tree.open(Entry(b"folder/secret", EntryKind.FILE))


def test_missing_entry_and_missing_top_are_said_so(tmp_path: Path) -> None:
    with LocalTreeTarget(tmp_path).connect() as tree, pytest.raises(EntryMissing):
        tree.open(Entry(b"gone", EntryKind.FILE))
    (tmp_path / "file").touch()
    for folder in ("gone", "file"):
        with (
            pytest.raises(SourceMissing, match="There is no folder"),
            LocalTreeTarget(tmp_path / folder).connect(),
        ):
            pass


def test_link_as_top_is_followed(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "file").touch()
    (tmp_path / "current").symlink_to("top")
    assert walked(tmp_path / "current").keys() == {b"file"}


_AS_USER = """
import os, pwd, sys
from pathlib import Path
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import SourceDenied
if os.geteuid() == 0:
    user = pwd.getpwnam(sys.argv[2])
    os.setgroups([]); os.setgid(user.pw_gid); os.setuid(user.pw_uid)
with LocalTreeTarget(Path(sys.argv[1])).connect() as tree:
    for attempt in (lambda: list(tree.walk()), lambda: tree.open(next(tree.walk()))):
        try:
            attempt()
        except SourceDenied as error:
            assert "\\n  " in str(error), "no hint"
            sys.stdout.buffer.write(error.message.encode() + b"\\0")
"""


def test_what_may_not_be_read_is_denied_by_its_escaped_name() -> None:
    # Not below pytest's own folder, which only its owner may enter.
    with account() as user, tempfile.TemporaryDirectory() as above:
        top = Path(above) / "top"
        Path(above).chmod(0o755)
        top.mkdir()
        (top / "a").write_bytes(b"1")
        (top / "a").chmod(0)
        (top / os.fsdecode(b"folder\n\x1b[31m\xff")).mkdir(0)
        done = subprocess.run(
            [sys.executable, "-c", _AS_USER, str(top), user], capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    said = done.stdout.decode().split("\0")
    assert r"'folder\n\x1b[31m\udcff' in file://" in said[0]
    assert "may not be read" in said[0]
    assert "'a' in file://" in said[1]


def test_mount_point_is_refused_unless_excluded(tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(mounted)], check=False).returncode
    ):
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(SourceError, match="'mounted' in .* is another file system"):
            walked(tmp_path)
        assert walked(tmp_path, Selection(("**",), ("mounted",))) == {}
        assert walked(tmp_path, Selection(("**",), ("mounted/**",))).keys() == {b"mounted"}
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    make_hostile_tree(tmp_path)
    before = open_descriptors()
    with LocalTreeTarget(tmp_path).connect() as tree:
        contents(tree)
        walk = tree.walk()
        next(walk)
        walk.close()  # type: ignore[attr-defined]
    assert open_descriptors() == before


def test_target_crosses_to_another_process() -> None:
    target = LocalTreeTarget(Path("/srv"), Selection(("a",), ("b",)))
    assert pickle.loads(pickle.dumps(target)) == target


# Captured files

MOMENT = dt.datetime(2026, 11, 24, 1, 15, 0, 123456, tzinfo=dt.UTC)


def test_captured_files_are_a_tree_that_shows_names_and_sizes_only() -> None:
    target = CapturedTreeTarget({b"b/c": b"S3CRET", b"a": b""}, MOMENT)
    assert repr(target) == "CapturedTreeTarget('b/c': 6 bytes, 'a': 0 bytes)"
    with target.connect() as tree:
        entries = list(tree.walk())
        assert in_walk_order(entries)
        assert [(entry.path, entry.kind, entry.size) for entry in entries] == [
            (b"a", EntryKind.FILE, 0),
            (b"b", EntryKind.DIRECTORY, 0),
            (b"b/c", EntryKind.FILE, 6),
        ]
        assert entries[0].mtime_ns == 1_795_482_900_123_456_000
        assert contents(tree) == target.files
        assert tree.look_again(b"gone") is None
        with pytest.raises(EntryMissing):
            tree.open(Entry(b"gone", EntryKind.FILE))
    assert pickle.loads(pickle.dumps(target)) == target


@pytest.mark.parametrize("paths", [[b""], [b"a//b"], [b"../a"], [b"/a"], [b"a", b"a/b"], [b"a\0"]])
def test_captured_files_with_impossible_paths_are_refused(paths: list[bytes]) -> None:
    with pytest.raises(ValueError, match="is"):
        CapturedTreeTarget(dict.fromkeys(paths, b""), MOMENT)

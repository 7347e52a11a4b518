"""Trees with every kind of entry and every hostile name (F43, F44), to be walked by any adapter."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lifeboat.adapters.tree import Entry, EntryKind, Tree, walk_order

HOSTILE_NAMES = [
    b"-rf",
    b"new\nline",
    b"escape\x1b[31m",
    b"no-utf8-\xff\xfe",
    b"back\\slash",
    b"x" * 255,
    b"Case",
    b"case",
    b"CASE",
    b" leading and trailing ",
    b"*?[a]",
    b"...",
    b"~",
    "umlaut-ä".encode(),
    "umlaut-a\u0308".encode(),
    b"percent%2Fslash",
    b"a-b",
    b"a.b",
    b"a b",
]


def make_hostile_tree(top: Path) -> dict[bytes, bytes]:
    """Folders and files of hostile names below ``top``; content by path."""
    files = {name: b"content of " + name for name in HOSTILE_NAMES}
    files |= {b"folder " + name[:200] + b"/" + name: name for name in HOSTILE_NAMES}
    files |= {b"a/inner": b"1", b"a/b/c": b"2", b"empty": b""}
    for path, content in files.items():
        target = top / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return files


def make_links_and_specials(top: Path) -> None:
    """A link out of the tree, a loop, a dangling one, hard links, a FIFO, a socket, setuid."""
    (top / "out").symlink_to("/etc")
    (top / "loop").symlink_to(".")
    (top / "dangling").symlink_to(os.fsdecode(b"nowhere-\xff"))
    (top / "first").write_bytes(b"linked")
    (top / "second").hardlink_to(top / "first")
    (top / "third").hardlink_to(top / "first")
    (top / "setuid").write_bytes(b"s")
    (top / "setuid").chmod(0o4755)
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as bound, suppress(OSError):
        bound.bind(str(top / "socket"))


def content_of(tree: Tree, entry: Entry, size: int = 100_000) -> bytes:
    file = tree.open(entry)
    try:
        return b"".join(iter(lambda: file.read(size), b""))
    finally:
        file.close()


def contents(tree: Tree) -> dict[bytes, bytes]:
    return {entry.path: content_of(tree, entry) for entry in tree.walk() if entry.kind is EntryKind.FILE}


def in_walk_order(entries: Iterable[Entry]) -> bool:
    keys = [walk_order(entry.path) for entry in entries]
    return keys == sorted(keys) and len(set(keys)) == len(keys)

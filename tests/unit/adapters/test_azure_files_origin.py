"""The shares of an account as one frozen tree: walked, read, compared with the policy, released."""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.storage.fileshare import (
    AccountSasPermissions,
    ResourceTypes,
    generate_account_sas,
)
from support.filerest import Fault, FileRestServer, Share, running_server

from lifeboat.adapters.azure_files_origin import STALE, AzureFilesOrigin
from lifeboat.adapters.azure_files_share import AccountKey, AzureShare, SharedAccessSignature, SnapshotId
from lifeboat.adapters.azure_files_tree import AzureShareTarget
from lifeboat.adapters.tree import Entry, EntryKind, walk_order
from lifeboat.errors import (
    ConfigurationError,
    EntryChanged,
    EntryMissing,
    SnapshotLimitReached,
    SourceDenied,
    SourceMissing,
)
from lifeboat.model.patterns import Selection

OURS = {"owner": "lifeboat", "environment": "production", "source": "main-documents"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileRestServer]:
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def documents(server: FileRestServer) -> Share:
    return server.share("documents")


@pytest.fixture
def images(server: FileRestServer) -> Share:
    return server.share("images")


def put(share: Share, path: str, content: bytes = b"content") -> Path:
    target = share.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def at(server: FileRestServer, name: str) -> AzureShare:
    key = AccountKey(server.account_name, server.account_key)
    return AzureShare(server.url, name, key, first_wait=0.01, retries=1)


def origin(server: FileRestServer, *names: str, **options: Any) -> AzureFilesOrigin:
    shares = tuple(at(server, name) for name in names or ("documents", "images"))
    return AzureFilesOrigin(shares, **{"rule": "own", "environment": "production", "source": "x", **options})


def walked(of: AzureFilesOrigin) -> dict[bytes, bytes]:
    """Every path with its content; that of folders is empty."""
    with of.frozen() as view, view.target.connect() as tree:
        return {
            entry.path: tree.open(entry).read(100) if entry.kind is EntryKind.FILE else b""
            for entry in tree.walk()
        }


# One tree of several shares


def test_all_shares_are_frozen_before_anything_is_read_and_released_at_the_end(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    paths = [put(documents, "a/file", b"then"), put(images, "b/image", b"then")]
    put(images, "b/empty", b"")
    with origin(server).frozen() as view:
        for path in paths:
            path.write_bytes(b"now")
        put(documents, "new")
        moments = [SnapshotId(name).taken_at for share in (documents, images) for name in share.snapshots]
        assert view.data_timestamp == min(moments)
        assert view.findings == ()
        with view.target.connect() as tree:
            found = {entry.path: tree.open(entry).read(9) for entry in tree.walk() if entry.kind == "file"}
        assert found == {b"documents/a/file": b"then", b"images/b/image": b"then", b"images/b/empty": b""}
    assert not documents.snapshots
    assert not images.snapshots


def test_target_opens_the_same_snapshots_wherever_it_is_sent_and_makes_none(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    path = put(documents, "file", b"then")
    with origin(server).frozen() as view:
        path.write_bytes(b"now")
        server.counts.clear()
        with pickle.loads(pickle.dumps(view.target)).connect() as tree:
            assert tree.open(Entry(b"documents/file", EntryKind.FILE)).read(9) == b"then"
        assert set(server.counts) == {"get-file"}


def test_walk_costs_a_request_a_folder_and_is_in_walk_order(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    for name in ("b/1", "b c/2", "b.d/3", "a", "Z/ä", "Z/z.", "b/x/y"):
        put(documents, name)
    with origin(server).frozen() as view, view.target.connect() as tree:
        server.counts.clear()
        entries = list(tree.walk())
        assert [entry.path for entry in entries] == sorted((entry.path for entry in entries), key=walk_order)
        assert b"documents/Z/z." in {entry.path for entry in entries}
        assert server.counts == {"list-entries": 7}
        assert [tree.look_again(entry.path) for entry in entries] == entries


def test_walk_of_a_large_folder_costs_a_request_a_page(server: FileRestServer, documents: Share) -> None:
    for number in range(5001):
        (documents.folder / f"{number}").touch()
    with AzureShareTarget(at(server, "documents")).connect() as tree:
        assert sum(1 for _ in tree.walk()) == 5001
    assert server.counts == {"list-entries": 2}


def test_patterns_are_those_of_the_whole_tree_and_an_excluded_folder_is_never_listed(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    for name in ("a/file.pdf", "a/file.tmp", "cache/x.pdf"):
        put(documents, name)
        put(images, name)
    selection = Selection(("**/*.pdf", "images/**/*.tmp"), ("documents/cache", "images/a/*.pdf"))
    found = walked(origin(server, selection=selection))
    assert [path for path, content in found.items() if content] == [
        b"documents/a/file.pdf",
        b"images/a/file.tmp",
        b"images/cache/x.pdf",
    ]
    # documents, documents/a, images, images/a, images/cache
    assert server.counts["list-entries"] == 5


def test_patterns_that_leave_nothing_of_a_share_are_refused_before_a_snapshot_is_taken(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    for selection in (Selection(("documents/**",)), Selection(exclude=("images",))):
        with (
            pytest.raises(ConfigurationError, match="nothing of the file share 'images'"),
            origin(server, selection=selection).frozen(),
        ):
            pass
    assert not server.counts


# Against the policy (P1)


def test_share_that_the_policy_does_not_list_is_a_finding(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    for name in ("scratch", "forgotten"):
        server.share(name)
    with origin(server, skipped=("scratch",)).frozen() as view:
        assert [(found.code, found.clause) for found in view.findings] == [("share-not-in-policy", "P1")]
        assert "'forgotten'" in view.findings[0].message


def test_listed_share_that_is_missing_fails_before_a_snapshot_is_taken(
    server: FileRestServer, documents: Share
) -> None:
    with pytest.raises(SourceMissing, match="'images'"), origin(server).frozen():
        pass
    assert server.counts == {"list-shares": 1}


def test_account_that_may_not_be_listed_is_a_finding_and_a_missing_share_fails_all_the_same(
    server: FileRestServer, documents: Share
) -> None:
    server.inject(Fault("list-shares", "forbidden", times=99))
    with origin(server, "documents", rule="none").frozen() as view:
        assert [(found.code, found.clause) for found in view.findings] == [("shares-not-compared", "P1")]
    with origin(server, "documents").frozen() as view:
        assert [found.code for found in view.findings] == ["shares-not-compared", "snapshots-left-behind"]
    for rule in ("own", "none"):
        with pytest.raises(SourceMissing), origin(server, rule=rule).frozen():
            pass
    assert not documents.snapshots


def test_account_that_lets_us_in_nowhere_is_denied_and_no_finding(
    server: FileRestServer, documents: Share
) -> None:
    stranger = AzureShare(server.url, "documents", AccountKey(server.account_name, "c3RyYW5nZXI="))
    for rule in ("own", "azure-backup", "none"):
        denied = replace(origin(server, rule=rule), shares=(stranger,))
        with pytest.raises(SourceDenied), denied.frozen():
            pass


def test_reading_from_azure_backup_needs_the_right_to_read_and_nothing_more(
    server: FileRestServer, documents: Share
) -> None:
    put(documents, "a/file", b"then")
    documents.freeze({"Initiator": "AzureBackup"})
    put(documents, "a/file", b"now")
    token = generate_account_sas(
        server.account_name,
        server.account_key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions.from_string("rl"),
        dt.datetime.now(dt.UTC) + dt.timedelta(hours=1),
    )
    reader = replace(at(server, "documents"), credential=SharedAccessSignature(token))
    theirs = replace(origin(server, rule="azure-backup"), shares=(reader,))
    assert walked(theirs) == {b"documents": b"", b"documents/a": b"", b"documents/a/file": b"then"}
    with pytest.raises(SourceDenied), replace(theirs, rule="own").frozen():
        pass


# Snapshots that are left, and that go wrong


def test_what_dead_runs_left_behind_is_reaped_in_every_share(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    long_ago = dt.datetime.now(dt.UTC) - STALE - dt.timedelta(minutes=1)
    documents.freeze(OURS, long_ago)
    images.freeze(OURS, long_ago)
    young = images.freeze(OURS, long_ago + dt.timedelta(minutes=2))
    with origin(server).frozen() as view:
        assert (len(documents.snapshots), len(images.snapshots)) == (1, 2)
        assert view.findings == ()
    assert list(images.snapshots) == [young.id]


def test_leftover_that_is_leased_is_a_finding_and_the_backup_goes_on(
    server: FileRestServer, documents: Share
) -> None:
    documents.freeze(OURS, dt.datetime.now(dt.UTC) - 2 * STALE).leased = True
    with origin(server, "documents").frozen() as view:
        assert [found.code for found in view.findings] == ["snapshots-left-behind"]
        assert "leased" in view.findings[0].message


def test_share_that_can_hold_no_more_snapshots_leaves_none_of_the_others_behind(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    moment = dt.datetime.now(dt.UTC)
    for number in range(200):
        images.freeze({}, moment + dt.timedelta(seconds=number))
    with pytest.raises(SnapshotLimitReached, match="'images'"), origin(server).frozen():
        pass
    assert not documents.snapshots


def test_snapshot_that_cannot_be_released_does_not_keep_the_others(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    with pytest.raises(SourceDenied), origin(server).frozen():
        # The last that was taken is the first to be released.
        server.inject(Fault("delete-snapshot", "forbidden"))
    assert (len(documents.snapshots), len(images.snapshots)) == (0, 1)


def test_snapshot_deleted_under_us_ends_the_walk_and_the_reading(
    server: FileRestServer, documents: Share, images: Share
) -> None:
    put(documents, "a/file", b"x" * 5 * 2**20)
    with origin(server).frozen() as view, view.target.connect() as tree:
        entries = list(tree.walk())
        file = tree.open(next(entry for entry in entries if entry.kind is EntryKind.FILE))
        documents.thaw(next(iter(documents.snapshots)))
        with pytest.raises(SourceMissing, match="ShareSnapshotNotFound"):
            while file.read(2**20):
                pass
        with pytest.raises(SourceMissing):
            list(tree.walk())
        with pytest.raises(SourceMissing):
            tree.look_again(b"documents/a/file")


def test_folder_that_vanishes_from_a_snapshot_is_never_left_out(
    server: FileRestServer, documents: Share
) -> None:
    put(documents, "a/file")
    with origin(server, "documents").frozen() as view, view.target.connect() as tree:
        [snapshot] = documents.snapshots.values()
        (snapshot.folder / "a/file").unlink()
        walk = tree.walk()
        assert [next(walk).path, next(walk).path] == [b"documents", b"documents/a"]
        (snapshot.folder / "a").rmdir()
        with pytest.raises(EntryMissing):
            next(walk)


# Live shares


def test_live_share_may_lose_folders_and_files_while_it_is_read(
    server: FileRestServer, documents: Share
) -> None:
    path = put(documents, "a/file")
    grows = put(documents, "b", b"x" * 5 * 2**20)
    with origin(server, "documents", rule="none").frozen() as view, view.target.connect() as tree:
        entries = {entry.path: entry for entry in tree.walk()}
        path.unlink()
        with pytest.raises(EntryMissing):
            tree.open(entries[b"documents/a/file"])
        assert tree.look_again(b"documents/a/file") is None
        file = tree.open(entries[b"documents/b"])
        grows.write_bytes(b"y" * 6 * 2**20)
        data = b"".join(iter(lambda: file.read(2**20), b""))
        # Never a mixture: it ends where the next range would be another file's, and then is looked at again.
        assert set(data) == set(b"x")
        assert tree.look_again(b"documents/b") != entries[b"documents/b"]


def test_live_folder_that_vanishes_after_it_was_listed_is_left_out(
    server: FileRestServer, documents: Share
) -> None:
    put(documents, "z")
    folder = put(documents, "a/file").parent

    def vanish() -> None:
        (folder / "file").unlink()
        folder.rmdir()

    server.inject(Fault("list-entries", "first", path="a", action=vanish))
    found = walked(origin(server, "documents", rule="none"))
    assert set(found) == {b"documents", b"documents/a", b"documents/z"}


def test_file_of_a_snapshot_that_is_not_what_was_listed_is_refused(
    server: FileRestServer, documents: Share
) -> None:
    put(documents, "file", b"listed")
    with origin(server, "documents").frozen() as view, view.target.connect() as tree:
        entry = next(entry for entry in tree.walk() if entry.kind is EntryKind.FILE)
        [snapshot] = documents.snapshots.values()
        (snapshot.folder / "file").write_bytes(b"something else")
        with pytest.raises(EntryChanged):
            tree.open(entry)


# Names


def test_names_that_differ_only_by_case_are_as_the_share_has_them(
    server: FileRestServer, documents: Share
) -> None:
    """A share keeps the case and has each name once; asked for in another case, it gives the same file."""
    put(documents, "Offer.PDF", b"theirs")
    with origin(server, "documents").frozen() as view, view.target.connect() as tree:
        assert [entry.path for entry in tree.walk()] == [b"documents", b"documents/Offer.PDF"]
        found = tree.look_again(b"documents/offer.pdf")
        assert found is not None
        assert found.size == 6


# Another client against the same server: it is not shaped to ours

ANOTHER_CLIENT = """
import json, sys
import opendal
settings = json.load(sys.stdin)
other = opendal.Operator("azfile", share_name="documents", root="/", **settings)
other.create_dir("a/b c/")
other.write("a/b c/ä.txt", b"written by the other")
paths = sorted(entry.path for entry in other.scan("/"))
large = len(other.read("large"))
try:
    other.stat("nothing")
except opendal.exceptions.NotFound:
    missing = True
stranger = opendal.Operator("azfile", share_name="documents", root="/", **settings | {"account_key": "c3RyYW5nZXI="})
try:
    stranger.read("large")
except opendal.exceptions.PermissionDenied:
    denied = True
print(json.dumps({"paths": paths, "large": large, "missing": missing, "denied": denied}))
"""


def test_independent_client_sees_what_ours_sees(server: FileRestServer, documents: Share) -> None:
    """In a process of its own: it waits for answers without letting other threads run, so not for this process's."""
    put(documents, "large", os.urandom(5 * 2**20))
    settings = {
        "endpoint": server.url,
        "account_name": server.account_name,
        "account_key": server.account_key,
    }

    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_CLIENT],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert (theirs["large"], theirs["missing"], theirs["denied"]) == (5 * 2**20, True, True)
    ours = walked(origin(server, "documents"))
    assert ours["documents/a/b c/ä.txt".encode()] == b"written by the other"
    assert {f"documents/{path}".rstrip("/").encode() for path in theirs["paths"]} >= set(ours) - {
        b"documents"
    }

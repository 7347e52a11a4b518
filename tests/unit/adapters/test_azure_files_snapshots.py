"""Share snapshots: our own tagged, used and deleted; Azure Backup's; limits and leases; and never a share's end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.storage.fileshare import ShareServiceClient
from support.filerest import Fault, FileRestServer, Share, running_server

from lifeboat.adapters import azure_files_client
from lifeboat.adapters.azure_files import AzureShareFileSystem
from lifeboat.adapters.azure_files_share import AccountKey, AzureShare, SnapshotId
from lifeboat.adapters.azure_files_snapshots import ShareSnapshots, snapshot_of_recovery_point, view
from lifeboat.errors import (
    ConfigurationError,
    Refused,
    SnapshotLimitReached,
    SourceDenied,
    SourceError,
    SourceMissing,
)

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
OURS = {"owner": "lifeboat", "environment": "production", "source": "main-documents"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileRestServer]:
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def share(server: FileRestServer) -> Share:
    made = server.share("documents")
    (made.folder / "file").write_bytes(b"then")
    return made


@pytest.fixture
def at(server: FileRestServer) -> AzureShare:
    key = AccountKey(server.account_name, server.account_key)
    return AzureShare(server.url, "documents", key, first_wait=0.01, retries=1)


def taken(at: AzureShare, rule: Any = "own") -> Any:
    return view(at, rule, environment="production", source="main-documents")


def test_own_snapshot_shows_the_moment_it_was_taken_and_is_deleted_afterwards(
    share: Share, at: AzureShare
) -> None:
    with taken(at) as seen:
        (share.folder / "file").write_bytes(b"now")
        assert AzureShareFileSystem.of(seen.share).cat_file("file") == b"then"
        [found] = share.snapshots.values()
        assert found.metadata == OURS
        assert seen.data_timestamp == SnapshotId(found.id).taken_at
        assert abs(dt.datetime.now(dt.UTC) - seen.data_timestamp) < dt.timedelta(minutes=1)
    assert not share.snapshots
    assert share.folder.exists()


def test_own_snapshot_is_deleted_when_the_work_fails(share: Share, at: AzureShare) -> None:
    with pytest.raises(ZeroDivisionError), taken(at):
        raise ZeroDivisionError
    assert not share.snapshots


def test_snapshot_that_cannot_be_deleted_does_not_hide_what_ended_the_work(
    server: FileRestServer, share: Share, at: AzureShare
) -> None:
    server.inject(Fault("delete-snapshot", "forbidden"))
    with pytest.raises(ZeroDivisionError) as caught, taken(at):
        raise ZeroDivisionError
    [left] = share.snapshots
    assert left in caught.value.__notes__[0]

    server.inject(Fault("delete-snapshot", "forbidden"))
    with pytest.raises(SourceDenied), taken(at):
        pass


def test_own_snapshot_that_somebody_else_deleted_is_released_all_the_same(
    share: Share, at: AzureShare
) -> None:
    with taken(at):
        share.thaw(next(iter(share.snapshots)))


def test_stale_snapshots_of_ours_are_reaped_and_nobody_elses(share: Share, at: AzureShare) -> None:
    old, young = NOW - dt.timedelta(days=8), NOW - dt.timedelta(days=6)
    stale = share.freeze(OURS, old)
    kept = {
        share.freeze(OURS, young).id,
        share.freeze({**OURS, "environment": "trial"}, old + dt.timedelta(seconds=1)).id,
        share.freeze({**OURS, "owner": "somebody"}, old + dt.timedelta(seconds=2)).id,
        share.freeze({"Initiator": "AzureBackup"}, old + dt.timedelta(seconds=3)).id,
        share.freeze({}, old + dt.timedelta(seconds=4)).id,
    }
    with ShareSnapshots(at) as snapshots:
        assert snapshots.reap("production", dt.timedelta(days=7), NOW) == (SnapshotId(stale.id),)
    assert set(share.snapshots) == kept


def test_snapshots_of_a_share_whose_name_begins_alike_are_another_shares(
    server: FileRestServer, share: Share, at: AzureShare
) -> None:
    server.share("documents-old").freeze(OURS, NOW)
    mine = share.freeze(OURS, NOW)
    with ShareSnapshots(at) as snapshots:
        assert [found.id.text for found in snapshots.list()] == [mine.id]
        assert len(snapshots.reap("production", dt.timedelta(0), NOW + dt.timedelta(days=1))) == 1
    assert len(server.shares.get("documents-old").snapshots) == 1


def test_share_with_200_snapshots_is_told_with_a_way_out(share: Share, at: AzureShare) -> None:
    for number in range(200):
        share.freeze({}, NOW + dt.timedelta(minutes=number))
    with pytest.raises(SnapshotLimitReached, match="200") as caught, taken(at):
        pass
    assert "azure-backup" in caught.value.hint
    assert len(share.snapshots) == 200


def test_newest_snapshot_of_azure_backup_is_read_with_reading_requests_alone(
    server: FileRestServer, share: Share, at: AzureShare
) -> None:
    share.freeze({"Initiator": "AzureBackup"}, NOW - dt.timedelta(days=1))
    (share.folder / "file").write_bytes(b"later")
    newest = share.freeze({"Initiator": "AzureBackup"}, NOW)
    share.freeze({"Initiator": "Manual"}, NOW + dt.timedelta(hours=1))
    (share.folder / "file").write_bytes(b"now")

    with taken(at, "azure-backup") as seen:
        assert seen.share.snapshot == SnapshotId(newest.id)
        assert seen.data_timestamp == NOW
        assert AzureShareFileSystem.of(seen.share).cat_file("file") == b"later"
    assert set(server.counts) == {"list-shares", "get-file"}
    assert len(share.snapshots) == 3


def test_share_without_a_snapshot_of_azure_backup_is_never_read_live_instead(
    share: Share, at: AzureShare
) -> None:
    share.freeze(OURS, NOW)
    with pytest.raises(SourceMissing, match="none of them is Azure Backup's"), taken(at, "azure-backup"):
        pass


def test_live_share_is_as_old_as_the_service_says(share: Share, at: AzureShare) -> None:
    with taken(at, "none") as seen:
        assert seen.share.snapshot is None
        assert abs(dt.datetime.now(dt.UTC) - seen.data_timestamp) < dt.timedelta(minutes=1)
    assert not share.snapshots


def test_share_that_is_not_there_is_missing(server: FileRestServer, at: AzureShare) -> None:
    for rule in ("own", "azure-backup", "none"):
        with pytest.raises(SourceMissing), taken(at, rule):
            pass


def test_leased_snapshot_is_left_to_its_owner(share: Share, at: AzureShare) -> None:
    theirs = share.freeze({}, NOW)
    theirs.leased = True
    with ShareSnapshots(at) as snapshots, pytest.raises(SourceDenied, match="leased"):
        snapshots.delete(SnapshotId(theirs.id))
    assert share.snapshots


@pytest.mark.parametrize("nothing", [None, "", "2026-11-24T12:00:00.0000000Z"])
def test_deletion_without_the_id_of_a_snapshot_never_leaves(
    server: FileRestServer, share: Share, at: AzureShare, nothing: Any
) -> None:
    with ShareSnapshots(at) as snapshots, pytest.raises(Refused):
        snapshots.delete(nothing)
    with pytest.raises(ConfigurationError):
        SnapshotId("")
    assert not server.counts


def test_client_stops_every_request_that_would_delete_a_share(
    server: FileRestServer, share: Share, at: AzureShare
) -> None:
    service = azure_files_client.service(at)
    for delete in (
        lambda: service.delete_share("documents"),
        lambda: service.get_share_client("documents").delete_share(),
        lambda: service.get_share_client("documents").delete_share(delete_snapshots="include"),
        lambda: service.get_share_client("documents", snapshot="").delete_share(),
    ):
        with pytest.raises(Refused, match="would delete a whole file share"):
            delete()
    assert not server.counts
    # The test would see it: Microsoft's own client does it.
    ShareServiceClient(server.url, at.credential.for_client()).delete_share("documents")
    assert server.counts == {"delete-share": 1}


def test_recovery_point_names_the_snapshot_of_this_share_only() -> None:
    uri = "https://a.file.core.windows.net/documents?sharesnapshot=2026-11-23T07:24:11.0000000Z"
    assert str(snapshot_of_recovery_point(uri, "documents")) == "2026-11-23T07:24:11.0000000Z"
    for wrong, share in ((uri, "images"), (uri.partition("?")[0], "documents")):
        with pytest.raises(SourceError, match="does not name a snapshot"):
            snapshot_of_recovery_point(wrong, share)


def test_snapshots_are_those_of_the_live_share_also_when_one_is_given(share: Share, at: AzureShare) -> None:
    frozen = replace(at, snapshot=SnapshotId(share.freeze({}, NOW).id))
    with taken(frozen) as seen:
        assert seen.share.snapshot != frozen.snapshot
    assert len(share.snapshots) == 1

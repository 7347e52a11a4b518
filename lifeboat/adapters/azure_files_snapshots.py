"""Snapshots of an Azure file share: our own, and those that Azure Backup takes (sources §1).

A snapshot of ours says so in its metadata, and only such a one is ever deleted. Nothing here can delete a share: a
deletion takes a ``SnapshotId``, which cannot be empty, and the client stops any other (``never_delete_a_share``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from lifeboat import clock
from lifeboat.adapters.azure_files_share import AzureShare, SnapshotId, connected
from lifeboat.errors import LifeboatError, Refused, SourceError, SourceMissing

_OWNER: Final = "lifeboat"
AZURE_BACKUP: Final = "AzureBackup"
"""What Azure Backup leaves as ``Initiator`` in the metadata of its snapshots; the portal shows it."""

SnapshotRule = Literal["own", "azure-backup", "none"]


@dataclass(frozen=True)
class ShareSnapshot:
    """One snapshot, as a listing tells it; names of ``metadata`` in lower case."""

    id: SnapshotId
    metadata: Mapping[str, str]

    @property
    def initiator(self) -> str:
        return self.metadata.get("initiator", "")

    def is_of(self, environment: str) -> bool:
        """Whether Lifeboat took it, for this environment."""
        return self.metadata.get("owner") == _OWNER and self.metadata.get("environment") == environment


@dataclass(frozen=True)
class View:
    """What to read: ``share`` is the snapshot, or the live share; ``data_timestamp`` by the service's clock."""

    share: AzureShare
    data_timestamp: dt.datetime


class ShareSnapshots:
    """The snapshots of one share. Close it, or use it in a ``with``."""

    def __init__(self, share: AzureShare) -> None:
        self.live = replace(share, snapshot=None)
        self._sdk = connected()
        self._service = self._sdk.service(self.live)

    def __enter__(self) -> ShareSnapshots:
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def list(self) -> tuple[ShareSnapshot, ...]:
        """All snapshots, oldest first."""
        with self._sdk.translated(self.live.label):
            # The service knows a prefix only: `docs` also brings `docs-old`.
            found = [
                ShareSnapshot(SnapshotId(item.snapshot), _lowered(item.metadata))
                for item in self._service.list_shares(
                    name_starts_with=self.live.share, include_snapshots=True, include_metadata=True
                )
                if item.name == self.live.share and item.snapshot
            ]
        return tuple(sorted(found, key=lambda snapshot: snapshot.id.text))

    def create(self, environment: str, source: str) -> SnapshotId:
        """A snapshot tagged as ours. Raises ``SnapshotLimitReached``, ``SourceMissing``, ``SourceDenied``."""
        tags = {"owner": _OWNER, "environment": environment, "source": source}
        with self._sdk.translated(self.live.label):
            made = self._service.get_share_client(self.live.share).create_snapshot(metadata=tags)
        return SnapshotId(made["snapshot"])

    def delete(self, snapshot: SnapshotId) -> None:
        """Delete this snapshot; raises ``SourceMissing`` if it is gone, ``SourceDenied`` if it is leased."""
        if not isinstance(snapshot, SnapshotId):
            raise Refused(
                f"{snapshot!r} is no id of a snapshot, and without one the share itself would be deleted.",
                hint="This is a defect of Lifeboat; nothing was deleted. Report it.",
            )
        frozen = replace(self.live, snapshot=snapshot)
        with self._sdk.translated(frozen.label):
            self._service.get_share_client(self.live.share, snapshot=snapshot.text).delete_share()

    def release(self, snapshot: SnapshotId) -> None:
        """Delete a snapshot that was used; one that is gone already is what was wanted."""
        try:
            self.delete(snapshot)
        except SourceMissing:
            return

    def reap(
        self, environment: str, older_than: dt.timedelta, now: dt.datetime | None = None
    ) -> tuple[SnapshotId, ...]:
        """Delete own snapshots of dead runs: tagged for this environment, and older than that; gives their ids."""
        before = (now or clock.utc_now()) - older_than
        stale = [found.id for found in self.list() if found.is_of(environment) and found.id.taken_at < before]
        for snapshot in stale:
            self.release(snapshot)
        return tuple(stale)

    def newest_of_azure_backup(self) -> SnapshotId:
        """Azure Backup's newest snapshot; reading rights suffice. Raises ``SourceMissing`` if there is none."""
        found = self.list()
        theirs = [
            snapshot.id for snapshot in found if snapshot.initiator.casefold() == AZURE_BACKUP.casefold()
        ]
        if not theirs:
            raise SourceMissing(
                f"{self.live.label} has {len(found)} snapshots, and none of them is Azure Backup's.",
                hint="Check that the share is protected in the Recovery Services vault with the snapshot tier, and "
                "that its first backup ran; or use `snapshot: own`.",
            )
        return theirs[-1]

    def service_time(self) -> dt.datetime:
        """The present instant by the service's clock, to the second, aware, in UTC."""
        seen: list[str] = []

        def note(response: Any) -> None:  # noqa: ANN401 - azure-core's PipelineResponse
            seen.append(response.http_response.headers.get("Date", ""))

        with self._sdk.translated(self.live.label):
            self._service.get_share_client(self.live.share).get_share_properties(raw_response_hook=note)
        try:
            return parsedate_to_datetime(seen[-1]).astimezone(dt.UTC)
        except ValueError as error:
            raise SourceError(
                f"{self.live.label} did not say what time it is there.",
                hint="Look for a proxy that removes headers.",
            ) from error


def snapshot_of_recovery_point(uri: str, share: str) -> SnapshotId:
    """The snapshot that a recovery point of Azure Backup names in its ``fileShareSnapshotUri``.

    ``https://<account>.file.core.windows.net/<share>?sharesnapshot=<id>``; raises ``SourceError`` for another share.
    """
    parts = urlsplit(uri)
    ids = parse_qs(parts.query).get("sharesnapshot", [])
    if parts.path.strip("/") != share or len(ids) != 1:
        raise SourceError(
            f"The recovery point does not name a snapshot of the file share {share!r}.",
            hint="Take the recovery point of the protected item that is this share.",
        )
    return SnapshotId(ids[0])


@contextmanager
def view(share: AzureShare, rule: SnapshotRule, *, environment: str, source: str) -> Iterator[View]:
    """What to read by the policy's ``snapshot:``; a snapshot of our own is deleted at the end, whatever happens."""
    with ShareSnapshots(share) as snapshots:
        if rule == "own":
            with _own(snapshots, environment, source) as own:
                yield View(replace(share, snapshot=own), own.taken_at)
        elif rule == "azure-backup":
            theirs = snapshots.newest_of_azure_backup()
            yield View(replace(share, snapshot=theirs), theirs.taken_at)
        else:
            yield View(snapshots.live, snapshots.service_time())


@contextmanager
def _own(snapshots: ShareSnapshots, environment: str, source: str) -> Iterator[SnapshotId]:
    own = snapshots.create(environment, source)
    try:
        yield own
    except BaseException as error:
        # What ended the work matters more than a deletion that failed; a later run reaps the snapshot.
        try:
            snapshots.release(own)
        except LifeboatError as second:
            error.add_note(f"The share snapshot {own} is left behind: {second.message}")
        raise
    snapshots.release(own)


def _lowered(metadata: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (metadata or {}).items()}

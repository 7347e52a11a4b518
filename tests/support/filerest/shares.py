"""Shares as folders: live trees, snapshots as copies, names without regard to case."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SNAPSHOT_LIMIT = 200


class Rejected(Exception):
    """An answer other than success: status and the service's own error code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass
class Snapshot:
    id: str
    folder: Path
    metadata: dict[str, str]
    leased: bool = False


@dataclass
class Share:
    """``folder`` holds the live files: tests may put there what they like."""

    name: str
    home: Path
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    encodings: dict[Path, str] = field(default_factory=dict)
    """Content-Encoding of files that were stored with one."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def folder(self) -> Path:
        return self.home / "live"

    def tree(self, snapshot: str | None) -> Path:
        if snapshot is None:
            return self.folder
        if snapshot not in self.snapshots:
            raise Rejected(404, "ShareSnapshotNotFound")
        return self.snapshots[snapshot].folder

    def freeze(self, metadata: dict[str, str], at: dt.datetime | None = None) -> Snapshot:
        """A new snapshot, by a client or, with ``at``, as if taken then."""
        with self.lock:
            if len(self.snapshots) >= SNAPSHOT_LIMIT:
                raise Rejected(409, "ShareSnapshotCountExceeded")
            moment = at or dt.datetime.now(dt.UTC)
            while (name := moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")) in self.snapshots:
                moment += dt.timedelta(microseconds=1)
            folder = self.home / "snapshots" / name
            shutil.copytree(self.folder, folder, symlinks=True)
            for path, encoding in list(self.encodings.items()):
                if path.is_relative_to(self.folder):
                    self.encodings[folder / path.relative_to(self.folder)] = encoding
            self.snapshots[name] = Snapshot(name, folder, metadata)
            return self.snapshots[name]

    def thaw(self, snapshot: str) -> None:
        with self.lock:
            self.tree(snapshot)
            if self.snapshots[snapshot].leased:
                raise Rejected(412, "LeaseIdMissing")
            shutil.rmtree(self.snapshots.pop(snapshot).folder)


@dataclass
class Shares:
    root: Path
    by_name: dict[str, Share] = field(default_factory=dict)

    def add(self, name: str) -> Share:
        if name in self.by_name:
            raise Rejected(409, "ShareAlreadyExists")
        share = Share(name, self.root / f"{name}-{uuid.uuid4().hex}")
        share.folder.mkdir(parents=True)
        self.by_name[name] = share
        return share

    def get(self, name: str) -> Share:
        if name not in self.by_name:
            raise Rejected(404, "ShareNotFound")
        return self.by_name[name]

    def remove(self, name: str) -> None:
        if self.get(name).snapshots:
            raise Rejected(409, "ShareHasSnapshots")
        shutil.rmtree(self.by_name.pop(name).home)


def find(top: Path, names: list[str]) -> Path:
    """The path of these names below ``top``, as they are really spelled; raises Rejected 404."""
    path = top
    for position, name in enumerate(names):
        spelled = _spelled(path, name)
        if spelled is None:
            raise Rejected(404, "ResourceNotFound" if position == len(names) - 1 else "ParentNotFound")
        path = path / spelled
    return path


def place(top: Path, names: list[str]) -> Path:
    """Where a new entry goes: its parent must exist, and an existing spelling is kept."""
    parent = find_parent(top, names)
    return parent / (_spelled(parent, names[-1]) or names[-1])


def find_parent(top: Path, names: list[str]) -> Path:
    try:
        parent = find(top, names[:-1])
    except Rejected as error:
        raise Rejected(404, "ParentNotFound") from error
    if not parent.is_dir():
        raise Rejected(404, "ParentNotFound")
    return parent


def _spelled(folder: Path, name: str) -> str | None:
    if os.path.lexists(folder / name):
        return name
    if not folder.is_dir():
        return None
    return next((other.name for other in folder.iterdir() if other.name.casefold() == name.casefold()), None)


@dataclass(frozen=True)
class Listed:
    name: str
    directory: bool
    size: int
    mtime_ns: int
    etag: str
    file_id: str


def listed(folder: Path) -> Iterator[Listed]:
    """The entries of a folder in the service's order."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        yield described(Path(entry.path))


def described(path: Path) -> Listed:
    status = path.stat()
    return Listed(
        path.name,
        path.is_dir(),
        0 if path.is_dir() else status.st_size,
        status.st_mtime_ns,
        # The same in the live share and in its snapshots, as long as the file is not written.
        f'"0x{status.st_mtime_ns:X}{status.st_size:X}"',
        str(status.st_ino),
    )


def file_time(mtime_ns: int) -> str:
    """Seven digits after the point, as the service writes instants."""
    seconds, rest = divmod(mtime_ns, 10**9)
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 100:07d}Z"


def from_file_time(text: str) -> int:
    """Nanoseconds since 1970 of ``file_time``'s text."""
    moment, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC).timestamp())
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0")[:9])

"""A folder of an Azure file share as the target of a restore.

A share knows folders and files with their mtimes: no links, no modes. It has locks for SMB's clients only, so whoever
goes on with an incomplete folder renames it first. Renaming a folder is one step of the service, and never replaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lifeboat.adapters.azure_files import AzureShareFileSystem
from lifeboat.adapters.azure_files_entries import checked, written_time
from lifeboat.adapters.azure_files_share import AzureShare, connected
from lifeboat.adapters.azure_files_tree import AzureShareTarget
from lifeboat.adapters.target_azure_files import AzureFiles
from lifeboat.adapters.target_errors import of_share, refused
from lifeboat.adapters.tree_target import Losses
from lifeboat.errors import ConfigurationError, EntryMissing, RestoreFailed
from lifeboat.model.share_names import ShareNames
from lifeboat.model.tree import Entry, EntryKind
from lifeboat.model.tree_target import Keeps


@dataclass(frozen=True)
class AzureRestoreTarget:
    """A folder of a live share that does not exist yet, or is empty, in one that exists.

    Raises ``ConfigurationError`` for a snapshot, and for the top of a share.
    """

    share: AzureShare
    folder: str

    def __post_init__(self) -> None:
        if self.share.snapshot or not self.folder.strip("/"):
            raise ConfigurationError(
                f"{self.share.label} itself is no folder that a restore can make.",
                hint="Name a new folder in the live share.",
            )

    @property
    def label(self) -> str:
        return f"folder {self.folder.strip('/')!r} of {self.share.label}"

    @property
    def name(self) -> bytes:
        return self.folder.strip("/").rpartition("/")[2].encode()

    @property
    def above(self) -> str:
        """The path of the folder that holds the target, empty for the share's top."""
        return self.folder.strip("/").rpartition("/")[0]

    def name_problems(self) -> ShareNames:
        # While it is written, the paths are longer than in the end.
        return ShareNames(f"{self.folder.strip('/')}.incomplete-xxxxxx/tree")

    def tree(self) -> AzureShareTarget:
        return AzureShareTarget(self.share, folder=self.folder.strip("/"))

    @contextmanager
    def connect(self) -> Iterator[AzureTarget]:
        """One connection pool. Raises ``TargetUnreachable``, ``TargetDenied``, and ``RestoreFailed`` when the folder
        above the target is missing."""
        files = AzureShareFileSystem.of(self.share)
        try:
            with of_share(self.label):
                if self.above and files.info(self.above)["type"] != "directory":
                    raise RestoreFailed(f"Above the {self.label} is no folder.", hint="Name another target.")
            yield AzureTarget(files, self.above, self.label)
        finally:
            files.close()


class AzureTarget:
    """``TargetSession`` over one share."""

    keeps = Keeps(symlinks=False, hard_links=False, modes=False)
    epoch = ""
    """What the service has answered is kept."""

    def __init__(self, files: AzureShareFileSystem, above: str, label: str) -> None:
        self._files = files
        self._above = above
        self._label = label
        self._translated = connected().translated
        self.losses = Losses()

    def look(self, path: bytes) -> EntryKind | None:
        with of_share(self._label):
            try:
                return self._kind(path)
            except EntryMissing:
                return None

    def names(self, folder: bytes) -> list[bytes]:
        with of_share(self._label):
            return [name for name, _ in self._listed(folder)]

    def measure(self, folder: bytes, *, sizes: bool) -> tuple[int, int]:  # noqa: ARG002 - they come with the names
        with of_share(self._label):
            found = list(self._listed(folder))
        return len(found), sum(size for _, size in found)

    def read(self, path: bytes) -> bytes:
        with of_share(self._label):
            return self._files.cat_file(self._place(path))

    def write(self, path: bytes, data: bytes) -> None:
        with of_share(self._label):
            self._files.put_chunks(self._place(path), len(data), [data])

    def make_folder(self, path: bytes, *, again: bool) -> None:
        if again and self.look(path) is EntryKind.DIRECTORY:
            return
        with of_share(self._label):
            self._files.mkdir(self._place(path), create_parents=False)

    def symlink(self, path: bytes, entry: Entry) -> None:
        raise NotImplementedError(f"{self.keeps} says that there are none: {path!r}, {entry.kind}")

    def hard_link(self, path: bytes, first: bytes) -> None:
        raise NotImplementedError(f"{self.keeps} says that there are none: {path!r}, {first!r}")

    def settle(self, path: bytes, entry: Entry) -> None:
        place = self._place(path)
        with of_share(self._label), self._translated(self._label, place):
            folder = self._files.client.get_directory_client(place)
            folder.set_http_headers(file_last_write_time=written_time(entry.mtime_ns))

    def remove(self, path: bytes) -> None:
        place, folder = self._place(path), self.look(path) is EntryKind.DIRECTORY
        with of_share(self._label), self._translated(self._label, place):
            if folder:
                self._files.client.get_directory_client(place).delete_directory()
            else:
                self._files.client.get_file_client(place).delete_file()

    def rename(self, old: bytes, new: bytes) -> None:
        if self.look(new) is EntryKind.DIRECTORY and not self.names(new):
            self.remove(new)
        if self.look(new) is not None:
            raise refused(self._label)
        with of_share(self._label):
            self._renamed(old, new)

    def seize(self, folder: bytes, other: bytes) -> bytes | None:
        with of_share(self._label):
            try:
                self._renamed(folder, other)
            except EntryMissing:
                return None
        return other

    def files(self, folder: bytes, *, again: bool) -> AzureFiles:  # noqa: ARG002 - creating replaces here
        return AzureFiles(self._files.client, self._place(folder), self._label)

    def _renamed(self, old: bytes, new: bytes) -> None:
        place = self._place(old)
        with self._translated(self._label, place):
            self._files.client.get_directory_client(place).rename_directory(self._place(new))

    def _kind(self, path: bytes) -> EntryKind:
        return EntryKind(str(self._files.info(self._place(path))["type"]))

    def _listed(self, folder: bytes) -> Iterator[tuple[bytes, int]]:
        for info in self._files.entries(self._place(folder)):
            yield str(info["name"]).rpartition("/")[2].encode(), int(info["size"])

    def _place(self, path: bytes) -> str:
        place = f"{self._above}/{path.decode()}".strip("/")
        return checked(place, self._label) if place else ""

"""An Azure file share as an fsspec filesystem, live or as of a share snapshot (sources §1, §3).

adlfs reaches blobs only. Paths are relative to the share: ``documents/2026/offer.pdf``; the top is ``""``. Size,
time and etag of every entry come with the listing. Nothing here can delete a file of others, a folder or a share.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from lifeboat.adapters.azure_files_entries import checked, info
from lifeboat.adapters.azure_files_share import AzureShare, Credential, SnapshotId, connected
from lifeboat.errors import EntryExists, EntryMissing, Refused

if TYPE_CHECKING:
    from azure.storage.fileshare import ShareClient

    from lifeboat.adapters.azure_files_transfer import Reader, Writer

_DETAILS: Final = ["timestamps", "Etag"]
READ_BLOCK: Final = 4 * 2**20


class AzureShareFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec is untyped
    """One file share. With a ``snapshot``, as of that instant and read-only.

    Errors are ``SourceError``s, among them ``EntryMissing`` and ``EntryExists``, which fsspec takes for
    ``FileNotFoundError`` and ``FileExistsError``. One instance serves many threads; it may be pickled, with its
    credential in the pickle, and is not to be used after a fork.
    """

    protocol = "azure-files"
    root_marker = ""
    # An instance holds connections and a credential: nobody else shall get it by guessing its arguments.
    cachable = False

    def __init__(
        self,
        account_url: str,
        share: str,
        credential: Credential,
        snapshot: str | SnapshotId | None = None,
        **options: Any,  # noqa: ANN401 - the further fields of AzureShare
    ) -> None:
        super().__init__(use_listings_cache=False)
        frozen = SnapshotId(snapshot) if isinstance(snapshot, str) else snapshot
        self.at = AzureShare(account_url, share, credential, frozen, **options)
        self._sdk = connected()
        self._service = self._sdk.service(self.at)
        self._client = self._service.get_share_client(share, snapshot=str(frozen) if frozen else None)

    @classmethod
    def of(cls, at: AzureShare) -> AzureShareFileSystem:
        """The filesystem of a share that is described already."""
        known = {name: getattr(at, name) for name in ("ca_file", "connections", "retries", "first_wait")}
        return cls(at.account_url, at.share, at.credential, snapshot=at.snapshot, **known)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401 - a path or a list of them, as in fsspec
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        return os.fspath(path).removeprefix(f"{cls.protocol}://").strip("/")

    @property
    def client(self) -> ShareClient:
        """Microsoft's own client of the share, for what fsspec has no word for."""
        client: ShareClient = self._client
        return client

    def close(self) -> None:
        """Closes the connections; the instance is of no use afterwards."""
        self._service.close()

    # Listing

    def entries(self, path: str = "") -> Iterator[dict[str, Any]]:
        """The entries of one folder, page by page: a folder of a million costs the memory of a page.

        ``name``, ``type``, ``size`` in bytes, ``mtime`` (aware, UTC), ``mtime_ns``, ``etag``: one request a page,
        none per entry. Raises ``EntryMissing`` if the folder is gone.
        """
        path = self._strip_protocol(path)
        folder = self._client.get_directory_client(path)
        with self._sdk.translated(self.at.label, path or None):
            for item in folder.list_directories_and_files(include=_DETAILS, include_extended_info=True):
                yield info(f"{path}/{item.name}".lstrip("/"), item)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: ANN401
        """The entries of a folder by name, or a file alone."""
        path = self._strip_protocol(path)
        try:
            found = sorted(self.entries(path), key=lambda info: str(info["name"]))
        except EntryMissing:
            found = [self._file_info(path)]
        return found if detail else [info["name"] for info in found]

    def walk(self, path: str, maxdepth: int | None = None, on_error: Any = "raise", **options: Any) -> Any:  # noqa: ANN401
        """As fsspec's, but a folder that cannot be listed is an error and not left out (reliability §3.5)."""
        return super().walk(path, maxdepth=maxdepth, on_error=on_error, **options)

    def info(self, path: str, **_: Any) -> dict[str, Any]:  # noqa: ANN401
        """As ``entries`` says; one request for a file, two for a folder. Raises ``EntryMissing``."""
        path = self._strip_protocol(path)
        if not path:
            with self._sdk.translated(self.at.label):
                self._client.get_share_properties()
            return {"name": "", "type": "directory", "size": 0}
        try:
            return self._file_info(path)
        except EntryMissing:
            with self._sdk.translated(self.at.label, path):
                return _described(path, self._client.get_directory_client(path).get_directory_properties)

    def _file_info(self, path: str) -> dict[str, Any]:
        client = self._client.get_file_client(checked(path, self.at.label))
        with self._sdk.translated(self.at.label, path):
            return _described(path, client.get_file_properties)

    def exists(self, path: str, **_: Any) -> bool:  # noqa: ANN401
        """Unlike fsspec's, an unreachable share is an error, not a no."""
        try:
            self.info(path)
        except EntryMissing:
            return False
        return True

    def isfile(self, path: str) -> bool:
        try:
            return bool(self.info(path)["type"] == "file")
        except EntryMissing:
            return False

    def modified(self, path: str) -> dt.datetime:
        """When the file was last written, aware, in UTC."""
        moment: dt.datetime = self.info(path)["mtime"]
        return moment

    # Reading

    def ranges(
        self, path: str, start: int = 0, end: int | None = None, *, etag: str = "", size: int = 0
    ) -> Iterator[bytes]:
        """The bytes of a file, at most 4 MiB at a time, as ``Reader.ranges`` says; one request for each."""
        return self._reader(self._strip_protocol(path)).ranges(start, end, etag=etag, size=size)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:  # noqa: ANN401
        """The whole file, or what a slice with these numbers would give; all of it is in memory."""
        if (start or 0) < 0 or (end or 0) < 0:
            start, end, _step = slice(start, end).indices(int(self.info(path)["size"]))
        return b"".join(self.ranges(path, start or 0, end))

    def get_file(
        self,
        rpath: str,
        lpath: Any,  # noqa: ANN401 - a path, or an open file, as in fsspec
        callback: Callback = DEFAULT_CALLBACK,
        outfile: Any = None,  # noqa: ANN401
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Into a local file or ``outfile``; at most one range is in memory."""
        if outfile is not None or hasattr(lpath, "write"):
            self._copy(rpath, outfile or lpath, callback)
            return
        with Path(lpath).open("wb") as file:
            self._copy(rpath, file, callback)

    def _copy(self, path: str, file: Any, callback: Callback) -> None:  # noqa: ANN401
        for piece in self.ranges(path):
            file.write(piece)
            callback.relative_update(len(piece))

    def _reader(self, path: str) -> Reader:
        from lifeboat.adapters.azure_files_transfer import Reader

        client = self._client.get_file_client(checked(path, self.at.label))
        return Reader(client, self.at.label, path, self.at.retries, self.at.first_wait)

    # Writing, for a restore

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:  # noqa: ANN401
        """A new folder; raises ``EntryExists``, or ``EntryMissing`` without the parents."""
        self._writable(path)
        path = checked(self._strip_protocol(path), self.at.label)
        if create_parents and self._parent(path):
            self.makedirs(self._parent(path), exist_ok=True)
        with self._sdk.translated(self.at.label, path):
            self._client.get_directory_client(path).create_directory()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Like ``mkdir`` with all parents."""
        self._writable(path)
        names = self._strip_protocol(path).split("/")
        for depth in range(1, len(names) + 1):
            try:
                self.mkdir("/".join(names[:depth]), create_parents=False)
            except EntryExists:
                if depth == len(names) and not exist_ok:
                    raise

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:  # noqa: ANN401
        """Write a file; with mode ``create``, raises ``EntryExists`` if the name is taken, in one step.

        ``mtime`` (aware) becomes its last write time.
        """
        self.put_chunks(path, len(value), [value], create_only=mode == "create", mtime=options.get("mtime"))

    def put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **options: Any,  # noqa: ANN401
    ) -> None:
        """As ``pipe_file``, from a local file; at most one range is in memory."""
        with Path(lpath).open("rb") as file:
            chunks = _pieces_of(file.read, callback)
            size = os.fstat(file.fileno()).st_size
            self.put_chunks(rpath, size, chunks, create_only=mode == "create", mtime=options.get("mtime"))

    def put_chunks(
        self,
        path: str,
        size: int,
        chunks: Iterable[bytes],
        *,
        create_only: bool = True,
        mtime: dt.datetime | None = None,
    ) -> None:
        """``size`` bytes under a partial name, which is exchanged for ``path`` when all are there."""
        self.writer(path).write(size, chunks, create_only=create_only, mtime=mtime)

    def writer(self, path: str) -> Writer:
        from lifeboat.adapters.azure_files_transfer import Writer, partial_name

        self._writable(path)
        path = checked(self._strip_protocol(path), self.at.label)
        return Writer(path, self._client.get_file_client(partial_name(path)), self.at.label)

    def _writable(self, path: str) -> None:
        if self.at.snapshot:
            raise Refused(
                f"{path!r} would be written to {self.at.label}, and a snapshot is read-only.",
                hint="Restore into the live share, in a new folder.",
            )

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:  # noqa: ANN401
        from lifeboat.adapters.azure_files_open import AzureShareFile

        return AzureShareFile(self, path, mode, block_size or READ_BLOCK, **options)


def _described(path: str, properties: Callable[..., Any]) -> dict[str, Any]:
    written: list[str] = []

    def note(response: Any) -> None:  # noqa: ANN401 - azure-core's PipelineResponse
        written.append(response.http_response.headers.get("x-ms-file-last-write-time", ""))

    found = properties(raw_response_hook=note)
    return info(path, found, written[-1])


def _pieces_of(read: Callable[[int], bytes], callback: Callback) -> Iterator[bytes]:
    while piece := read(READ_BLOCK):
        yield piece
        callback.relative_update(len(piece))

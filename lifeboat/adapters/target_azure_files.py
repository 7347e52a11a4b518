"""New files in an Azure file share, several requests at once: each costs the way there and back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from lifeboat.adapters.azure_files_entries import checked, written_time
from lifeboat.adapters.azure_files_share import connected
from lifeboat.adapters.target_errors import of_share
from lifeboat.adapters.tree_target import Losses
from lifeboat.model.names import name_bytes

if TYPE_CHECKING:
    from azure.storage.fileshare import ShareClient

_RANGE: Final = 4 * 2**20
"""Bytes of one request: the service takes no more."""
_REQUESTS: Final = 8
"""Requests under way; each holds at most a range."""


class AzureFiles:
    """``NewFiles`` below ``top``. A file is made with its size and mtime; writing its ranges leaves both alone."""

    def __init__(self, client: ShareClient, top: str, label: str) -> None:
        self._client = client
        self._top = top
        self._label = label
        self._translated = connected().translated
        self._pool = ThreadPoolExecutor(_REQUESTS)
        self._under_way: deque[Future[None]] = deque()
        self._buffer = bytearray()
        self._offset = 0

    def begin(self, file: Mapping[str, Any]) -> None:
        path = checked(f"{self._top}/{name_bytes(file['path']).decode()}", self._label)
        self._file = _File(path, file["length"], written_time(file.get("mtime_ns", 0)))
        self._buffer, self._offset = bytearray(), 0
        if self._file.size > _RANGE:
            self._create(self._file)

    def write(self, piece: memoryview) -> None:
        self._buffer += piece
        while len(self._buffer) > _RANGE:
            self._send_range(bytes(self._buffer[:_RANGE]))
            del self._buffer[:_RANGE]

    def end(self) -> None:
        if self._file.size > _RANGE:
            self._send_range(bytes(self._buffer))
        else:
            file, data = self._file, bytes(self._buffer)
            self._submit(lambda: self._whole(file, data))

    def finish(self) -> Losses:
        while self._under_way:
            self._under_way.popleft().result()
        return Losses()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send_range(self, data: bytes) -> None:
        file, offset = self._file, self._offset
        self._offset += len(data)
        self._submit(lambda: self._put(file, offset, data))

    def _submit(self, request: Callable[[], None]) -> None:
        while len(self._under_way) >= _REQUESTS:
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(request))

    def _whole(self, file: _File, data: bytes) -> None:
        self._create(file)
        if data:
            self._put(file, 0, data)

    def _create(self, file: _File) -> None:
        with of_share(self._label), self._translated(self._label, file.path):
            self._client.get_file_client(file.path).create_file(file.size, file_last_write_time=file.mtime)

    def _put(self, file: _File, offset: int, data: bytes) -> None:
        with of_share(self._label), self._translated(self._label, file.path):
            self._client.get_file_client(file.path).upload_range(
                data, offset, len(data), file_last_write_mode="preserve"
            )


class _File:
    def __init__(self, path: str, size: int, mtime: str) -> None:
        self.path, self.size, self.mtime = path, size, mtime

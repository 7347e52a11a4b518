"""A file of an Azure file share that is open, for code that wants fsspec's file objects."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

if TYPE_CHECKING:
    from lifeboat.adapters.azure_files import AzureShareFileSystem
    from lifeboat.adapters.azure_files_transfer import Writer


class AzureShareFile(AbstractBufferedFile):  # type: ignore[misc] # fsspec is untyped
    """``rb``, ``wb``, or ``xb``, which refuses a taken name when it is closed.

    Unlike fsspec's, a file that an exception ended, or that nobody closed, never gets its name.
    """

    def __init__(
        self,
        fs: AzureShareFileSystem,
        path: str,
        mode: str,
        block_size: int,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._writer: Writer | None = fs.writer(path) if mode in ("wb", "xb") else None
        super().__init__(fs, path, mode, block_size, **options)

    def _initiate_upload(self) -> None:
        assert self._writer
        self._writer.start()

    def _upload_chunk(self, final: bool = False) -> None:
        assert self._writer
        with self._writer.removed_on_failure():
            if data := self.buffer.getvalue():
                self._writer.append(self.offset, data)
            if final and self.autocommit:
                self.commit()

    def commit(self) -> None:
        """Give the file its name; raises ``EntryExists`` for ``xb``."""
        assert self._writer
        self._writer.commit(create_only=self.mode == "xb")

    def discard(self) -> None:
        """Remove what was written so far."""
        if self._writer and self.offset is not None:
            self._writer.discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or self._writer is None:
            self.close()
            return
        self.closed = True
        self.discard()

    def __del__(self) -> None:
        self.closed = True

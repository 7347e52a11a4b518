"""A small file's content on its way from the loading child to whoever asked, never on a disk."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from lifeboat.adapters.child_side import tell
from lifeboat.adapters.row_sum import RowSum
from lifeboat.adapters.tree_target import Losses

_PIECE = 2**20


class ContentFiles:
    """``NewFiles`` whose bytes are events. Whoever takes them waits for the end of the job before using any."""

    def begin(self, file: Mapping[str, Any]) -> None:
        """One file alone; nothing is to be done for it."""

    def write(self, piece: memoryview) -> None:
        for begin in range(0, len(piece), _PIECE):
            tell("content", data=base64.b64encode(piece[begin : begin + _PIECE]).decode())

    def end(self) -> None:
        """Nothing either."""

    def finish(self) -> Losses:
        return Losses()

    def close(self) -> None:
        """Nothing is open."""


class RowSumFiles(ContentFiles):
    """Not the content is told, but its ``RowSum``: that of a table's stream, which lies in a part like a file."""

    def begin(self, file: Mapping[str, Any]) -> None:  # noqa: ARG002 - what is summed up has no name
        self._sum = RowSum()

    def write(self, piece: memoryview) -> None:
        self._sum.add(piece)

    def end(self) -> None:
        tell("row_sum", value=self._sum.hexdigest())

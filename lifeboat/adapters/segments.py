"""The books of a part while it is sealed: what lies where in its plaintext, with the SHA-256 of each."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson

from lifeboat.adapters.producers import EndOfFile, NoFile, WholeFile
from lifeboat.model.listing import LinePacker
from lifeboat.model.tree import member_line


class Segments:
    """What a plaintext consists of: tables and opaque streams, or the files of part number ``part``.

    Of each the offset, length, rows and SHA-256; ``pending`` bytes are of none yet.
    """

    def __init__(self, part: int | None) -> None:
        self._part = part
        self._lines = LinePacker()
        self._unusual: list[tuple[str, str, str]] = []
        self.streams: list[dict[str, Any]] = []
        self.total = 0
        self._begin()

    def _begin(self) -> None:
        self._digest, self.pending, self._offset = hashlib.sha256(), 0, self.total

    def add(self, data: bytes | bytearray | memoryview) -> None:
        self._digest.update(data)
        self.pending += len(data)
        self.total += len(data)

    def skip(self, data: bytes) -> None:
        """Bytes between two streams."""
        self.total += len(data)
        self._offset = self.total

    def discard(self) -> None:
        self._begin()

    def end(self, rows: int) -> None:
        self.streams.append(
            {
                "offset": self._offset,
                "length": self.pending,
                "rows": rows,
                "sha256": self._digest.hexdigest(),
            }
        )
        self._begin()

    def end_file(self, end: EndOfFile) -> None:
        self._file(end.line, self.pending, self._digest.hexdigest(), changed=end.changed)
        self._begin()

    def whole_file(self, file: WholeFile) -> bytes:
        """Returns its bytes in the part, framing included."""
        before, content, after, line, changed = file
        self.skip(before)
        self._file(line, len(content), hashlib.sha256(content).hexdigest(), changed=changed)
        self.total += len(content)
        self.skip(after)
        return b"".join((before, content, after))

    def no_file(self, missing: NoFile) -> None:
        self._unusual.append((missing.path, missing.state, missing.why))

    def files(self) -> dict[str, Any] | None:
        """What ``sealing`` makes ``SealedFiles`` of; None in a part without files."""
        if self._part is None:
            return None
        lines = self._lines.packed()
        return {
            "lines": base64.b64encode(lines.packed).decode(),
            "count": lines.count,
            "unusual": self._unusual,
        }

    def _file(self, line: str, length: int, sha256: str, *, changed: bool) -> None:
        assert self._part is not None
        state = "changed" if changed else ""
        self._lines.add(member_line(line, self._part, self._offset, length, sha256, state))
        if changed:
            self._unusual.append((orjson.loads(line)["path"], state, ""))

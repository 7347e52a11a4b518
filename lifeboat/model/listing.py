"""A long list of entries or members that is walked several times and must not fill memory with objects.

A million names take some 30 MB: they are kept as compressed lines and come back one by one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator

import zstandard

from lifeboat.model.tree import Entry

_BLOCK = 2**16


class PackedLines:
    """Lines of text, compressed as they come; iterated as often as one likes."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        compressor = zstandard.ZstdCompressor(level=1).compressobj()
        packed = io.BytesIO()
        gathered: list[str] = []
        self.count = held = 0
        for line in lines:
            gathered.append(line)
            self.count += 1
            held += len(line)
            if held > _BLOCK:
                packed.write(compressor.compress("\n".join([*gathered, ""]).encode()))
                gathered, held = [], 0
        packed.write(compressor.compress("\n".join([*gathered, ""] if gathered else []).encode()))
        packed.write(compressor.flush())
        self._packed = packed.getvalue()

    def __iter__(self) -> Iterator[str]:
        return unpacked_lines(self._packed)


def unpacked_lines(packed: bytes) -> Iterator[str]:
    """The lines of a zstd frame, without their line feeds, in constant memory."""
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as reader:
        for line in io.TextIOWrapper(reader, encoding="utf-8", newline="\n"):
            yield line.rstrip("\n")


class Listing:
    """Entries in walk order; ``size`` is the sum of their bytes."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.size = 0
        self._lines = PackedLines(self._line(entry) for entry in entries)

    def _line(self, entry: Entry) -> str:
        self.size += entry.size
        return json.dumps(entry.to_json(), ensure_ascii=False, separators=(",", ":"))

    def __len__(self) -> int:
        return self._lines.count

    def __iter__(self) -> Iterator[Entry]:
        return (Entry.from_json(json.loads(line)) for line in self._lines)

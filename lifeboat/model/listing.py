"""A long list of entries or members that is walked several times and must not fill memory with objects.

A million names take some 30 MB: they are kept as compressed lines and come back one by one.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator

import zstandard

from lifeboat.model.tree import Entry, EntryKind

_BLOCK = 2**16


class LinePacker:
    """Takes lines one by one; ``packed`` ends it."""

    def __init__(self, level: int = 1) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        self._packed = io.BytesIO()
        self._gathered: list[str] = []
        self._held = self.count = 0

    def add(self, line: str) -> None:
        self._gathered.append(line)
        self.count += 1
        self._held += len(line)
        if self._held > _BLOCK:
            self._flush()

    def taken(self) -> bytes:
        """What has been packed so far, for somebody who puts the pieces together elsewhere."""
        if not self._packed.tell():
            return b""
        piece, self._packed = self._packed.getvalue(), io.BytesIO()
        return piece

    def packed(self) -> PackedLines:
        """All of it, or what is left of it to be taken."""
        self._flush()
        self._packed.write(self._compressor.flush())
        return PackedLines(self._packed.getvalue(), self.count)

    def _flush(self) -> None:
        text = "".join(line + "\n" for line in self._gathered)
        self._packed.write(self._compressor.compress(text.encode()))
        self._gathered, self._held = [], 0


class PackedLines:
    """Lines of text, compressed; iterated as often as one likes."""

    def __init__(self, packed: bytes, count: int) -> None:
        self.packed = packed
        """A zstd frame, as ``unpacked_lines`` takes it."""
        self.count = count

    @classmethod
    def of(cls, lines: Iterable[str]) -> PackedLines:
        packer = LinePacker()
        for line in lines:
            packer.add(line)
        return packer.packed()

    def __iter__(self) -> Iterator[str]:
        return unpacked_lines(self.packed)


def unpacked_lines(packed: bytes) -> Iterator[str]:
    """The lines of a zstd frame, without their line feeds, in constant memory."""
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as reader:
        for line in io.TextIOWrapper(reader, encoding="utf-8", newline="\n"):
            yield line.rstrip("\n")


def packed_in_pieces(lines: Iterable[str], level: int) -> Iterator[bytes]:
    """A zstd frame of lines that nobody wants whole in memory."""
    packer = LinePacker(level)
    for line in lines:
        packer.add(line)
        if piece := packer.taken():
            yield piece
    yield packer.packed().packed


class Listing:
    """What a walk gave: ``lines`` are its entries in walk order.

    ``size`` is the sum of their bytes, ``counts`` how many there are of each kind.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.size = 0
        self.counts: Counter[EntryKind] = Counter()
        self.lines = PackedLines.of(self._line(entry) for entry in entries)

    def _line(self, entry: Entry) -> str:
        self.size += entry.size
        self.counts[entry.kind] += 1
        return entry.to_line()

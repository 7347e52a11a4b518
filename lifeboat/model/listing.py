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
    """Takes lines one by one; ``packed`` ends it.

    Every block is a zstd frame of its own: a hundred packers that wait for lines hold a hundred blocks, and no
    compressor of half a mebibyte each. That makes lists a fiftieth larger.
    """

    def __init__(self) -> None:
        self._packed = io.BytesIO()
        self._gathered: list[str] = []
        self._held = self.count = 0

    def add(self, line: str) -> None:
        self._gathered.append(line)
        self.count += 1
        self._held += len(line)
        if self._held > _BLOCK:
            self._flush()

    def packed(self) -> PackedLines:
        self._flush()
        return PackedLines(self._packed.getvalue(), self.count)

    def _flush(self) -> None:
        if self._gathered:
            compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
            self._packed.write(compressor.compress(_text(self._gathered)))
            self._gathered, self._held = [], 0


class PackedLines:
    """Lines of text, compressed; iterated as often as one likes."""

    def __init__(self, packed: bytes, count: int) -> None:
        self.packed = packed
        """zstd frames, as ``unpacked_lines`` takes them."""
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
    """The lines of one zstd frame or more, without their line feeds, in constant memory."""
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True) as reader:
        for line in io.TextIOWrapper(reader, encoding="utf-8", newline="\n"):
            yield line.rstrip("\n")


def packed_in_pieces(lines: Iterable[str], level: int) -> Iterator[bytes]:
    """One zstd frame of lines that nobody wants whole in memory."""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    gathered: list[str] = []
    held = 0
    for line in lines:
        gathered.append(line)
        held += len(line)
        if held > _BLOCK:
            if piece := compressor.compress(_text(gathered)):
                yield piece
            gathered, held = [], 0
    yield compressor.compress(_text(gathered))
    yield compressor.flush()


def _text(lines: Iterable[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


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

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


class _Blocks:
    """Gathers lines until they are a block."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0

    def add(self, line: str) -> bytes:
        """The block that is full with this line; nothing until then."""
        self._lines.append(line)
        self._size += len(line)
        return self.rest() if self._size > _BLOCK else b""

    def rest(self) -> bytes:
        """What has been gathered since the last block."""
        text = "".join(line + "\n" for line in self._lines)
        self._lines, self._size = [], 0
        return text.encode()


class LinePacker:
    """Takes lines one by one; ``packed`` ends it.

    Every block is a zstd frame of its own: a hundred packers that wait for lines hold a hundred blocks, and no
    compressor of half a mebibyte each. That makes lists a fiftieth larger.
    """

    def __init__(self) -> None:
        self._packed = io.BytesIO()
        self._blocks = _Blocks()
        self.count = 0

    def add(self, line: str) -> None:
        self.count += 1
        self._pack(self._blocks.add(line))

    def packed(self) -> PackedLines:
        self._pack(self._blocks.rest())
        return PackedLines(self._packed.getvalue(), self.count)

    def _pack(self, block: bytes) -> None:
        if block:
            self._packed.write(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(block))


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
    blocks = _Blocks()
    for line in lines:
        if (block := blocks.add(line)) and (piece := compressor.compress(block)):
            yield piece
    yield compressor.compress(blocks.rest())
    yield compressor.flush()


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

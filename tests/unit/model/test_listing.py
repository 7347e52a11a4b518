"""Lists of lines that are kept compressed: what went in comes out, and many of them at once are small."""

from __future__ import annotations

import psutil
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lifeboat.model.listing import LinePacker, PackedLines, packed_in_pieces, unpacked_lines

LINES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=300), max_size=30
)
"""Lines of JSON hold neither a line feed nor a carriage return."""


@given(LINES, st.integers(1, 2000))
def test_lines_come_back_as_they_went_in_as_often_as_one_likes(lines: list[str], times: int) -> None:
    packed = PackedLines.of(line for _ in range(times) for line in lines)

    assert packed.count == times * len(lines)
    assert list(packed) == list(packed) == lines * times


@given(LINES, st.integers(1, 500))
def test_an_index_in_pieces_is_one_frame(lines: list[str], times: int) -> None:
    packed = b"".join(packed_in_pieces(lines * times, level=3))

    assert list(unpacked_lines(packed)) == lines * times
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    text = decompressor.decompress(packed)
    assert text.decode() == "".join(line + "\n" for line in lines * times)
    assert decompressor.eof
    assert decompressor.unused_data == b""


def test_no_line_is_cut_where_blocks_meet() -> None:
    lines = [f"{number:07}" * 9 for number in range(20_000)]
    packed = PackedLines.of(lines)

    assert list(packed) == lines
    first = zstandard.ZstdDecompressor().decompressobj()
    assert first.decompress(packed.packed).endswith(b"\n")
    assert first.unused_data, "more than one frame"


def test_packers_that_wait_for_lines_hold_no_compressor() -> None:
    """Of a tree with a million files a restore fills a hundred at once."""

    process = psutil.Process()
    before = process.memory_info().rss
    packers = [LinePacker() for _ in range(300)]
    for packer in packers:
        for number in range(1500):
            packer.add(f"{number:07}" * 9)
    assert process.memory_info().rss - before < 60 * 2**20, "each would hold 0.5 MiB: 150 MiB"

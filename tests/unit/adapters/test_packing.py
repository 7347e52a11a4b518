"""Headers of packed files, as Python's own tarfile reads them."""

from __future__ import annotations

import tarfile

from hypothesis import example, given
from hypothesis import strategies as st

from lifeboat.adapters.packing import tar_header
from lifeboat.model.tree import Entry, EntryKind

PATHS = st.lists(
    st.binary(min_size=1, max_size=60).filter(lambda name: not set(name) & set(b"\0/")),
    min_size=1,
    max_size=6,
).map(b"/".join)

ENTRIES = st.builds(
    Entry,
    path=PATHS,
    kind=st.just(EntryKind.FILE),
    size=st.integers(0, 2**44),
    mtime_ns=st.integers(-(2**62), 2**62),
    mode=st.none() | st.integers(0, 0o7777),
    uid=st.none() | st.integers(0, 2**21 - 1),
    gid=st.none() | st.integers(0, 2**21 - 1),
)


@given(ENTRIES)
@example(Entry(b"a" * 98, EntryKind.FILE, 8 * 2**30 - 1, 0, 0o7777, 2**21 - 1, 2**21 - 1))
@example(Entry(b"-", EntryKind.FILE, 8 * 2**30, 2**33 * 10**9))
def test_every_header_says_what_the_entry_says(entry: Entry) -> None:
    header = tar_header(entry, entry.size)

    assert len(header) % tarfile.BLOCKSIZE == 0
    (member,) = _read(header)
    assert member.isreg()
    assert member.name.encode("utf-8", "surrogateescape") == b"./" + entry.path
    assert (member.size, member.mtime) == (entry.size, entry.mtime_ns // 10**9)
    assert (member.mode, member.uid, member.gid) == (
        0o644 if entry.mode is None else entry.mode,
        entry.uid or 0,
        entry.gid or 0,
    )


def test_numbers_too_large_for_the_plain_fields_are_nobodys() -> None:
    (member,) = _read(tar_header(Entry(b"f", EntryKind.FILE, uid=2**21, gid=2**32), 0))

    assert (member.uid, member.gid) == (65534, 65534)


class _Headers:
    """An archive of headers only, with zeros for whatever is asked for beyond them."""

    def __init__(self, header: bytes) -> None:
        self._header = header
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._header[self._place :][:size].ljust(size, b"\0")
        self._place += size
        return piece

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        self._place = place


def _read(header: bytes) -> list[tarfile.TarInfo]:
    """Raises when a checksum is wrong: tarfile then sees no archive."""
    with tarfile.open(
        fileobj=_Headers(header),
        mode="r:",
        encoding="utf-8",
        errors="surrogateescape",  # type: ignore[arg-type]
    ) as archive:
        return archive.getmembers()

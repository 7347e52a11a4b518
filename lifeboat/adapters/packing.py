"""Files of a tree as a tar archive, inside the sealing child: one member and one stream each.

The archive opens with any ``tar``; the index knows where in it each file's content lies. A member is never longer or
shorter than its header says: a file that shrinks while it is read is filled up with zeros, and one that changed is read
once more (F46). Links, directories and specials have no content and are in the index only.
"""

from __future__ import annotations

import base64
import pickle
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from lifeboat.adapters.producers import (
    Discard,
    EndOfFile,
    Framing,
    NoFile,
    Piece,
    Pieces,
    ProducerEndedBadly,
    WholeFile,
)
from lifeboat.adapters.tree import OpenFile, Tree, TreeTarget
from lifeboat.errors import EntryChanged, EntryMissing, LifeboatError, SourceDenied, SourceError
from lifeboat.model.listing import unpacked_lines
from lifeboat.model.names import name_text
from lifeboat.model.tree import Entry

SMALL = 4 * 2**20
"""A file up to this size is read whole before its header is written, so that a second try costs nothing."""
CHUNK = 2**20
BLOCK = 512
_PLAIN_SIZE = 8 * 2**30
_END = bytes(2 * BLOCK)
_REST = (b"0" + bytes(100) + b"ustar\x0000").ljust(BLOCK - 156, b"\0")
"""Of a plain header, what comes after the checksum: a regular file, in the format of POSIX."""
_SUM_OF_THE_REST = sum(_REST) + 8 * ord(" ")
"""With the checksum's own field, which counts as blanks."""


def pack_files(job: dict[str, Any], _: list[str]) -> Pieces:
    """Every entry of the job as one file or as ``NoFile``. Raises ``ProducerEndedBadly`` when the tree itself fails."""
    target: TreeTarget = pickle.loads(base64.b64decode(job["tree"]))  # noqa: S301 - written by our own parent process
    lines = unpacked_lines(base64.b64decode(job["entries"]))
    try:
        with target.connect() as tree:
            packer = _Packer(tree, watched=job["watched"])
            for line in lines:
                yield from packer.file(Entry.from_line(line), line)
    except LifeboatError as error:
        raise ProducerEndedBadly(f"{job['label']} failed: {error.message}") from None
    yield Framing(_END)


@dataclass(frozen=True)
class _Packer:
    tree: Tree
    watched: bool

    def file(self, entry: Entry, line: str, *, again: bool = True) -> Iterator[Piece]:
        """One entry, and once more when it changed meanwhile and ``again`` is allowed. ``line`` is the entry's."""
        try:
            file = self.tree.open(entry)
        except (EntryMissing, EntryChanged):  # gone, or something else has its name
            yield NoFile(name_text(entry.path), "vanished")
        except SourceDenied as error:
            yield NoFile(name_text(entry.path), "denied", error.message)
        else:
            with closing(file):
                yield from (self._small if entry.size <= SMALL else self._large)(entry, line, file, again)

    def _small(self, entry: Entry, line: str, file: OpenFile, again: bool) -> Iterator[Piece]:
        data = self._up_to(entry.size, file)
        now = self._afterwards(entry)
        if again and now is not None and now != entry:
            yield from self.file(now, now.to_line(), again=False)
            return
        self._refuse_short(entry, len(data))
        yield WholeFile(
            before=tar_header(entry, entry.size),
            content=data.ljust(entry.size, b"\0"),
            after=bytes(-entry.size % BLOCK),
            line=line,
            # One that was filled up is never whole, also when it looks by now as it did before.
            changed=now != entry or len(data) < entry.size,
        )

    def _large(self, entry: Entry, line: str, file: OpenFile, again: bool) -> Iterator[Piece]:
        yield Framing(tar_header(entry, entry.size))
        left = entry.size
        while left and (chunk := self._read(file, min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
        self._refuse_short(entry, entry.size - left)
        short = left > 0
        while left:  # it shrank: the header's word is kept
            filling = bytes(min(CHUNK, left))
            left -= len(filling)
            yield filling
        now = self._afterwards(entry)
        if again and now is not None and now != entry:
            # Once more, as a second member: where tar unpacks, the later replaces the earlier.
            yield Discard()
            yield Framing(bytes(-entry.size % BLOCK))
            yield from self.file(now, now.to_line(), again=False)
            return
        yield EndOfFile(line, changed=now != entry or short)
        yield Framing(bytes(-entry.size % BLOCK))

    def _read(self, file: OpenFile, size: int) -> bytes:
        """Nothing where a live tree tells that the file changed: that is its end, and looking again tells the rest."""
        try:
            return file.read(size)
        except (EntryChanged, EntryMissing):
            if not self.watched:
                raise
            return b""

    def _up_to(self, size: int, file: OpenFile) -> bytes:
        data = self._read(file, size) if size else b""
        if len(data) in (0, size):
            return data
        gathered = bytearray(data)
        while len(gathered) < size and (chunk := self._read(file, min(size - len(gathered), CHUNK))):
            gathered += chunk
        return bytes(gathered)

    def _afterwards(self, entry: Entry) -> Entry | None:
        return self.tree.look_again(entry.path) if self.watched else entry

    def _refuse_short(self, entry: Entry, length: int) -> None:
        if not self.watched and length < entry.size:
            raise SourceError(
                f"{name_text(entry.path)!r} gave {length} of {entry.size} bytes, and the tree is a snapshot."
            )


def tar_header(entry: Entry, size: int) -> bytes:
    """The header blocks of a file: plain ustar where that says everything, PAX where it does not.

    Seconds only: nanoseconds are in the index. ``./`` keeps a name that begins with a dash from being an option.
    """
    name = b"./" + entry.path
    if len(name) <= 100 and size < _PLAIN_SIZE and name.isascii() and 0 <= entry.mtime_ns < 2**33 * 10**9:
        return _ustar(name, entry, size)
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    member.size, member.mtime = size, entry.mtime_ns // 10**9
    member.mode, member.uid, member.gid = _ownership(entry)
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _ustar(name: bytes, entry: Entry, size: int) -> bytes:
    # tarfile takes a dozen times as long, which a tree of many small files feels.
    mode, uid, gid = _ownership(entry)
    facts = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, entry.mtime_ns // 10**9)
    checksum = sum(name) + sum(facts) + _SUM_OF_THE_REST
    return b"%b%b%06o\0 %b" % (name.ljust(100, b"\0"), facts, checksum, _REST)


def _ownership(entry: Entry) -> tuple[int, int, int]:
    """Mode, user and group; numbers too large for the plain fields are nobody's."""
    uid, gid = entry.uid or 0, entry.gid or 0
    return (
        0o644 if entry.mode is None else entry.mode,
        uid if uid < 2**21 else 65534,
        gid if gid < 2**21 else 65534,
    )

"""Sample files for the demo: documents and images of several customers, awkward names, a side service's keys."""

from __future__ import annotations

import os
import random
from pathlib import Path

CUSTOMERS = 12
FILES = 40
"""Of each customer."""
TEXT = b"Dear customer, your contract of 2026 is enclosed. Kind regards, your fleet team.\n" * 400
AWKWARD = ["-rf", "two\nlines", "\x1b[31mred", os.fsdecode(b"not-utf8-\xff"), "CASE", "case", " ", "*?"]


def fill_files(folder: Path) -> tuple[Path, Path]:
    """Make the trees; returns documents and configuration."""
    documents, configuration = folder / "documents", folder / "authentication"
    chance = random.Random(7)  # noqa: S311 - sample data
    for customer in range(CUSTOMERS):
        place = documents / f"customer-{customer:02}"
        place.mkdir(parents=True)
        for number in range(FILES):
            # Every other one is an image: nothing to compress.
            image = number % 2
            content = chance.randbytes(60_000) if image else TEXT + str(number).encode()
            (place / f"{number:03}.{'jpg' if image else 'txt'}").write_bytes(content)
    (documents / "awkward").mkdir()
    for name in AWKWARD:
        (documents / "awkward" / name).write_text(f"This file is called {name!r}", errors="surrogateescape")
    (documents / "newest").symlink_to("customer-11")
    (documents / "draft.tmp").write_text("The policy leaves this one out.")
    configuration.mkdir()
    (configuration / "realm.json").write_text('{"realm": "fleet", "enabled": true}\n')
    (configuration / "signing.key").write_bytes(chance.randbytes(64))
    (configuration / "signing.key").chmod(0o600)
    return documents, configuration


def a_day_of_paperwork(documents: Path) -> None:
    """A few new files, one changed, one gone."""
    (documents / "customer-03" / "accident report.txt").write_bytes(TEXT + b"A scratch, no more.")
    (documents / "customer-04" / "new.jpg").write_bytes(os.urandom(60_000))
    (documents / "customer-05" / "000.txt").write_bytes(TEXT + b"Amended.")
    (documents / "customer-06" / "001.jpg").unlink()


def difference(one: Path, other: Path, *, but: str) -> list[str]:
    """Names, kinds, modes, times, targets and contents that are not alike, left-out names apart."""
    first, second = _seen(one, but), _seen(other, but)
    return sorted(repr(name) for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _seen(top: Path, but: str) -> dict[str, tuple[object, ...]]:
    seen: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = Path(folder, name)
            found = path.lstat()
            content: object = path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes()
            if not name.endswith(but):
                seen[str(path.relative_to(top))] = found.st_mode, found.st_mtime_ns, content
    return seen

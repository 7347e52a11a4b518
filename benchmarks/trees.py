"""Trees that are made for the benchmark of files, and what a day changes in them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORDS = [f"word{number}" for number in range(4000)]
NEW_PERCENT = 1


@dataclass(frozen=True)
class Case:
    """``make`` fills a folder at a scale; ``size`` draws the length of one file."""

    files: int
    folders: int
    size: Callable[[random.Random], int]


CASES = {
    # 7,200 files, 1.9 GB: half images, half documents, of 200 customers.
    "documents": Case(7_200, 200, lambda chance: min(int(chance.lognormvariate(11.8, 1.2)), 40_000_000)),
    "small": Case(200_000, 500, lambda chance: chance.randrange(2_048, 8_192)),
    # Next to no content: what names cost, in memory above all.
    "million": Case(1_000_000, 1_000, lambda chance: chance.randrange(16, 64)),
}


def make(case: Case, folder: Path, scale: float) -> int:
    """Fill the folder; returns the bytes of all files. Every other file is incompressible."""
    chance = random.Random(20_261_124)
    count = max(100, int(case.files * scale))
    return sum(_write(case, folder, number, chance) for number in range(count))


def a_day(case: Case, folder: Path, scale: float) -> int:
    """New files, one for each hundred there are; returns their bytes."""
    chance = random.Random(7)
    count = max(100, int(case.files * scale))
    new = range(10**7, 10**7 + max(1, count * NEW_PERCENT // 100))
    return sum(_write(case, folder, number, chance) for number in new)


def one_folder(folder: Path) -> Path:
    """A folder in the middle of the tree."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    return folders[len(folders) // 2]


def _write(case: Case, folder: Path, number: int, chance: random.Random) -> int:
    size = case.size(chance)
    image = number % 2 == 0
    place = folder / f"customer-{chance.randrange(case.folders):04}"
    place.mkdir(exist_ok=True)
    content = os.urandom(size) if image else _text(chance, size)
    (place / f"{number:08}.{'jpg' if image else 'txt'}").write_bytes(content)
    return size


def _text(chance: random.Random, size: int) -> bytes:
    """Words in no order: they compress as prose does, to about a third."""
    page = " ".join(chance.choices(WORDS, k=min(2_000, size))).encode()
    return (page * (size // len(page) + 1))[:size] if size < 100_000 else _long_text(chance, size)


def _long_text(chance: random.Random, size: int) -> bytes:
    pages, held = [], 0
    while held < size:
        pages.append(" ".join(chance.choices(WORDS, k=8_000)).encode())
        held += len(pages[-1])
    return b"\n".join(pages)[:size]

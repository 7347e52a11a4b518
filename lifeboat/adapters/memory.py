"""What becomes of memory that was freed: it goes back to the system, or stays for what comes next."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's ``malloc.h``."""
LARGE: Final = 2**20
KEPT: Final = 2**24


def return_large_blocks() -> None:
    """Have this process give blocks of a mebibyte and more back as soon as they are freed.

    glibc by itself raises that limit to the largest block it ever saw freed, and keeps all below it: what the sealing
    children tell of ten thousand files at a time then stayed for the life of a worker. A tree of 200,000 files took 290
    MiB with 28 MiB of it in use, and takes 199. Another C library has no such call and no such habit.
    """
    _mallopt(_M_MMAP_THRESHOLD, LARGE)


def keep_freed_memory() -> None:
    """Have this process use freed blocks again instead of giving them back, up to 16 MiB.

    A sealing child takes and frees a piece of half a mebibyte two thousand times for a gigabyte; that each of them came
    from the system, as zeroed pages, took a twentieth of its processor time.
    """
    _mallopt(_M_MMAP_THRESHOLD, KEPT)
    _mallopt(_M_TRIM_THRESHOLD, KEPT)


def _mallopt(parameter: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(parameter, value)

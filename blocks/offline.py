"""Blocks without a server: read from the file that ``lifeboat blocks apply`` reads, for the day the server is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from blocks.checked import found_offline
from blocks.declared import read_blocks
from lifeboat.errors import ConfigurationError


@contextmanager
def blocks_from_file(path: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Inside, ``load_block`` finds the blocks of this file and no others; no server is asked.

    Raises ``ConfigurationError`` when it cannot be read, ``PolicyError`` with every mistake in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The file of blocks {path} cannot be read: {error.strerror}.") from None
    found = {
        (type(block), name): block for name, block in read_blocks(text, where=str(path), environ=environ)
    }
    token = found_offline.set(found)
    try:
        yield
    finally:
        found_offline.reset(token)

"""An index is sealed piece by piece, and opens to what went in."""

from __future__ import annotations

from collections.abc import Iterator

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.errors import SealingFailed
from lifeboat.stages.keygen import new_identity
from lifeboat.stages.sealed_index import open_index, seal_index

OPERATIONS, INDEX = new_identity(), new_identity()
RECIPIENTS = (OPERATIONS.recipient, INDEX.recipient)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=20_000), max_size=12))
def test_sealed_index_opens_to_its_pieces_for_every_recipient(pieces: list[bytes]) -> None:
    sealed = seal_index(pieces, RECIPIENTS, INDEX.identity)

    assert open_index(sealed, OPERATIONS.identity) == open_index(sealed, INDEX.identity) == b"".join(pieces)


def test_what_ends_the_pieces_ends_the_sealing_under_its_own_name() -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(100_000)
        raise SealingFailed("3 files are in no part")

    with pytest.raises(SealingFailed, match="3 files are in no part"):
        seal_index(pieces(), RECIPIENTS, INDEX.identity)


SEALED = seal_index([bytes(150_000)], RECIPIENTS, INDEX.identity)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_changed_byte_anywhere_does_not_open(place: int, change: int) -> None:
    damaged = bytearray(SEALED)
    damaged[place] ^= change

    with pytest.raises(pyrage.DecryptError):
        open_index(bytes(damaged), OPERATIONS.identity)


@given(st.integers(0, len(SEALED) - 1))
def test_an_index_that_was_cut_does_not_open(length: int) -> None:
    with pytest.raises(pyrage.DecryptError):
        open_index(SEALED[:length], OPERATIONS.identity)


def test_another_identity_does_not_open_it() -> None:
    with pytest.raises(pyrage.DecryptError, match="No matching keys"):
        open_index(SEALED, new_identity().identity)

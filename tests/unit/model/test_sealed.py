"""The arithmetic of the age format, against files that age itself wrote."""

from __future__ import annotations

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.model.sealed import AGE_CHUNK, age_length, parse_age_header

RECIPIENTS = [pyrage.x25519.Identity.generate().to_public() for _ in range(4)]
HEAD = b"age-encryption.org/v1\n"


@pytest.mark.parametrize("recipients", [1, 2, 4])
@pytest.mark.parametrize(
    "length", [0, 1, AGE_CHUNK - 1, AGE_CHUNK, AGE_CHUNK + 1, 2 * AGE_CHUNK, 3 * AGE_CHUNK + 7]
)
def test_length_is_the_one_that_age_writes(length: int, recipients: int) -> None:
    sealed = pyrage.encrypt(bytes(length), RECIPIENTS[:recipients])

    header = parse_age_header(sealed)

    assert header.x25519_stanzas == recipients
    assert age_length(header.length, length) == len(sealed)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 200_000))
def test_beginning_of_a_file_is_enough_to_read_its_header(length: int) -> None:
    sealed = pyrage.encrypt(bytes(length), RECIPIENTS[:2])
    header = parse_age_header(sealed)

    assert parse_age_header(sealed[: header.length]) == header


def test_grease_is_not_counted_as_a_recipient() -> None:
    head = HEAD + b"-> X25519 abc\nbody\n-> x9-grease Y\nbody\n-> X25519-like z\n\n--- mac\npayload"

    header = parse_age_header(head)

    assert header.x25519_stanzas == 1
    assert head[header.length :] == b"payload"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"age-encryption.org/v2\n-> X25519 a\n--- mac\n",
        b"-----BEGIN AGE ENCRYPTED FILE-----\n",
        HEAD,
        HEAD + b"-> X25519 abc\nbody\n",
        HEAD + b"-> X25519 abc\nbody\n--- mac without an end",
        b" " + HEAD + b"--- mac\n",
    ],
)
def test_other_beginnings_are_no_age_header(head: bytes) -> None:
    with pytest.raises(ValueError, match="age"):
        parse_age_header(head)

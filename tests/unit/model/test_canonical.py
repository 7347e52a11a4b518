"""Canonical JSON: exactly what ``jq -cSj`` prints, and one text only for each value."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.model.canonical import canonical_bytes, parse_canonical, sha256_hex

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
NUMBERS = st.integers(-(2**53), 2**53)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=12,
)

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


def jq(text: bytes) -> bytes:
    return subprocess.run(["jq", "-cSj", "."], input=text, capture_output=True, check=True).stdout


@needs_jq
@settings(max_examples=12, deadline=None)
@given(st.lists(VALUES, min_size=20, max_size=40))
def test_canonical_text_is_what_jq_prints(values: list[Any]) -> None:
    assert jq(json.dumps(values).encode()) == canonical_bytes(values)
    assert jq(canonical_bytes(values)) == canonical_bytes(values)


@needs_jq
def test_keys_are_sorted_as_jq_sorts_them_beyond_the_basic_plane_too() -> None:
    """UTF-16 code units would sort U+FFFD after U+1F6DF; code points sort it before."""
    value = dict.fromkeys(["\U0001f6df", "�", "é", "e", "E", "", "a\u2028", '"', "\\", "10", "9"], 1)

    assert jq(json.dumps(value).encode()) == canonical_bytes(value)


@settings(max_examples=200)
@given(VALUES)
def test_parsing_gives_the_value_back(value: Any) -> None:
    assert parse_canonical(canonical_bytes(value)) == value


@given(st.dictionaries(TEXT, NUMBERS, min_size=2))
def test_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_bytes(dict(reversed(value.items()))) == canonical_bytes(value)


def test_text_is_kept_as_it_is_and_never_normalised() -> None:
    composed, decomposed = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")

    assert canonical_bytes(composed) != canonical_bytes(decomposed)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        0.1,
        float("nan"),
        float("inf"),
        2**53 + 1,
        -(2**53) - 1,
        "a\nb",
        "\x00",
        "\x7f",
        {"a\tb": 1},
        {1: "a"},
        {None: 1},
        b"bytes",
        {"set"},
        "\ud800",
        {"\udfff": 1},
        [[{"deep": [1, {"er": 1.5}]}]],
    ],
)
def test_value_without_one_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b' {"a":1}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":NaN}',
        b'{"a":"\\u00e9"}',
        b'{"a":"\\/"}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":9007199254740993}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1}{"a":1}',
        b"",
        b"{",
    ],
)
def test_other_spelling_of_a_value_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        parse_canonical(raw)


def test_text_nested_without_end_is_refused_like_any_other() -> None:
    with pytest.raises(ValueError):
        parse_canonical(b"[" * 100_000)


def test_booleans_are_no_numbers() -> None:
    assert canonical_bytes([True, 1, False, 0]) == b"[true,1,false,0]"


def test_digest_is_sha256_in_hexadecimal() -> None:
    assert sha256_hex(b"lifeboat") == hashlib.sha256(b"lifeboat").hexdigest()

"""Names that an Azure file share cannot hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeboat.model.share_names import ShareNames, listed_problems
from lifeboat.model.tree import walk_order

GOOD = [
    b"a",
    b"a b",
    b".hidden",
    "zéro 🚢".encode(),
    b"x" * 255,
    b"com10",
    b"lpt",
    b"con.txt",
    b"a.b.c",
    b"~",
    b"%2F",
]


@pytest.mark.parametrize("name", GOOD)
def test_name_that_a_share_takes_has_no_problem(name: bytes) -> None:
    assert ShareNames().problem(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"back\\slash", "holds \\"),
        (b"a:b|c", "holds :|"),
        (b"tab\t", "control character"),
        ("c1\u0085".encode(), "control character"),
        (b"dot.", "ends in a dot"),
        (b"space ", "ends in a dot or a space"),
        (b"...", "ends in a dot"),
        (b"\xff", "no UTF-8"),
        (b"NUL", "reserved"),
        (b"lpt9", "reserved"),
        ("🚢".encode() * 128, "longer than 255"),
    ],
)
def test_name_that_a_share_refuses_is_found(name: bytes, why: str) -> None:
    assert why in ShareNames().problem(name)


def test_twins_are_those_of_one_folder_alone() -> None:
    names = ShareNames()
    paths = [b"A", b"A/x", b"A/x/Y", b"A/x/y", b"B", b"B/x", b"B/X", b"a", b"b"]
    found = {path: why for path in paths if (why := names.problem(path))}
    assert found == {
        b"A/x/y": "differs from 'Y' by case only",
        b"B/X": "differs from 'x' by case only",
        b"a": "differs from 'A' by case only",
        b"b": "differs from 'B' by case only",
    }


def test_path_may_be_so_long_and_so_deep_with_the_folder_that_holds_it() -> None:
    assert "more than 2048" in ShareNames("x" * 2000).problem(b"a/" * 24 + b"a")
    assert "deeper than 250" in ShareNames().problem(b"a/" * 250 + b"a")
    assert ShareNames().problem(b"a/" * 249 + b"a") == ""


@given(st.sets(st.tuples(*[st.sampled_from([b"a", b"A", b"b", b"ss", "ß".encode()])] * 3), max_size=20))
def test_every_twin_is_found_whatever_lies_between(leaves: set[tuple[bytes, ...]]) -> None:
    paths = {b"/".join(leaf[:depth]) for leaf in leaves for depth in (1, 2, 3)}
    names = ShareNames()
    found = [path for path in sorted(paths, key=walk_order) if names.problem(path)]
    assert len(
        {
            path.decode().rpartition("/")[0] + "/" + path.decode().rpartition("/")[2].casefold()
            for path in paths
        }
    ) == len(paths) - len(found)


def test_the_first_problems_are_listed_and_all_are_counted() -> None:
    count, text = listed_problems(((b"\x1b%d" % number, "is bad") for number in range(30)), 2)
    assert count == 30
    assert text == "  '\\0330' is bad\n  '\\0331' is bad"

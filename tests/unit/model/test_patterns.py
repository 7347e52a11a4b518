"""Patterns: examples, and a slow reference that expands them in the plainest way."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lifeboat.model.patterns import Scope, Selection

NAMES = st.text("ab[]!-*?.\n", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
PATTERNS = st.lists(st.text("aab*?[]!-", min_size=1, max_size=4) | st.just("**"), min_size=1, max_size=4).map(
    "/".join
)


# The reference: recursion over both texts, character by character


def name_matches(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return name_matches(glob[1:], name) or (bool(name) and name_matches(glob, name[1:]))
    if not name:
        return False
    if glob[0] == "[":
        first = 2 if glob[1:2] == "!" else 1
        end = glob.find("]", first + 1)
        if end > 0:
            return (name[0] in members(glob[first:end])) is (first == 1) and name_matches(
                glob[end + 1 :], name[1:]
            )
    return glob[0] in ("?", name[0]) and name_matches(glob[1:], name[1:])


def members(text: str) -> set[str]:
    if len(text) >= 3 and text[1] == "-":
        return {chr(code) for code in range(ord(text[0]), ord(text[2]) + 1)} | members(text[3:])
    return {text[0]} | members(text[1:]) if text else set()


def path_matches(pattern: list[str], names: list[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(names)
        return path_matches(pattern[1:], names) or (bool(names) and path_matches(pattern, names[1:]))
    return bool(names) and name_matches(pattern[0], names[0]) and path_matches(pattern[1:], names[1:])


def matches(pattern: str, path: str) -> bool:
    """The path or a folder above it matches."""
    names = path.split("/")
    return any(path_matches(pattern.split("/"), names[:end]) for end in range(1, len(names) + 1))


def walked(selection: Selection, path: str) -> bool:
    """Whether a walk that enters only what ``below`` gives gets to the file."""
    scope: Scope | None = selection.top()
    *folders, name = path.encode().split(b"/")
    for folder in folders:
        assert scope
        if not scope.keeps(folder):
            return False
        scope = scope.below(folder)
        if scope is None:
            return False
    assert scope
    return scope.takes(name)


@settings(max_examples=1500, deadline=None)
@example(["**"], ["?/*/**"], "?/?")
@given(st.lists(PATTERNS, min_size=1, max_size=3), st.lists(PATTERNS, max_size=3), PATHS)
def test_selection_takes_what_the_reference_takes_and_the_walk_gets_there(
    include: list[str], exclude: list[str], path: str
) -> None:
    expected = any(matches(pattern, path) for pattern in include) and not any(
        matches(pattern, path) for pattern in exclude
    )
    selection = Selection(tuple(include), tuple(exclude))
    assert selection.takes(path.encode()) is expected
    assert walked(selection, path) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("*", b"a", True),
        ("*", b"\xff\xfe\n", True),
        ("*.pdf", b"x\xff.pdf", True),
        ("?", "ä".encode(), True),
        ("?", b"\xff", True),
        ("?", b"ab", False),
        ("[äö]x", "öx".encode(), True),
        ("[!ä]", "ä".encode(), False),
        ("*.pdf", b"deep/x.pdf", False),
        ("**/*.pdf", b"x.pdf", True),
        ("**/*.pdf", b"a/b/x.pdf", True),
        ("documents", b"documents/a/b", True),
        ("documents/", b"documents/a/b", True),
        ("./documents", b"documents", True),
        ("documents", b"Documents", False),
        ("documents", b"documents2", False),
        ("a/**/b", b"a/b", True),
        ("a/**/b", b"a/x/y/b", True),
        ("a/**", b"a", False),
        ("[", b"[", True),
        ("[]]", b"]", True),
        (".*", b".profile", True),
        ("*", b".profile", True),
        ("-*", b"-rf", True),
        ("a\\*", b"a\\b", True),
        ("*.log.*", b"rabbit.log.1", True),
        ("*.log.*", b"rabbit.log", False),
    ],
)
def test_pattern(pattern: str, path: bytes, taken: bool) -> None:
    assert Selection((pattern,)).takes(path) is taken


@pytest.mark.parametrize(
    ("include", "exclude", "folder", "kept", "entered"),
    [
        (("**",), (), b"a", True, True),
        (("**",), ("cache",), b"cache", False, False),
        (("**",), ("cache/**",), b"cache", True, False),
        (("**",), ("cache/*",), b"cache", True, False),
        (("**",), ("cache/*/x",), b"cache", True, True),
        (("**",), ("**/*",), b"a", False, False),
        (("documents/**/*.pdf",), (), b"documents", True, True),
        (("documents/**/*.pdf",), (), b"images", False, False),
        (("*.pdf",), (), b"a.pdf", True, True),
        (("**/*.pdf",), (), b"a", True, True),
    ],
)
def test_folder_that_nothing_is_taken_from_is_not_entered(
    include: tuple[str, ...], exclude: tuple[str, ...], folder: bytes, kept: bool, entered: bool
) -> None:
    scope = Selection(include, exclude).top()
    assert scope.keeps(folder) is kept
    assert (scope.below(folder) is not None) is entered


def test_pattern_of_many_stars_takes_no_exponential_time() -> None:
    begin = time.perf_counter()
    assert not Selection(("*a" * 60 + "b",)).takes(b"a" * 255)
    assert not Selection(("**/" * 20 + "b",)).takes(b"/".join([b"a"] * 500))
    assert time.perf_counter() - begin < 2

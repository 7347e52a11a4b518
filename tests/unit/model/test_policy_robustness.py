"""Whatever stands in a policy file, the answer is a policy or a list of mistakes, never a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.policies import POLICIES

from lifeboat.errors import PolicyError
from lifeboat.model.policy import load_policy
from lifeboat.model.policy_text import parse_policy_text

AUTOMOTIVE = parse_policy_text((POLICIES / "digital-automotive.yaml").read_text("utf-8")).values

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["", "x", "30d", "12:15", "none", "block", "age1", "http://[", "demo", "\N{ROCKET}"]),
    st.lists(st.sampled_from(["x", 1, None, [], {}]), max_size=3),
    st.dictionaries(
        st.sampled_from(["kind", "name", "at", "x", ""]), st.sampled_from([1, "x", None, {}]), max_size=3
    ),
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, child in children:
        yield from paths(child, (*path, step))


ALL_PATHS = list(paths(AUTOMOTIVE))[1:]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at ``path``, as far as the path still exists."""
    if not path:
        return new
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: replaced(value[path[0]], path[1:], new)}
    if isinstance(value, list) and isinstance(path[0], int) and path[0] < len(value):
        return [*value[: path[0]], replaced(value[path[0]], path[1:], new), *value[path[0] + 1 :]]
    return value


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL_PATHS), junk), min_size=1, max_size=4))
def test_policy_with_anything_anywhere_is_accepted_or_told_its_mistakes(
    changes: list[tuple[Any, Any]],
) -> None:
    values = AUTOMOTIVE
    for path, new in changes:
        values = replaced(values, path, new)
    try:
        load_policy(yaml.safe_dump(values, allow_unicode=True), where="policy")
    except PolicyError as error:
        assert all(problem.message for problem in error.problems)


@given(st.text())
def test_policy_of_any_text_at_all_is_told_its_mistakes(text: str) -> None:
    try:
        load_policy(text, where="policy")
    except PolicyError as error:
        assert error.problems

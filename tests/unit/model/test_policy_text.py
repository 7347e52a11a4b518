from __future__ import annotations

import pytest

from lifeboat.errors import PolicyError
from lifeboat.model.policy import load_policy
from lifeboat.model.policy_text import parse_policy_text, path_text


def test_yaml_words_mean_what_people_read() -> None:
    text = "{a: 12:15, no: on, version: 1.10, date: 2025-05-23, n: 3, t: true, x: ~, 5: five, octal: 010}"
    assert parse_policy_text(text).values == {
        "a": "12:15",
        "no": "on",
        "version": "1.10",
        "date": "2025-05-23",
        "n": 3,
        "t": True,
        "x": None,
        "5": "five",
        "octal": "010",
    }


def test_repeated_key_is_told_with_both_lines_wherever_it_stands() -> None:
    text = parse_policy_text("a: 1\nb:\n  - {c: 1}\n  - c: 1\n    c: 2\na: 3\n")
    assert sorted(text.repeated, key=str) == [
        (("a",), "stands twice, in lines 1 and 6; keep one of them"),
        (("b", 1, "c"), "stands twice, in lines 4 and 5; keep one of them"),
    ]


def test_merged_mapping_may_be_overridden_without_being_a_repetition() -> None:
    text = parse_policy_text("base: &base {k: 1, l: 1}\nm:\n  <<: *base\n  k: 2\n")
    assert text.values["m"] == {"k": 2, "l": 1}
    assert text.repeated == ()
    assert text.line(("m", "k")) == 4


def test_line_of_something_missing_is_that_of_the_nearest_thing_above() -> None:
    text = parse_policy_text("a:\n  b:\n    - c: 1\n    - c: 2\n")
    assert text.line(("a", "b", 1, "c")) == 4
    assert text.line(("a", "b", 7)) == 2
    assert text.line(("a", "nothing", "here")) == 1


def test_path_is_written_with_dots_and_brackets() -> None:
    assert (
        path_text(("environments", "demo", "recipients", 0, "key")) == "environments.demo.recipients[0].key"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a policy is a mapping of keys"),
        ("- a", "a policy is a mapping of keys"),
        ("a: [", "line 1, column 5: not readable as YAML"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: *nowhere", "undefined alias"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: &a [*a]", "recursive"),
        ("? [a, b]\n: 1\n", "a key must be plain text"),
        ("a: \x01", "special characters are not allowed"),
        ("a: " + "[" * 5000, "nested too deeply"),
    ],
)
def test_text_that_is_no_mapping_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match="has 1 mistake:") as caught:
        load_policy(text, where="policy.yaml")
    assert message in str(caught.value)

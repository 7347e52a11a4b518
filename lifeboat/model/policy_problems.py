"""From pydantic's errors to sentences for people: the path, what is wrong there, and how to write it.

The JSON Schema of the policy serves as the map: it knows which keys stand at a path, and what each is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

from lifeboat.model.policy_text import Path
from lifeboat.model.policy_values import did_you_mean, nearest, shown

Schema = Mapping[str, Any]


def described_errors(errors: list[ErrorDetails], schema: Schema) -> Iterator[tuple[Path, str]]:
    """Path and message of each error; those that only follow from another are left out."""
    for error in errors:
        if _only_follows(error):
            continue
        path, place = _walk(error["loc"], schema)
        describe = _SENTENCES.get(error["type"], _as_pydantic_says)
        if error["type"].startswith("union_tag"):
            path = (*path, "kind")
        yield path, describe(error, place)


def _only_follows(error: ErrorDetails) -> bool:
    """Whether this is but the echo of another error: a default that was not computed, a list that is too
    short because its wrong items do not count."""
    if error["type"] == "too_short":
        return len(error["input"]) >= int(error["ctx"]["min_length"])
    return error["type"] == "default_factory_not_called"


class _Place:
    """A path's last step in the schema: what is known of the key, and the keys that may stand beside it."""

    def __init__(self, key: str, siblings: Schema) -> None:
        self.key = key
        self.known = tuple(siblings)
        self.description = str(siblings.get(key, {}).get("description", ""))


def _walk(location: tuple[str | int, ...], schema: Schema) -> tuple[Path, _Place]:
    """The path of a pydantic location, without the steps that stand in no file (the kind of a source)."""
    node: Schema = schema
    path: list[str | int] = []
    siblings: Schema = {}
    for step in location:
        node = _resolved(node, schema)
        if "discriminator" in node and step in node["discriminator"]["mapping"]:
            node = {"$ref": node["discriminator"]["mapping"][step]}
            continue
        if step == "[key]":
            continue
        path.append(step)
        siblings = node.get("properties", {})
        child = node.get("items") if isinstance(step, int) else siblings.get(step)
        node = child or next(iter(node.get("patternProperties", {}).values()), {})
    return tuple(path), _Place(str(path[-1]) if path else "", siblings)


def _resolved(node: Schema, schema: Schema) -> Schema:
    """``node`` with its reference followed, and the one thing it is if it is not null."""
    while isinstance(node, Mapping) and ("$ref" in node or "anyOf" in node):
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        else:
            node = next(option for option in node["anyOf"] if option.get("type") != "null")
    return node if isinstance(node, Mapping) else {}


def _as_pydantic_says(error: ErrorDetails, _: _Place) -> str:
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, not {shown(error['input'])}"


def _missing(_: ErrorDetails, place: _Place) -> str:
    return f"missing. {place.description}" if place.description else "missing"


def _unknown_key(_: ErrorDetails, place: _Place) -> str:
    # The value is not shown: a key nobody knows may well be `password`.
    if nearest(place.key, place.known):
        return f"unknown key{did_you_mean(place.key, place.known)}"
    return f"unknown key; known here: {', '.join(place.known)}" if place.known else "unknown key"


def _not_one_of(error: ErrorDetails, _: _Place) -> str:
    context = error.get("ctx", {})
    expected = str(context.get("expected", context.get("expected_tags", "")))
    given = context.get("tag", error["input"])
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    suggestion = did_you_mean(given, words) if isinstance(given, str) else ""
    return f"{shown(given)} is not {'one of ' if len(words) > 1 else ''}{expected}{suggestion}"


def _must_be(what: str) -> Callable[[ErrorDetails, _Place], str]:
    return lambda error, _: f"must be {what}, not {shown(error['input'])}"


def _bound(relation: str, key: str) -> Callable[[ErrorDetails, _Place], str]:
    return lambda error, _: f"must be {relation} {error['ctx'][key]}, not {shown(error['input'])}"


def _count(relation: str, key: str) -> Callable[[ErrorDetails, _Place], str]:
    return lambda error, _: f"needs {relation} {error['ctx'][key]}, has {error['ctx']['actual_length']}"


_SLUG_PATTERN: Final = "^[a-z0-9][a-z0-9-]{0,62}$"


def _pattern(error: ErrorDetails, _: _Place) -> str:
    given, pattern = shown(error["input"]), error["ctx"]["pattern"]
    if pattern == _SLUG_PATTERN:
        return f"{given} is not a name: lower-case letters, digits and dashes, at most 63, no dash first"
    return f"{given} does not match {pattern}"


_MAPPING: Final = _must_be("a mapping of keys")
_LIST: Final = _must_be("a list, like [first, second]")
_TEXT: Final = _must_be("text (put it in quotes)")
_NUMBER: Final = _must_be("a whole number")
_DATE: Final = _must_be("a date, like 2026-11-23")

_SENTENCES: Final[Mapping[str, Callable[[ErrorDetails, _Place], str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "value_error": lambda error, _: str(error["ctx"]["error"]),
    "literal_error": _not_one_of,
    "union_tag_invalid": _not_one_of,
    "union_tag_not_found": lambda _, __: "missing. What kind of source this is",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _LIST,
    "string_type": _TEXT,
    "int_type": _NUMBER,
    "bool_type": _must_be("true or false"),
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "greater_than_equal": _bound("at least", "ge"),
    "less_than_equal": _bound("at most", "le"),
    "too_short": _count("at least", "min_length"),
    "too_long": _count("at most", "max_length"),
    "string_too_short": lambda _, __: "must not be empty",
    "string_pattern_mismatch": _pattern,
}

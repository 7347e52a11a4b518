"""From the text of a policy file to plain values, knowing the line of each.

YAML is read as people mean it: ``12:15`` is a time and not 735, ``no`` is a word (or Norway), a version
``1.10`` keeps its nought, keys are text, and a key that stands twice is a mistake. Nothing is constructed but
mappings, lists, text, whole numbers, true, false and null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from lifeboat.errors import Problem

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""


@dataclass(frozen=True)
class PolicyText:
    """A parsed policy file: its values, the tree they were read from, and its ``repeated`` keys.

    Of a repeated key the last value counts; each one comes with a message that names both lines.
    """

    values: dict[str, Any]
    root: yaml.Node
    repeated: tuple[tuple[Path, str], ...]

    def line(self, path: Path) -> int:
        """The line (from 1) of the value at ``path``, or of the nearest thing above it that exists."""
        node, line = self.root, self.root.start_mark.line
        for step in path:
            found = _step(node, step)
            if found is None:
                break
            node, line = found
        return int(line) + 1


class UnreadableText(Exception):
    """The text is no YAML mapping; ``problem`` says why, and where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def parse_policy_text(text: str) -> PolicyText:
    """Read ``text``.

    Raises ``UnreadableText`` when there is nothing to go on with: no YAML, or no mapping.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        # Before construction, which moves merged keys (<<) in among a mapping's own.
        repeated = tuple(_repeated(root, (), set())) if root else ()
        values = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UnreadableText(Problem("", f"{where}not readable as YAML: {error.problem}")) from error
    except (yaml.reader.ReaderError, RecursionError) as error:
        reason = str(getattr(error, "reason", "nested too deeply"))
        raise UnreadableText(Problem("", f"not readable as YAML: {reason}")) from error
    if root is None or not isinstance(values, dict):
        raise UnreadableText(Problem("", "a policy is a mapping of keys; docs/policy.md lists them"))
    return PolicyText(values, root, repeated)


def _repeated(node: yaml.Node, path: Path, seen_nodes: set[int]) -> Iterator[tuple[Path, str]]:
    """Every key that stands twice in one mapping, with a message that names both lines."""
    if id(node) in seen_nodes:  # an alias: told about where its anchor is
        return
    seen_nodes.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            yield from _repeated(child, (*path, position), seen_nodes)
    elif isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, child in node.value:
            name, line = _key_text(key), key.start_mark.line + 1
            here = (*path, name)
            if name in first_lines:
                yield here, f"stands twice, in lines {first_lines[name]} and {line}; keep one of them"
            first_lines[name] = line
            yield from _repeated(child, here, seen_nodes)


def path_text(path: Sequence[str | int]) -> str:
    """``environments.production.recipients[0].key``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child = node.value[step]
        return child, child.start_mark.line
    if isinstance(node, yaml.MappingNode):
        # Merged keys (<<) come first after construction, and a key of one's own overrides them: last wins.
        for key, child in reversed(node.value):
            if key.value == step:
                return child, key.start_mark.line
    return None


class _Loader(yaml.SafeLoader):
    """``SafeLoader`` with the scalars of YAML 1.2 only (``_SCALARS``) and keys that are always text."""

    yaml_implicit_resolvers: Final = {}  # type: ignore[misc]  # the base class keeps all of YAML 1.1 here

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        self.flatten_mapping(node)
        return {_key_text(key): self.construct_object(value, deep=True) for key, value in node.value}


def _key_text(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
    return str(key.value)


_SCALARS: Final = (
    ("bool", r"true|false", "tf"),
    ("int", r"0|-?[1-9][0-9]{0,17}", "-0123456789"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("merge", r"<<", "<"),
)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_first))

"""``docs/policy.md`` and ``policies/policy.schema.json`` say what the models say.

After a change of the models: ``UPDATE_GOLDEN=1 pytest tests/unit/model/test_policy_reference.py``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.policies import POLICIES

from lifeboat.model.policy import load_policy, policy_schema
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import HookRules
from lifeboat.model.policy_text import parse_policy_text
from lifeboat.model.retention import RetentionRules

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "policy.md"
SCHEMA = POLICIES / "policy.schema.json"
TABLE = re.compile(r"<!-- keys of (?P<name>\w+) -->\n(?P<table>.*?)<!-- end -->\n", re.DOTALL)

Schema = dict[str, Any]


def key_groups() -> dict[str, Schema]:
    """Every mapping of the policy whose keys are fixed, by name."""
    schema = policy_schema()
    groups = {"Policy": schema, **schema["$defs"]}
    retention = schema["$defs"]["Environment"]["properties"]["retention"]
    return {**groups, "RetentionRules": retention, "Monthly": retention["properties"]["monthly"]}


def table(group: Schema) -> str:
    rows = ["| key | written as | default | meaning |", "|---|---|---|---|"]
    for key, schema in group["properties"].items():
        default = "**required**" if key in group.get("required", []) else default_text(schema)
        rows.append(f"| `{key}` | {written_as(schema)} | {default} | {schema.get('description', '')} |")
    return "\n".join(rows) + "\n"


def default_text(schema: Schema) -> str:
    default = schema.get("default")
    if default in (None, [], "") or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default) if isinstance(default, list | bool) else default}`"


def written_as(schema: Schema) -> str:
    """How a value is written, in a few words."""
    if "anyOf" in schema:
        return written_as(next(option for option in schema["anyOf"] if option.get("type") != "null"))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "examples" in schema:
        return ", ".join(f"`{example}`" for example in schema["examples"]) or "`age1…`"
    if schema.get("type") == "array":
        return f"list of {written_as(schema['items'])}"
    if schema.get("format") == "date":
        return "`2026-11-23`"
    kinds = {"string": "text", "integer": "number", "boolean": "`true`, `false`"}
    return kinds.get(schema.get("type", ""), "keys")


def documented() -> str:
    """The document with every table as the models have it."""
    groups = key_groups()
    text = DOCUMENT.read_text("utf-8")
    return TABLE.sub(
        lambda match: f"<!-- keys of {match['name']} -->\n{table(groups[match['name']])}<!-- end -->\n", text
    )


def keys_without_description() -> Iterator[str]:
    for name, group in key_groups().items():
        for key, schema in group.get("properties", {}).items():
            if not schema.get("description"):
                yield f"{name}.{key}"


def test_every_key_has_a_description() -> None:
    assert list(keys_without_description()) == []


def test_every_group_of_keys_stands_in_the_document() -> None:
    tables = {match["name"] for match in TABLE.finditer(DOCUMENT.read_text("utf-8"))}
    assert tables == set(key_groups())


def test_document_says_what_the_models_say() -> None:
    expected = documented()
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(expected, "utf-8")
    assert DOCUMENT.read_text("utf-8") == expected


def test_policies_shown_in_the_document_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        load_policy(block, where="docs/policy.md")


def test_hooks_shown_in_the_document_are_valid() -> None:
    blocks = re.findall(r"```yaml hooks\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        HookRules.model_validate(parse_policy_text(block).values)


def test_exported_schema_is_that_of_the_models() -> None:
    expected = json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        SCHEMA.write_text(expected, "utf-8")
    assert SCHEMA.read_text("utf-8") == expected


@pytest.mark.parametrize("name", ["demo", "digital-automotive"])
def test_exported_schema_accepts_the_shipped_policies(name: str) -> None:
    values = parse_policy_text((POLICIES / f"{name}.yaml").read_text("utf-8")).values
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(values)


def test_exported_schema_refuses_an_unknown_key() -> None:
    values = parse_policy_text((POLICIES / "demo.yaml").read_text("utf-8")).values
    values["environments"]["demo"]["shedule"] = {}
    with pytest.raises(jsonschema.ValidationError, match="shedule"):
        jsonschema.Draft202012Validator(policy_schema()).validate(values)


def test_schema_of_retention_has_the_keys_that_its_model_reads() -> None:
    aliases = {field.alias or name for name, field in RetentionRules.model_fields.items()}
    assert set(key_groups()["RetentionRules"]["properties"]) == aliases


def test_schema_hides_what_only_lifeboat_sets() -> None:
    assert "sha256" not in policy_schema()["properties"]
    assert "name" not in key_groups()["Environment"]["properties"]
    assert "name" in Environment.model_fields

"""The shipped demo policy, with something changed: the starting point of tests about one key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lifeboat.model.policy import Policy, load_policy
from lifeboat.model.policy_text import parse_policy_text

POLICIES = Path(__file__).parents[2] / "policies"

REMOVED = object()
"""As a changed value: take the key away."""


def demo_text(changes: dict[str, Any] | None = None) -> str:
    """The demo policy as YAML, of its databases only and without probes, with ``changes``: dotted path
    (``environments.demo.store.kind``) to value."""
    values = parse_policy_text((POLICIES / "demo.yaml").read_text("utf-8")).values
    services = values["environments"]["demo"]["services"]
    services["main"]["sources"] = {"databases": services["main"]["sources"]["databases"]}
    del services["main"]["sources"]["databases"]["probes"]
    del services["authentication"]
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = values
        for step in parents:
            place = place.setdefault(step, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def demo_policy(changes: dict[str, Any] | None = None) -> Policy:
    return load_policy(demo_text(changes), where="demo.yaml")

"""The form of a restore in the UI: what the policy knows is chosen from a list, not typed."""

from __future__ import annotations

import copy
from typing import Any

from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource


def restore_form(schema: dict[str, Any], environment: Environment) -> dict[str, Any]:
    """The parameter schema of the restore flow, narrowed to one environment of the policy.

    ``schema`` is what Prefect made of the flow's signature. Sources become a choice, which the API enforces; of
    databases the policy's are named, but a backup may hold more.
    """
    form = copy.deepcopy(schema)
    properties = form["properties"]
    _items_of(properties["sources"])["enum"] = list(environment.source_labels)
    properties["environment"] |= {"enum": [environment.name], "default": environment.name}
    known = [
        name
        for service in environment.services.values()
        for source in service.sources.values()
        if isinstance(source, PostgresSource)
        for name in source.databases
    ]
    told = ", ".join(dict.fromkeys(known))
    properties["databases"]["description"] += f" The policy knows: {told}."
    return form


def _items_of(optional_list: dict[str, Any]) -> dict[str, Any]:
    """The schema of the items of ``list[str] | None``."""
    found = next(option for option in optional_list["anyOf"] if option.get("type") == "array")
    items: dict[str, Any] = found["items"]
    return items

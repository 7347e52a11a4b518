"""Is a server fit to take a restore? Decided from what it says about itself, before anything is made there."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lifeboat.model.restore_plan import RestorePlan

_MARKER = re.compile(r"lifeboat environment: ([a-z0-9-]+)")
_EVERYWHERE = {"plpgsql"}


@dataclass(frozen=True)
class TargetFacts:
    """``extensions`` are those that can be installed; ``allowed`` is the provider's list, None where there is none.

    ``comment`` is that of the maintenance database: ``lifeboat environment: production`` marks the server (F51).
    """

    label: str
    major: int
    databases: frozenset[str]
    roles: frozenset[str]
    extensions: frozenset[str]
    allowed: frozenset[str] | None
    may_create_databases: bool
    may_create_roles: bool
    comment: str = ""


def marked_environment(comment: str) -> str | None:
    """The environment that a server says it belongs to."""
    match = _MARKER.search(comment)
    return match[1] if match else None


def target_problems(plan: RestorePlan, facts: TargetFacts, environment: str) -> list[str]:
    """Every reason not to begin, each a sentence."""
    problems = []
    marked = marked_environment(facts.comment)
    if marked is not None and marked != environment:
        problems.append(f"{facts.label} is marked as a server of {marked!r}, not of {environment!r}")
    if facts.major < plan.index.server_major:
        problems.append(
            f"the backup is of PostgreSQL {plan.index.server_major}, {facts.label} runs {facts.major}"
        )
    if not facts.may_create_databases:
        problems.append(f"{facts.label} may not create databases: give the role CREATEDB")
    if plan.with_roles and not facts.may_create_roles:
        problems.append(
            f"{facts.label} may not create roles: give the role CREATEROLE, or leave the roles out"
        )
    if plan.owner and plan.owner not in facts.roles:
        problems.append(f"the role {plan.owner!r}, who is to own everything, does not exist at {facts.label}")
    for database in plan.databases:
        missing = _missing_extensions(database.source.properties.extensions, facts)
        problems += [f"{database.source.name!r} needs the extension {why}" for why in missing]
    return problems


def target_notes(plan: RestorePlan, facts: TargetFacts) -> list[str]:
    """What is worth knowing before one goes on."""
    owners = {database.source.properties.owner for database in plan.databases}
    missing = sorted(owners - facts.roles) if not (plan.owner or plan.with_roles) else []
    notes = [
        f"role {name!r} does not exist there: restore the roles too, or name an owner" for name in missing
    ]
    if facts.major > plan.index.server_major:
        notes.append(f"from PostgreSQL {plan.index.server_major} to {facts.major}: test the application, too")
    return notes


def _missing_extensions(wanted: Collection[str], facts: TargetFacts) -> Sequence[str]:
    lacking = []
    for name in sorted(set(wanted) - _EVERYWHERE):
        if name not in facts.extensions:
            lacking.append(f"{name!r}, which is not installed on {facts.label}")
        elif facts.allowed is not None and name.lower() not in facts.allowed:
            lacking.append(f"{name!r}, which is not on the server's list (azure.extensions)")
    return lacking

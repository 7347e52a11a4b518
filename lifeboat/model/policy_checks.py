"""The rules between keys of a policy: what no key breaks alone.

They read the parsed YAML through ``Draft``, which yields whatever part of it is well formed. So these rules
speak also when the file has mistakes elsewhere, and one edit mends them all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from lifeboat.model.manifest import chain_name
from lifeboat.model.policy_environment import Limits, Objectives
from lifeboat.model.policy_probes import probe_mistakes
from lifeboat.model.policy_schedule import Schedule, clock_change_reasons, loss_reasons, overlap_reasons
from lifeboat.model.policy_sources import INTERNAL_DATABASES, TEMPLATE_DATABASES
from lifeboat.model.policy_text import Path, path_text
from lifeboat.model.policy_values import TimeOfDay, did_you_mean, spoken_duration
from lifeboat.model.retention import RetentionRules

Said = Iterator[tuple[Path, str]]
"""Paths, and what is wrong there."""

T = TypeVar("T")


@dataclass(frozen=True)
class Draft:
    """A part of a policy that may have mistakes, and its path."""

    value: Any
    path: Path = ()

    def at(self, *steps: str) -> Draft:
        """What stands there; the draft of None if nothing does."""
        value = self.value
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return Draft(value, (*self.path, *steps))

    def children(self) -> dict[str, Draft]:
        """The drafts of a mapping's keys; none if it is no mapping."""
        return {key: self.at(key) for key in self.value} if isinstance(self.value, dict) else {}

    def items(self) -> list[Draft]:
        """The drafts of a list's items; none if it is no list."""
        items = self.value if isinstance(self.value, list) else []
        return [Draft(item, (*self.path, position)) for position, item in enumerate(items)]

    def words(self) -> list[tuple[Path, str]]:
        """The texts of a list, each with its path."""
        return [(item.path, item.value) for item in self.items() if isinstance(item.value, str)]

    def word(self, missing: str = "") -> str:
        """The text that stands here; ``missing`` if there is none."""
        return self.value if isinstance(self.value, str) else missing

    def read(self, kind: type[T], missing: T | None = None) -> T | None:
        """The value as a ``kind``; ``missing`` if nothing stands here, None if it has mistakes of its own."""
        if self.value is None:
            return missing
        try:
            return TypeAdapter(kind).validate_python(self.value)
        except ValidationError:
            return None


def mistakes_between_keys(values: dict[str, Any]) -> list[tuple[Path, str]]:
    """Everything that breaks a rule between keys of the parsed policy ``values``."""
    policy = Draft(values)
    said = [*_reserved_keys(policy), *_working_hours(policy), *_shared_between_environments(policy)]
    for environment in policy.at("environments").children().values():
        for check in _ENVIRONMENT_CHECKS:
            said.extend(check(policy, environment))
    return said


def _reserved_keys(policy: Draft) -> Said:
    if "sha256" in policy.children():
        yield ("sha256",), "unknown key; the hash of this file is computed, never written"
    for environment in policy.at("environments").children().values():
        if "name" in environment.children():
            yield environment.at("name").path, "unknown key; an environment's name is the key it stands under"


def _working_hours(policy: Draft) -> Said:
    hours = policy.at("working_hours")
    begin, end = hours.at("from").read(TimeOfDay), hours.at("until").read(TimeOfDay)
    if begin and end and begin >= end:
        yield hours.at("until").path, f"{end:%H:%M} is not after {begin:%H:%M}"


def _store(_: Draft, environment: Draft) -> Said:
    kind, host_key = environment.at("store", "kind").word(), environment.at("store", "host_key")
    if kind == "sftp" and host_key.value is None:
        yield (
            host_key.path,
            "missing. Without a pinned key, whoever answers at the NAS's address gets the backups; give its "
            "public key (ssh-keyscan shows it, the NAS's own screen confirms it), or 'block' if the key is "
            "in the block",
        )
    if kind == "local" and host_key.value is not None:
        yield host_key.path, "a local folder has no host key; remove it, or is this store an sftp?"


def _schedule(policy: Draft, environment: Draft) -> Said:
    draft = environment.at("schedule")
    schedule = draft.read(Schedule)
    if schedule is None:
        return
    date = policy.at("date").read(dt.date)
    first_year = date.year if date else _ANY_YEAR
    for reason in clock_change_reasons(schedule, first_year=first_year):
        yield draft.at("at").path, reason
    for reason in overlap_reasons(schedule, first_year=first_year):
        yield draft.at("longest").path, reason
    objectives = environment.at("objectives").read(Objectives, policy.at("objectives").read(Objectives))
    for reason in loss_reasons(schedule, objectives.rpo, first_year=first_year) if objectives else ():
        yield draft.path, reason


_ANY_YEAR: Final = 2026
"""Whose clock changes to look at when the policy's date is unreadable; they are much the same every year."""


def _limits(_: Draft, environment: Draft) -> Said:
    schedule = environment.at("schedule").read(Schedule)
    limits = environment.at("limits").read(Limits, Limits())
    if schedule and limits and limits.source > schedule.longest:
        yield (
            environment.at("limits", "source").path,
            f"one source may take {spoken_duration(limits.source)}, longer than the whole run's "
            f"'schedule.longest' of {spoken_duration(schedule.longest)}, with which the RPO was computed",
        )


def _retention(_: Draft, environment: Draft) -> Said:
    schedule = environment.at("schedule").read(Schedule)
    general = environment.at("retention").read(RetentionRules)
    services = environment.at("services").children().values()
    sources = [source for service in services for source in service.at("sources").children().values()]
    for draft in (environment, *sources):
        rules = draft.at("retention").read(RetentionRules)
        if schedule and rules and rules.deletion_cap < len(schedule.at):
            yield (
                draft.at("retention", "deletion_cap").path,
                f"{len(schedule.at)} backups are taken each day and at most {rules.deletion_cap} may be "
                f"deleted: the store would grow for ever; allow {len(schedule.at)} or more",
            )
        if rules and general and _longer(rules, general):
            yield (
                draft.at("retention").path,
                "a source may keep its backups for a shorter time than its environment, never for a longer one: "
                "the environment's is the maximum (S2)",
            )


def _longer(rules: RetentionRules, general: RetentionRules) -> bool:
    return rules.daily_days > general.daily_days or rules.monthly_months > general.monthly_months


def _recipients(_: Draft, environment: Draft) -> Said:
    draft = environment.at("recipients")
    count = len(draft.items())
    if isinstance(draft.value, list) and count < 2:
        yield (
            draft.path,
            f"{count or 'no'} recipient is not enough: with a single key, losing it loses every backup. "
            "Name two or more, kept by different people (operations, and an escrow kept offline)",
        )
    for key, why in _RECIPIENTS_DIFFER.items():
        seen: set[str] = set()
        for recipient in draft.items():
            value = recipient.at(key).word().casefold().strip()
            if value and value in seen:
                yield recipient.at(key).path, f"the same as of another recipient; {why}"
            seen.add(value)


_RECIPIENTS_DIFFER: Final = {
    "name": "every recipient has a name of its own",
    "holder": "one person who leaves, or is not reached, must not take every key along",
    "key": "the same key twice is one key to lose",
}


def _restore_to(policy: Draft, environment: Draft) -> Said:
    known = policy.at("environments").children()
    for path, name in environment.at("restore_to").words():
        if name not in known:
            yield (
                path,
                f"there is no environment {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})",
            )


def _chain_names(_: Draft, environment: Draft) -> Said:
    seen: dict[str, Path] = {}
    for service_name, service in environment.at("services").children().items():
        for source_name, source in service.at("sources").children().items():
            chain = chain_name(service_name, source_name)
            if chain in seen:
                first = path_text(seen[chain])
                yield source.path, f"its backups would be named {chain!r}, as those of {first!r}; rename one"
            seen.setdefault(chain, source.path)


def _sources(_: Draft, environment: Draft) -> Said:
    for service in environment.at("services").children().values():
        for source in service.at("sources").children().values():
            check = _SOURCE_CHECKS.get(source.at("kind").word())
            yield from check(source) if check else ()
            yield from probe_mistakes(source.path, source.value, service.at("sources").value)


def _databases(source: Draft) -> Said:
    provider = source.at("provider").word()
    internal = INTERNAL_DATABASES.get(provider, frozenset()) | TEMPLATE_DATABASES
    for path, name in source.at("databases").words():
        if name in internal:
            yield path, f"{name!r} belongs to PostgreSQL or its provider and is left out anyway; remove it"
    yield from _listed_and_skipped(source, "databases")


def _shares(source: Draft) -> Said:
    yield from _listed_and_skipped(source, "shares")
    if source.at("snapshot").word() == "none" and source.at("consistency").word() == "snapshot":
        yield (
            source.at("consistency").path,
            "files read without a share snapshot change while they are read; say 'live', or snapshot: own",
        )


def _files(source: Draft) -> Said:
    if source.at("hooks").children() and source.at("consistency").word() == "live":
        yield (
            source.at("consistency").path,
            "files that hooks freeze do not change while they are read; say 'snapshot' or 'crash'",
        )


def _listed_and_skipped(source: Draft, key: str) -> Said:
    skipped = {name for _, name in source.at("skip").words()}
    for path, name in source.at(key).words():
        if name in skipped:
            yield path, f"{name!r} also stands under 'skip'; is it to be backed up or not?"


def _shared_between_environments(policy: Draft) -> Said:
    """Blocks, work pools and keys that two environments share: each has its own (clause P8)."""
    owners: dict[tuple[str, str], tuple[str, Path]] = {}
    for name, environment in policy.at("environments").children().items():
        for what, value, path in _belongings(name, environment):
            owner, first = owners.setdefault((what, value), (name, path))
            if owner != name:
                yield (
                    path,
                    f"the {what} {value!r} already serves {path_text(first)!r}; environments share none (P8)",
                )
            elif what == "work pool" and first != path:
                why = "restore workers hold identities that backup workers must not; use another pool (P3)"
                yield path, why


def _belongings(name: str, environment: Draft) -> Iterator[tuple[str, str, Path]]:
    """What an environment has of its own: what it is, its name, where that is said."""
    for key, default in (("work_pool", name), ("restore_work_pool", f"{name}-restore")):
        yield "work pool", environment.at(key).word(default), environment.at(key).path
    for key, default in (("block", name), ("prune_block", "")):
        block = environment.at("store", key)
        if block.word(default):
            yield "store block", block.word(default), block.path
    for service in environment.at("services").children().values():
        for source in service.at("sources").children().values():
            if source.at("block").word():
                yield "source block", source.at("block").word(), source.at("block").path
    for recipient in environment.at("recipients").items():
        public = recipient.at("key")
        if public.word().startswith("age1"):
            yield "recipient's key", public.word(), public.path


_ENVIRONMENT_CHECKS: Final[tuple[Callable[[Draft, Draft], Said], ...]] = (
    _store,
    _schedule,
    _limits,
    _retention,
    _recipients,
    _restore_to,
    _chain_names,
    _sources,
)
_SOURCE_CHECKS: Final = {"postgres": _databases, "azure-files": _shares, "files": _files}

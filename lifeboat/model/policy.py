"""The policy: the YAML file that says what must hold, as frozen values.

``load_policy`` is the only door: it checks every key by itself, then the rules between keys, and tells all
mistakes at once. What each key means: ``docs/policy.md``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic.json_schema import SkipJsonSchema

from lifeboat.errors import ConfigurationError, PolicyError, Problem
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.manifest import PolicyReference, Slug, Value
from lifeboat.model.nationwide_holidays import supported_countries
from lifeboat.model.policy_checks import mistakes_between_keys
from lifeboat.model.policy_drills import DrillRules
from lifeboat.model.policy_environment import Environment, Objectives
from lifeboat.model.policy_problems import described_errors
from lifeboat.model.policy_text import Path, PolicyText, UnreadableText, parse_policy_text, path_text
from lifeboat.model.policy_values import Text, TimeOfDay, TimeZone, Weekday, did_you_mean, shown


def _each_day_once(days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
    if len(set(days)) < len(days):
        raise ValueError("a day stands here twice")
    return days


def _country(code: str) -> str:
    if not re.fullmatch("[A-Z]{2}", code):
        raise ValueError(f"{shown(code)} is not a country code: two capital letters, like DE")
    if code not in supported_countries():
        raise ValueError(
            f"the holidays of {shown(code)} are not known; leave this key out and list them under 'company_days'"
        )
    return code


def _each_date_once(dates: tuple[dt.date, ...]) -> tuple[dt.date, ...]:
    if len(set(dates)) < len(dates):
        raise ValueError("a date stands here twice")
    return dates


class WorkingHours(Value):
    """When the RTO clock runs (clause P12), in the policy's time zone."""

    days: Annotated[tuple[Weekday, ...], AfterValidator(_each_day_once)] = Field(
        min_length=1, description="Working days."
    )
    from_: TimeOfDay = Field(alias="from", description="Begin of the working day.")
    until: TimeOfDay = Field(description="End of the working day; itself no longer part of it.")
    holidays: Annotated[str, AfterValidator(_country)] | None = Field(
        None, description="Country whose nationwide holidays are no working days, like `DE`; left out, none."
    )
    company_days: Annotated[tuple[dt.date, ...], AfterValidator(_each_date_once)] = Field(
        (), description="Further days on which the company does not work."
    )


class Contact(Value):
    """Whom to call in an emergency (clause P20); printed in the recovery runbook."""

    name: Text = Field(description="Person or role.")
    role: Text = Field(description="What to call them for.")
    phone: Text = Field(description="Telephone number: the one thing that works when nothing else does.")
    email: Text | None = Field(None, description="Mail address.")


class Attestation(Value):
    """Something outside software that somebody vouches for, until a date (clause P4)."""

    what: Text = Field(description="What holds.")
    owner: Text = Field(description="Who vouches for it.")
    expires: dt.date = Field(description="Until when; afterwards it is a finding.")


class Policy(Value):
    """A whole policy file."""

    name: Slug = Field(description="Name of the policy; it stands in every manifest.")
    version: Annotated[Text, Field(coerce_numbers_to_str=True)] = Field(
        description="Version of the written policy this file follows (P18)."
    )
    date: dt.date = Field(description="Date of that version.")
    sha256: SkipJsonSchema[str]
    """SHA-256 of the file's text in UTF-8, which every manifest names (clause P18)."""
    time_zone: TimeZone = Field(
        description="Zone of the calendar rules: a backup's day, the 1st, working hours."
    )
    working_hours: WorkingHours = Field(description="When the RTO clock runs (P12).")
    objectives: Objectives = Field(description="Objectives of every environment that has none of its own.")
    contacts: tuple[Contact, ...] = Field(min_length=1, description="Emergency contacts (P20).")
    attestations: tuple[Attestation, ...] = Field((), description="What somebody vouches for (P4).")
    drills: DrillRules = Field(DrillRules(), description="How drills are judged (P15).")
    environments: dict[Slug, Environment] = Field(min_length=1, description="The environments, by name.")

    @field_validator("environments", mode="before")
    @classmethod
    def _tell_names(cls, raw: Any) -> Any:  # noqa: ANN401 - whatever the file says
        if not isinstance(raw, dict):
            return raw
        return {
            name: {**rules, "name": name} if isinstance(rules, dict) else rules for name, rules in raw.items()
        }

    def environment(self, name: str) -> Environment:
        """The environment called ``name``; ``ConfigurationError`` lists the known ones if there is none."""
        if name not in self.environments:
            raise ConfigurationError(
                f"policy {self.name!r} has no environment {name!r}{did_you_mean(name, self.environments)}",
                hint=f"known environments: {', '.join(self.environments)}",
            )
        return self.environments[name]

    @property
    def reference(self) -> PolicyReference:
        """How manifests and records name this policy (clause P18)."""
        return PolicyReference(name=self.name, version=self.version, sha256=self.sha256)

    def objectives_of(self, environment: Environment) -> Objectives:
        """The environment's own objectives, or else the policy's."""
        return environment.objectives or self.objectives


def load_policy(text: str, *, where: str) -> Policy:
    """The policy that ``text`` (YAML) says; ``where`` names the file in messages.

    Raises ``PolicyError`` with every mistake at once, in the order of the file: first what each key breaks by
    itself, then the rules between keys, as far as what they read is well formed.
    """
    try:
        parsed = parse_policy_text(text)
    except UnreadableText as error:
        raise PolicyError([error.problem], where=where) from None
    mistakes = list(parsed.repeated)
    policy: Policy | None = None
    try:
        policy = Policy.model_validate({**parsed.values, "sha256": sha256_hex(text.encode("utf-8"))})
    except ValidationError as error:
        mistakes.extend(described_errors(error.errors(include_url=False), policy_schema()))
    mistakes.extend(mistakes_between_keys(parsed.values))
    if mistakes or policy is None:
        raise PolicyError(_in_file_order(mistakes, parsed), where=where)
    return policy


@cache
def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, as editors use it (``policies/policy.schema.json``)."""
    schema = Policy.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Lifeboat policy"}


def _in_file_order(mistakes: Iterable[tuple[Path, str]], text: PolicyText) -> list[Problem]:
    ordered = sorted((text.line(path), path_text(path), message) for path, message in set(mistakes))
    return [Problem(path, f"{message} (line {line})") for line, path, message in ordered]

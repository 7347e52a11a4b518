"""An environment of the policy: where its backups lie, who can open them, when they are taken, of what."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from lifeboat.model.manifest import Slug, Value, chain_name
from lifeboat.model.policy_retention import Retention
from lifeboat.model.policy_schedule import DrillSchedule, Schedule
from lifeboat.model.policy_sources import Source
from lifeboat.model.policy_values import (
    AgeRecipient,
    Duration,
    HostKey,
    Size,
    Text,
    default_as_written,
    shown,
)
from lifeboat.model.retention import RetentionRules


def _folder(folder: str) -> str:
    if not folder.startswith("/"):
        raise ValueError(
            f"{shown(folder)} is relative; where a worker was started from is chance: begin with /"
        )
    return folder


def _grace(grace: dt.timedelta) -> dt.timedelta:
    if grace < dt.timedelta(hours=24):
        raise ValueError(
            "less than 24h: what looks like an orphan may be the parts of a run that has not published yet"
        )
    return grace


class StoreRules(Value):
    """Where the backups lie. Addresses, accounts and keys are in blocks."""

    kind: Literal["sftp", "local"] = Field(description="A NAS over SFTP, or a folder of this machine.")
    block: Slug | None = Field(
        None, description="Block of the account that uploads; by default the environment's name."
    )
    prune_block: Slug | None = Field(
        None,
        description="Block of the account that deletes (P3); left out, the uploading account must.",
    )
    host_key: HostKey | None = Field(
        None,
        description="Required for `sftp`: the NAS's public key, or `block` if it is pinned in the block.",
    )
    reserve: Size = default_as_written(
        "10 GiB", "Bytes kept free on the store; a run that would go below stops."
    )
    orphan_grace: Annotated[Duration, AfterValidator(_grace)] = default_as_written(
        "48h",
        "Age at which objects that no manifest names are reaped; 24h or more.",
    )


class SpoolRules(Value):
    """The folder of sealed parts between dump and upload."""

    folder: Annotated[str, AfterValidator(_folder)] | None = Field(
        None, description="Absolute path on the worker; left out, one in the user's cache folder."
    )
    limit: Size = default_as_written("20 GiB", "Bytes it may hold; dumping waits when it is full.")


class Limits(Value):
    """Times after which work is ended."""

    source: Duration = default_as_written("6h", "One source, from its first byte to its manifest.")
    stall: Duration = default_as_written("60s", "No byte moved to or from the store.")
    lock_wait: Duration = default_as_written("60s", "Waiting for the locks on a database's tables.")
    snapshot_age: Duration = default_as_written("4h", "A database snapshot held open: it holds back vacuum.")


class RecipientRule(Value):
    """Somebody who can open the backups."""

    name: Slug = Field(description="What this key is for: `operations`, `escrow`, `drill`.")
    holder: Text = Field(description="The person or role that keeps the identity; every recipient another.")
    key: AgeRecipient | None = Field(None, description="The public key (`age1…`); left out, the block's.")


class Objectives(Value):
    """The wanted times (clauses P12, P13)."""

    rto: Duration = Field(description="From detection to a restored and checked service, in working time.")
    rpo: Duration = Field(description="The most data that may be lost, in wall time.")


class Service(Value):
    """A group of sources that belong together."""

    recovery_point: Literal["service", "source"] = Field(
        "service",
        description="`service`: all sources frozen within seconds; `source`: each when its turn comes.",
    )
    sources: dict[Slug, Source] = Field(min_length=1, description="What to back up, by name.")


class Environment(Value):
    """Production, trial, staging: own keys, accounts, folder and work pools (clause P8)."""

    name: SkipJsonSchema[str]
    """The key under which it stands in the policy; ``load_policy`` puts it here."""
    store: StoreRules = Field(description="Where the backups lie.")
    spool: SpoolRules = Field(SpoolRules(), description="Where sealed parts wait for their upload.")
    schedule: Schedule = Field(description="When runs start.")
    drill: DrillSchedule | None = Field(
        None,
        description="When it is drilled (P15); left out, only when somebody or a CI system starts a drill.",
    )
    retention: Retention = Field(description="How long backups stay.")
    objectives: Objectives | None = Field(None, description="Other objectives than the policy's.")
    limits: Limits = Field(Limits(), description="When work is ended.")
    recipients: tuple[RecipientRule, ...] = Field(
        description="Who can open the backups: two or more, kept by different people."
    )
    restore_to: tuple[Slug, ...] = Field(
        (), description="Environments besides itself into which its backups may be restored (P8)."
    )
    work_pool: Text = Field(
        default_factory=lambda data: data["name"],
        description="Prefect work pool of its backups; by default the environment's name.",
    )
    restore_work_pool: Text = Field(
        default_factory=lambda data: f"{data['name']}-restore",
        description="Work pool of its restores and drills; by default `<environment>-restore`.",
    )
    services: dict[Slug, Service] = Field(min_length=1, description="What to back up, by service.")

    @field_validator("store")
    @classmethod
    def _name_the_block(cls, store: StoreRules, info: ValidationInfo) -> StoreRules:
        return store if store.block else store.model_copy(update={"block": info.data.get("name")})

    @property
    def source_labels(self) -> tuple[str, ...]:
        """Every source as ``service/source``, in the order of the policy."""
        return tuple(
            f"{service_name}/{source_name}"
            for service_name, service in self.services.items()
            for source_name in service.sources
        )

    def retention_of(self, chain: str) -> RetentionRules:
        """How long the backups of a chain stay; those of a source that the policy no longer has, like all others."""
        own = (
            source.retention
            for service_name, service in self.services.items()
            for source_name, source in service.sources.items()
            if chain_name(service_name, source_name) == chain
        )
        return next(own, None) or self.retention

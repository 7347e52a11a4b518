"""What the policy says of drills: times that no drill can take itself, each declared by somebody (clauses P12, P15)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from lifeboat.model.manifest import Slug, Value
from lifeboat.model.policy_urls import api_url
from lifeboat.model.policy_values import Duration, Text, default_as_written


class Allowances(Value):
    """Times that people take. They are added to what is measured, and shown apart from it."""

    detect: Duration = default_as_written(
        "30m", "From the failure until it is noticed; tells, and does not count."
    )
    decide: Duration = default_as_written(
        "30m", "From noticing until somebody decided and approved to restore."
    )
    release: Duration = default_as_written("15m", "From checked data until the service is used again.")
    owner: Text = Field("Head of IT", description="The role that declares these times.")


class DrillBroker(Value):
    """A RabbitMQ for drills: definitions go into throw-away virtual hosts of it. Not the one that is backed up."""

    url: Annotated[str, AfterValidator(api_url)] = Field(
        description="Its management API, without `/api`; `https://`, or `http://` on this very machine."
    )
    block: Slug = Field(description="The http-export block of an administrator there.")


class DrillRules(Value):
    """How drills are judged."""

    allowances: Allowances = Field(Allowances(), description="Times that are declared, not measured.")
    older: bool = Field(
        True,
        description="Whether a drill of a whole environment also restores and compares an older backup of each source.",
    )
    server: Slug | None = Field(
        None,
        description="The postgres-server block of a server that is lent to drills; left out, throw-away servers.",
    )
    broker: DrillBroker | None = Field(
        None,
        description="Broker that drills import RabbitMQ's definitions into; left out, they are compared as files only.",
    )
    pages: Text | None = Field(
        None,
        description="Folder of the drill host for a page per drill, in HTML; names are on it, so it lies on no store.",
    )
    folder: Text | None = Field(
        None, description="Folder of the drill host for sandboxes; left out, one below its temporary folder."
    )

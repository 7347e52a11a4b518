"""The kinds of source a service may have, and what the policy says of each (clauses S1–S11, P2).

A source never holds a secret, nor a user name: those are in its block.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from lifeboat.model.kubernetes import NAMESPACE, RESOURCE_PATTERN
from lifeboat.model.manifest import Slug, Value
from lifeboat.model.policy_probes import Heartbeat, ProbeRule
from lifeboat.model.policy_retention import Retention
from lifeboat.model.policy_urls import api_url, export_url, tree_url
from lifeboat.model.policy_values import Duration, Months, Text, shown

PGBOUNCER_PORTS: Final = {6432: "PgBouncer's usual port, also on Azure", 25061: "DigitalOcean's PgBouncer"}
"""Ports behind which a connection pooler answers (sources §4.11)."""

INTERNAL_DATABASES: Final[dict[str, frozenset[str]]] = {
    "azure": frozenset({"azure_maintenance", "azure_sys"}),
    "digitalocean": frozenset({"_dodb"}),
    "self-hosted": frozenset(),
}
"""Databases that belong to the provider and that nobody else may read (sources §4.7)."""

TEMPLATE_DATABASES: Final = frozenset({"template0", "template1"})

_FIVE_MINUTES: Final = dt.timedelta(minutes=5)


def _without_repetition(items: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted({item for item in items if items.count(item) > 1})
    if repeated:
        raise ValueError(f"{', '.join(map(shown, repeated))} stands here more than once")
    return items


def _database_name(name: str) -> str:
    if len(name.encode()) > 63 or "\0" in name:
        raise ValueError(f"{shown(name)} is no database name: PostgreSQL keeps at most 63 bytes")
    return name


def _port(port: int) -> int:
    if port in PGBOUNCER_PORTS:
        raise ValueError(
            f"{port} is {PGBOUNCER_PORTS[port]}: pg_dump through a pooler empties the search_path of other "
            "people's sessions, and the live application then finds no tables; give the server's own port "
            "(Azure 5432, DigitalOcean 25060)"
        )
    return port


def _pattern(pattern: str) -> str:
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(
            f"{shown(pattern)} leaves the tree; patterns are relative to its top, like 'logs/*.gz'"
        )
    return pattern


def _namespace(name: str) -> str:
    if not NAMESPACE.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is no namespace: those have lower-case letters, digits and dashes, at most 63"
        )
    return name


def _resource(pattern: str) -> str:
    if not RESOURCE_PATTERN.fullmatch(pattern):
        raise ValueError(
            f"{shown(pattern)} is no resource; write its plural as in `kubectl api-resources`: 'secrets', "
            "'deployments.apps', or '*.cert-manager.io' for a whole group"
        )
    return pattern


def _argument(argument: str) -> str:
    if "\0" in argument:
        raise ValueError(f"{shown(argument)} holds a NUL, which no argument can")
    return argument


Names = Annotated[tuple[Text, ...], AfterValidator(_without_repetition)]
DatabaseNames = Annotated[
    tuple[Annotated[Text, AfterValidator(_database_name)], ...], AfterValidator(_without_repetition)
]
Patterns = Annotated[
    tuple[Annotated[Text, AfterValidator(_pattern)], ...], AfterValidator(_without_repetition)
]
Namespaces = Annotated[
    tuple[Annotated[Text, AfterValidator(_namespace)], ...], AfterValidator(_without_repetition)
]
Resources = Annotated[
    tuple[Annotated[Text, AfterValidator(_resource)], ...], AfterValidator(_without_repetition)
]
Command = tuple[Annotated[str, AfterValidator(_argument)], ...]
Level = Literal["low", "normal", "high", "very-high"]
Consistency = Literal["snapshot", "crash", "live"]


class Classification(Value):
    """How much the records of a source need protecting (clause P2); it shows in reports."""

    confidentiality: Level = Field(description="What it would cost if others read it.")
    integrity: Level = Field(description="What it would cost if it were altered.")
    availability: Level = Field(description="What it would cost if it were gone.")


class ProviderMonthly(Value):
    """Which of the provider's backups is kept longer, and how long."""

    anchor: Literal["1st", "1st sunday"] = Field(
        description="The day of the month whose backup is kept longer."
    )
    keep: Months = Field(description="For how many calendar months.")


class ProviderBackup(Value):
    """What the hosting provider must do by itself (clauses S1, S3); compared with what it really does."""

    region: Text = Field(description="Where the data is hosted.")
    daily: Duration = Field(
        description="For how long the provider keeps its automatic daily backups, at least."
    )
    monthly: ProviderMonthly | None = Field(
        None, description="Longer-kept backups of the provider, if asked for."
    )
    geo_redundant: bool = Field(strict=True, description="Whether they must lie in a second region too.")


class SuspectRules(Value):
    """When a backup is too unlike its predecessors to be called good (F9)."""

    minimum_tables: Annotated[int, Field(ge=0, strict=True)] = Field(
        1, description="A server with fewer tables is suspect: an empty or the wrong one."
    )
    row_drop_percent: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        50, description="So many percent fewer rows than usual are suspect."
    )


class _SourceRules(Value):
    """What every kind of source has."""

    classification: Classification = Field(description="Protection needed (clause P2).")
    provider_backup: ProviderBackup | None = Field(
        None,
        description="What the provider must do by itself (clauses S1, S3); left out, nothing is asked for.",
    )
    retention: Retention | None = Field(
        None, description="How long its backups stay, if shorter than the environment's: that of logs."
    )
    block: Slug | None = Field(
        None,
        description="Block with address and secrets; by default `<environment>-<service>-<source>`.",
    )


class PostgresSource(_SourceRules):
    """A PostgreSQL server, with all its databases."""

    kind: Literal["postgres"] = Field(description="The kind of source.")
    databases: DatabaseNames = Field(
        min_length=1,
        description="Every database there is: one missing fails the run, one unlisted is a finding (P1).",
    )
    skip: DatabaseNames = Field((), description="Databases left out on purpose; known, and no finding.")
    provider: Literal["azure", "digitalocean", "self-hosted"] = Field(
        description="Who runs the server: its internal databases are skipped by name."
    )
    host: Text | None = Field(None, description="Host name; left out, the block's.")
    port: Annotated[int, Field(ge=1, le=65535, strict=True), AfterValidator(_port)] = Field(
        5432, description="The server's own port; PgBouncer's (6432, 25061) are refused."
    )
    streams: Annotated[int, Field(ge=1, le=16, strict=True)] = Field(
        2, description="Tables read at the same time; two keep two processors busy."
    )
    suspect: SuspectRules = Field(SuspectRules(), description="When a backup is suspect rather than good.")
    probes: dict[Slug, ProbeRule] = Field(
        {}, description="What a drill asks the restored databases, by name."
    )
    heartbeat: Heartbeat | None = Field(
        None, description="A row of ours that tells how old restored data is."
    )
    consistency: Literal["snapshot"] = Field(
        "snapshot", description="Always `snapshot`: each database is read as of one instant."
    )

    @property
    def internal_databases(self) -> frozenset[str]:
        """The provider's own databases and the templates: never backed up, never a finding."""
        return INTERNAL_DATABASES[self.provider] | TEMPLATE_DATABASES


class _TreeRules(_SourceRules):
    """What every file tree has."""

    unreadable: Literal["fail", "finding"] = Field(
        "fail", description="A file that may not be read: `fail` the run, or leave it out with a `finding`."
    )
    include: Patterns = Field(("**",), min_length=1, description="Glob patterns of the files wanted.")
    exclude: Patterns = Field((), description="Glob patterns of the files left out, also if included.")
    consistency: Consistency = Field(
        description="`snapshot`: one instant; `crash`: as after a power cut; `live`: read while it changes."
    )


class AzureFilesSource(_TreeRules):
    """File shares of an Azure storage account."""

    kind: Literal["azure-files"] = Field(description="The kind of source.")
    account: Annotated[str, Field(pattern=r"^[a-z0-9]{3,24}$")] = Field(description="The storage account.")
    shares: Names = Field(
        min_length=1,
        description="Every share there is: one missing fails the run, one unlisted is a finding (P1).",
    )
    skip: Names = Field((), description="Shares left out on purpose; known, and no finding.")
    snapshot: Literal["own", "azure-backup", "none"] = Field(
        description="Read from our `own` share snapshot, `azure-backup`'s newest, or the live share (`none`)."
    )


class HookRules(Value):
    """Commands around the reading of a tree that freeze it and release it again."""

    before: Command = Field(
        min_length=1, description="Program and arguments, one item each and no shell: makes the snapshot."
    )
    after: Command = Field(
        min_length=1,
        description="Undoes it. Runs whatever happens, also when `before` failed or the run was killed.",
    )
    limit: Duration = Field(_FIVE_MINUTES, description="How long each of them may take.")


class FilesSource(_TreeRules):
    """A folder with all below it, anywhere fsspec reaches."""

    kind: Literal["files"] = Field(description="The kind of source.")
    url: Annotated[str, AfterValidator(tree_url)] = Field(
        description="`file:///folder`, `sftp://host/folder`, `s3://bucket/folder` or `abfs://container/folder`."
    )
    hooks: HookRules | None = Field(
        None, description="Commands of the worker that freeze the tree before it is read, and release it."
    )


class HttpExportSource(_SourceRules):
    """What a service gives away over HTTP, like RabbitMQ's definitions; one GET, stored as one part."""

    kind: Literal["http-export"] = Field(description="The kind of source.")
    url: Annotated[str, AfterValidator(export_url)] = Field(
        description="Where to GET it; `https://`, or `http://` on this very machine."
    )
    consistency: Consistency = Field(description="As for files: how much of one instant the export is.")


class RabbitMQSource(_SourceRules):
    """A RabbitMQ's definitions, and how many messages its queues held; the messages are left out (sources §6)."""

    kind: Literal["rabbitmq"] = Field(description="The kind of source.")
    url: Annotated[str, AfterValidator(api_url)] = Field(
        description="Its management API, without `/api`; `https://`, or `http://` on this very machine."
    )
    consistency: Literal["live"] = Field("live", description="Always `live`: read while it changes.")


class KubernetesSource(_SourceRules):
    """The objects of namespaces in Kubernetes, Secrets included; the contents of volumes are not (sources §6)."""

    kind: Literal["kubernetes"] = Field(description="The kind of source.")
    url: Annotated[str, AfterValidator(api_url)] = Field(
        description="The API server, without `/api`; `https://`, or `http://` on this very machine."
    )
    namespaces: Namespaces = Field(
        min_length=1, description="The namespaces; one missing fails the run (P1)."
    )
    include: Resources = Field(
        (), description="The resources wanted, each of which must be there; left out, all but what passes."
    )
    exclude: Resources = Field((), description="Resources left out, also if included; nobody asks for them.")
    unreadable: Literal["fail", "finding"] = Field(
        "fail", description="A resource that may not be listed: `fail`, or leave it out with a `finding`."
    )
    consistency: Literal["live"] = Field("live", description="Always `live`: read while it changes.")


ExportSource = HttpExportSource | RabbitMQSource | KubernetesSource
"""Sources that are captured in memory, over HTTP."""

TreeSource = AzureFilesSource | FilesSource | ExportSource
"""Sources that are backed up as trees of files; an export is a tree of what was captured."""

Source = Annotated[PostgresSource | TreeSource, Field(discriminator="kind")]

"""The commands of a runbook: how each kind of source comes back, with its real names, quoted for a shell."""

from __future__ import annotations

import shlex
from typing import Final
from urllib.parse import urlsplit

from lifeboat.model.policy_environment import Service
from lifeboat.model.policy_sources import (
    AzureFilesSource,
    FilesSource,
    HttpExportSource,
    KubernetesSource,
    PostgresSource,
    RabbitMQSource,
    Source,
)
from lifeboat.model.runbook_text import StorePlace, code, fence

WORK: Final = "/srv/recovery"
"""Where the commands put what they fetch and restore."""


def preparation(environment: str, store: StorePlace | None, major: str) -> str:
    """The machine, the keys and the variables; a local store is read where it lies."""
    client = f"postgresql-client-{major}" if major else "postgresql-client"
    folder = store.folder if store and not store.host else f"{WORK}/{environment}"
    lines = [
        f"apt-get install age zstd jq openssl openssh-client {client}    # as root, on any Debian or Ubuntu",
        f"mkdir -p {WORK} {shlex.quote(folder)}; cd {WORK}    # restore.sh and the keys come with this page",
        f"export LIFEBOAT_FOLDER={shlex.quote(folder)} LIFEBOAT_ENVIRONMENT={environment}",
        f"export LIFEBOAT_PUBLIC_KEYS={WORK}/{environment}.signing.pem",
        "export LIFEBOAT_IDENTITY_FILE=/path/of/the/identity",
    ]
    return fence("\n".join(lines))


def restore_steps(environment: str, service_name: str, service: Service, store: StorePlace | None) -> str:
    """For each source a heading and its commands, databases first as the policy has them."""
    steps = []
    for source_name, source in service.sources.items():
        label = f"{service_name}/{source_name}"
        folder = f"{WORK}/restored/{environment}-{service_name}-{source_name}"
        lines = [*_fetch(label, store), *_bring_back(label, source, folder)]
        steps += [f"### {label}", fence("\n".join(lines)), _afterwards(source)]
    return "\n\n".join(step for step in steps if step)


def _fetch(label: str, store: StorePlace | None) -> list[str]:
    if store is None:
        return [f"sh restore.sh fetch {label} USER@NAS /FOLDER/OF/THE/ENVIRONMENT"]
    if not store.host:
        return [f"sh restore.sh verify {label}"]
    return [f"sh restore.sh fetch {label} {shlex.quote(store.destination)} {shlex.quote(store.folder)}"]


def _bring_back(label: str, source: Source, folder: str) -> list[str]:
    match source:
        case PostgresSource():
            return [
                "export PGHOST=NEW_SERVER PGUSER=ADMINISTRATOR PGPASSFILE=/path/of/the/passwords",
                f"sh restore.sh roles {label}",
                *(_database(label, name) for name in source.databases),
            ]
        case AzureFilesSource():
            shares = [_upload_share(source.account, share, folder) for share in source.shares]
            return [f"sh restore.sh tree {label} {folder}", *shares]
        case FilesSource():
            return [f"sh restore.sh tree {label} {folder}", _put_back(source.url, folder)]
        case RabbitMQSource():
            url = shlex.quote(source.url.rstrip("/") + "/api/definitions")
            return [
                f"sh restore.sh tree {label} {folder}",
                "curl --fail --user ADMINISTRATOR -H 'Content-Type: application/json' -X POST \\",
                f"    --data-binary @{folder}/definitions.json {url}",
            ]
        case KubernetesSource():
            applied = [
                f"kubectl apply --recursive --filename={folder}/{namespace}{below}"
                for namespace in source.namespaces
                for below in ("/core/namespaces", "")
            ]
            return [f"sh restore.sh tree {label} {folder}", *applied]
        case HttpExportSource():
            return [
                f"sh restore.sh tree {label} {folder}",
                f"# It came from {source.url}; give it back there.",
            ]


def _database(label: str, name: str) -> str:
    quoted = shlex.quote(name)
    return f"sh restore.sh database {label} {quoted} {quoted}"


def _upload_share(account: str, share: str, folder: str) -> str:
    source = shlex.quote(f"{folder}/{share}")
    return f"az storage file upload-batch --account-name {account} --destination {shlex.quote(share)} --source {source}"


def _put_back(url: str, folder: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + "/"
    match parts.scheme:
        case "file":
            return f"rsync -aHAX --numeric-ids {folder}/ {shlex.quote(path)}"
        case "sftp":
            return f"rsync -aHAX --numeric-ids {folder}/ {shlex.quote(f'root@{parts.hostname}:{path}')}"
        case "s3":
            return f"aws s3 cp --recursive {folder}/ {shlex.quote(url.rstrip('/') + '/')}"
        case _:
            prefix = (
                f" --destination-path {shlex.quote(parts.path.strip('/'))}" if parts.path.strip("/") else ""
            )
            return f"az storage blob upload-batch --destination {shlex.quote(parts.netloc)}{prefix} --source {folder}"


def _afterwards(source: Source) -> str:
    match source:
        case PostgresSource():
            return (
                "A database that exists is refused: to bring one back beside a live one, give another name last. "
                "One table: `sh restore.sh table SOURCE DATABASE SCHEMA.TABLE NEW_DATABASE`."
            )
        case RabbitMQSource():
            return (
                "Definitions only: users with their password hashes, virtual hosts, queues, exchanges, bindings, "
                "policies. Messages are not backed up; `queue-depths.json` says how many there were."
            )
        case AzureFilesSource() | FilesSource():
            return "Only some files: `sh restore.sh files SOURCE`, then `sh restore.sh tree SOURCE FOLDER PATH...`."
        case KubernetesSource():
            return "Objects only, Secrets among them: what lies in volumes comes back with the sources that it is of."
        case HttpExportSource():
            return ""


def source_place(source: Source) -> str:
    """What a source is, and where it was."""
    match source:
        case PostgresSource():
            where = f" at {code(source.host)}" if source.host else ""
            return f"PostgreSQL ({source.provider}){where}: {', '.join(map(code, source.databases))}"
        case AzureFilesSource():
            return f"Azure Files, account {code(source.account)}: {', '.join(map(code, source.shares))}"
        case FilesSource() | HttpExportSource() | RabbitMQSource() | KubernetesSource():
            return code(source.url)


def provider_copies(service: Service) -> str:
    """How to get what the provider keeps by itself, for the day when our own copies are gone too."""
    lines = [
        f"- {name}: {_provider_way(source)}"
        for name, source in service.sources.items()
        if source.provider_backup
        or (isinstance(source, PostgresSource) and source.provider == "digitalocean")
    ]
    return (
        "\n".join(lines)
        or "No copy by a provider is asked for: look for a snapshot or a second copy of the NAS."
    )


def _provider_way(source: Source) -> str:
    if isinstance(source, AzureFilesSource):
        return (
            f"Azure portal, Backup center, the vault that protects {code(source.account)}, *Restore share*, or "
            "`az backup restore restore-azurefileshare`."
        )
    if isinstance(source, PostgresSource) and source.provider == "digitalocean":
        return (
            "DigitalOcean control panel, the database cluster, *Actions*, *Restore from backup*: seven days back, "
            "into a new cluster."
        )
    if isinstance(source, PostgresSource) and source.provider == "azure":
        return (
            "Azure portal, the server, *Backup and restore*; or `az postgres flexible-server restore "
            "--resource-group GROUP --name NEW_SERVER --source-server SERVER --restore-time YYYY-MM-DDTHH:MM:SSZ`: "
            "makes a new server. If the region is gone: `az postgres flexible-server geo-restore`."
        )
    return "Ask the provider named in the contract."

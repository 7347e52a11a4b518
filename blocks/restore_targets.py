"""Where restores go: the server, the folder or the broker that somebody names, and whose environment it is (F51)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from blocks.azure_file_shares import AzureFileShares
from blocks.checked import CheckedBlock, load_block
from blocks.http_export import HttpExport
from blocks.postgres_server import PostgresServer as PostgresServerBlock
from blocks.sftp_account import SftpAccount
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.target_azure import AzureRestoreTarget
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.adapters.tree_target import RestoreTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.policy_drills import DrillBroker

ENVIRONMENT_FILE = ".environment"
"""Beside or above a folder, the name of the environment it belongs to."""


@dataclass(frozen=True)
class TreePlace:
    """``target`` gives the place itself for an empty name, else a folder of that name in it. ``live``: it is another
    host's, and people may be using it. ``environment`` is None where nobody says."""

    target: Callable[[str], RestoreTarget]
    live: bool
    environment: str | None


def load_target_server(name: str, environments: Collection[str]) -> tuple[PostgresServer, str]:
    """The server to restore into, and the environment that its block says or is named after.

    Raises ``ConfigurationError`` when it says neither: a target of an unknown environment is none.
    """
    block = load_block(PostgresServerBlock, name)
    return block.server(), _environment(block, block.environment, name, environments)


def load_brokers(
    name: str, urls: Mapping[str, str], environments: Collection[str]
) -> tuple[dict[str, Endpoint], str]:
    """The brokers at ``urls``, by source, with the account of one http-export block; and the environment it says."""
    block = load_block(HttpExport, name)
    endpoints = {label: block.endpoint(url) for label, url in urls.items()}
    return endpoints, _environment(block, block.environment, name, environments)


def load_drill_server(name: str) -> PostgresServer:
    """The server that is lent to drills. Raises ``ConfigurationError``."""
    return load_block(PostgresServerBlock, name).server()


def load_drill_broker(rules: DrillBroker) -> Endpoint:
    """The broker of the policy's drills. Raises ``ConfigurationError``."""
    return load_block(HttpExport, rules.block).endpoint(rules.url)


def load_tree_place(where: str, block: str, environments: Collection[str]) -> TreePlace:
    """A folder of this host as an absolute path; ``sftp://host/folder`` or ``azure-files://account/share/folder`` with
    the block that holds the account. Raises ``ConfigurationError``."""
    url = urlsplit(where, allow_fragments=False)
    path = unquote(url.path)
    match url.scheme:
        case "sftp":
            account = load_block(SftpAccount, block)
            host, port = url.hostname or "", url.port
            return TreePlace(
                lambda name: account.restore_target(host, port, _joined(path, name)),
                True,
                _environment(account, account.environment, block, environments),
            )
        case "azure-files":
            shares = load_block(AzureFileShares, block)
            share, _, folder = path.strip("/").partition("/")
            return TreePlace(
                lambda name: AzureRestoreTarget(shares.share(url.netloc, share), _joined(folder, name)),
                True,
                _environment(shares, shares.environment, block, environments),
            )
    folder_here = Path(where)
    if not folder_here.is_absolute():
        raise ConfigurationError(
            f"{where!r} is neither an absolute path nor the URL of a folder.",
            hint="Write /srv/restored, sftp://host/folder, or azure-files://account/share/folder.",
        )
    return TreePlace(
        lambda name: LocalRestoreTarget(folder_here / name if name else folder_here),
        False,
        _marked_folder(folder_here),
    )


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if name else folder


def _environment(block: CheckedBlock, said: str | None, name: str, environments: Collection[str]) -> str:
    named = [known for known in environments if name == known or name.startswith(f"{known}-")]
    environment = said or max(named, key=len, default="")
    if environment not in environments:
        raise ConfigurationError(
            f"The {block.get_block_type_slug()} block {name!r} does not say to which environment of the policy its "
            "target belongs.",
            hint=f"Write `environment:` into it: {', '.join(environments)}.",
        )
    return environment


def _marked_folder(folder: Path) -> str | None:
    """The environment that the nearest ``.environment`` file above the folder names; None without one."""
    for above in folder.parents:
        marker = above / ENVIRONMENT_FILE
        if marker.is_file():
            return marker.read_text(encoding="utf-8").strip()
    return None

"""Trees of files to back up, by the policy's URL and the source's block."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from blocks.checked import load_block
from blocks.exports import load_export
from blocks.file_shares import load_shares
from blocks.sftp_account import SftpAccount
from lifeboat.adapters.hooks import HookedTree, Hooks
from lifeboat.adapters.tree import LiveTree, TreeOrigin, TreeTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.manifest import chain_name
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_sources import (
    AzureFilesSource,
    FilesSource,
    HookRules,
    TreeSource,
)
from lifeboat.model.policy_summary import unsupported_reason


def load_tree(environment_name: str, service: str, source_name: str, source: TreeSource) -> TreeOrigin:
    """Where the files of a source are, read with the block that the policy names or
    ``<environment>-<service>-<source>``. Raises ``ConfigurationError`` for what this version cannot read."""
    match source:
        case FilesSource():
            target = _load_target(environment_name, service, source_name, source)
            where = f"{environment_name}/{service}/{source_name}"
            return HookedTree(target, _hooks(source.hooks, where)) if source.hooks else LiveTree(target)
        case AzureFilesSource():
            return load_shares(environment_name, service, source_name, source)
        case _:
            return load_export(environment_name, service, source_name, source)


def _load_target(environment_name: str, service: str, source_name: str, source: FilesSource) -> TreeTarget:
    selection = Selection(source.include, source.exclude)
    url = urlsplit(source.url)
    folder = unquote(url.path, errors="surrogateescape")
    name = source.block or f"{environment_name}-{chain_name(service, source_name)}"
    match url.scheme:
        case "file":
            return LocalTreeTarget(Path(folder), selection)
        case "sftp":
            return load_block(SftpAccount, name).tree(url.hostname or "", url.port, folder, selection)
        case _:
            raise ConfigurationError(
                f"{environment_name}/{service}/{source_name}: {unsupported_reason(source)}."
            )


def _hooks(rules: HookRules, where: str) -> Hooks:
    # Not in a cache or a temporary folder: what a run could not release must be known after a reboot.
    marker = Path.home() / ".local/state/lifeboat/hooks" / where.replace("/", ".")
    return Hooks(rules.before, rules.after, rules.limit.total_seconds(), marker)

"""Trees of files to back up, by the policy's URL and the source's block."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from blocks.checked import load_block, source_block
from blocks.exports import load_export
from blocks.file_shares import load_shares
from blocks.objects import load_object_tree
from blocks.sftp_account import SftpAccount
from lifeboat.adapters.hooks import HookedTree, Hooks
from lifeboat.adapters.tree import LiveTree, TreeOrigin, TreeTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_sources import (
    AzureFilesSource,
    FilesSource,
    HookRules,
    TreeSource,
)


def load_tree(environment_name: str, service: str, source_name: str, source: TreeSource) -> TreeOrigin:
    """Where the files of a source are, read with the block that the policy names or
    ``<environment>-<service>-<source>``. Raises ``ConfigurationError`` that names the block."""
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
    # A # is a character of a folder's name here, and begins nothing.
    url = urlsplit(source.url, allow_fragments=False)
    folder = unquote(url.path, errors="surrogateescape")
    name = source_block(environment_name, service, source_name, source)
    match url.scheme:
        case "file":
            return LocalTreeTarget(Path(folder), selection)
        case "sftp":
            return load_block(SftpAccount, name).tree(url.hostname or "", url.port, folder, selection)
        case _:
            return load_object_tree(environment_name, service, source_name, source)


def _hooks(rules: HookRules, where: str) -> Hooks:
    # Not in a cache or a temporary folder: what a run could not release must be known after a reboot.
    marker = Path.home() / ".local/state/lifeboat/hooks" / where.replace("/", ".")
    return Hooks(rules.before, rules.after, rules.limit.total_seconds(), marker)

"""Trees of files to back up, by the policy's URL and the source's block."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from blocks.exports import load_export
from lifeboat.adapters.hooks import HookedTree, Hooks
from lifeboat.adapters.tree import LiveTree, TreeOrigin, TreeTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_sources import ExportSource, FilesSource, HookRules, TreeSource
from lifeboat.model.policy_summary import unsupported_reason


def load_tree(environment_name: str, service: str, source_name: str, source: TreeSource) -> TreeOrigin:
    """Where the files of a source are. Raises ``ConfigurationError`` for what this version cannot read."""
    where = f"{environment_name}/{service}/{source_name}"
    if isinstance(source, ExportSource):
        return load_export(environment_name, service, source_name, source)
    if not isinstance(source, FilesSource) or unsupported_reason(source):
        raise ConfigurationError(f"{where}: {unsupported_reason(source)}.")
    target = _load_target(source)
    return HookedTree(target, _hooks(source.hooks, where)) if source.hooks else LiveTree(target)


def _load_target(source: FilesSource) -> TreeTarget:
    selection = Selection(source.include, source.exclude)
    return LocalTreeTarget(Path(unquote(urlsplit(source.url).path)), selection)


def _hooks(rules: HookRules, where: str) -> Hooks:
    # Not in a cache or a temporary folder: what a run could not release must be known after a reboot.
    marker = Path.home() / ".local/state/lifeboat/hooks" / where.replace("/", ".")
    return Hooks(rules.before, rules.after, rules.limit.total_seconds(), marker)

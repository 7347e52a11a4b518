"""Trees of files to back up, by the policy's URL and the source's block."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from lifeboat.adapters.tree import LiveTree, TreeOrigin
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_sources import FilesSource, TreeSource
from lifeboat.model.policy_summary import unsupported_reason


def load_tree(environment_name: str, service: str, source_name: str, source: TreeSource) -> TreeOrigin:
    """Where the files of a source are. Raises ``ConfigurationError`` for what this version cannot read."""
    if isinstance(source, FilesSource):
        parts = urlsplit(source.url)
        if parts.scheme == "file":
            target = LocalTreeTarget(Path(unquote(parts.path)), Selection(source.include, source.exclude))
            return LiveTree(target)
    raise ConfigurationError(f"{environment_name}/{service}/{source_name}: {unsupported_reason(source)}.")

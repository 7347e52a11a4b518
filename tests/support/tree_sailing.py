"""Backups and restores of a file tree by the stage functions alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.sailing import Hull, Noting

from lifeboat.adapters.tree import LiveTree, TreeTarget
from lifeboat.adapters.tree_target import RestoreTarget
from lifeboat.model.manifest import Manifest
from lifeboat.model.policy_sources import Classification, FilesSource
from lifeboat.model.restore_choice import Point, choose
from lifeboat.model.tree_index import TreeIndex
from lifeboat.stages.direct import take_tree_backup
from lifeboat.stages.fetch import fetch_tree_index
from lifeboat.stages.publish import Published
from lifeboat.stages.restore_tree import RestoredTree, Wanted, restore_tree
from lifeboat.stages.voyage import TreeVoyage


def takes_all(_: bytes) -> bool:
    return True


@dataclass(kw_only=True)
class TreeShip(Hull):
    """A tree; ``consistency`` and ``unreadable`` as in the policy."""

    tree: TreeTarget
    source_name: str = "files"
    consistency: str = "live"
    unreadable: str = "fail"

    @contextlib.contextmanager
    def voyage(self) -> Iterator[TreeVoyage]:
        classification = Classification(confidentiality="high", integrity="high", availability="high")
        source = FilesSource(
            kind="files",
            url="file:///srv/documents",
            consistency=self.consistency,
            unreadable=self.unreadable,
            classification=classification,
        )
        with self.common() as common:
            yield TreeVoyage(source=source, tree=LiveTree(self.tree), **common)

    def backup(self) -> Published:
        with self.voyage() as voyage:
            published = take_tree_backup(voyage)
        self.anchor = published.head
        return published

    def open(self, manifest: Manifest | None = None) -> TreeIndex:
        manifest = manifest or choose(self.catalog()).manifest
        return fetch_tree_index(self.store, manifest, [self.operations.identity])

    def restore(
        self,
        folder: Path | RestoreTarget,
        backup_id: str | None = None,
        wanted: Wanted = takes_all,
        fetched: list[str] | None = None,
        **choice: Any,
    ) -> RestoredTree:
        """``fetched`` takes the names of the parts that were fetched."""
        index = self.open(choose(self.catalog(), Point(backup_id=backup_id)).manifest)
        with self.loader() as loader:
            noting = Noting.over(loader, [] if fetched is None else fetched)
            return restore_tree(index, folder, noting, wanted=wanted, **choice)

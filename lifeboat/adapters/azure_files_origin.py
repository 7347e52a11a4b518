"""File shares of an Azure storage account as one tree to back up, all of them frozen at once (sources §1, §4.10)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from lifeboat.adapters.azure_files_share import AzureShare, connected
from lifeboat.adapters.azure_files_snapshots import ShareSnapshots, SnapshotRule, view
from lifeboat.adapters.azure_files_tree import AzureShareTarget
from lifeboat.adapters.tree import FrozenView
from lifeboat.adapters.tree_joined import JoinedTreeTarget
from lifeboat.errors import ConfigurationError, SourceDenied, SourceMissing
from lifeboat.model.index import IndexFinding
from lifeboat.model.patterns import Scope, Selection
from lifeboat.model.share_comparison import compare_shares, not_compared

STALE: Final = dt.timedelta(days=7)
"""How old a snapshot of ours must be to be called left behind: no run holds one for so long."""


@dataclass(frozen=True)
class AzureFilesOrigin:
    """``TreeOrigin`` of live ``shares`` of one account; each is a top folder of the tree, under its name.

    ``environment`` and ``source`` go into the tags of own snapshots. ``selection`` matches paths of the whole tree,
    so its patterns may begin with the name of a share.
    """

    shares: tuple[AzureShare, ...]
    rule: SnapshotRule
    environment: str
    source: str
    skipped: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)

    @property
    def label(self) -> str:
        names = ", ".join(repr(share.share) for share in self.shares)
        return f"file shares {names} of {_host(self.shares[0])}"

    @contextmanager
    def frozen(self) -> Iterator[FrozenView]:
        """The shares as of their snapshots, or live ones by the policy's ``snapshot: none``.

        The data timestamp is that of the oldest. Raises ``SourceMissing`` for a share that is not there (P1),
        ``SnapshotLimitReached``, and ``ConfigurationError`` for patterns that leave nothing of a share.
        """
        scopes = [self._scope(share.share) for share in self.shares]
        findings = (*self._compared(), *self._reaped())
        with ExitStack() as stack:
            # Nothing else is done in between: this is how far apart the shares are.
            views = [
                stack.enter_context(view(share, self.rule, environment=self.environment, source=self.source))
                for share in self.shares
            ]
            trees = {
                frozen.share.share.encode(): AzureShareTarget(frozen.share, scope)
                for frozen, scope in zip(views, scopes, strict=True)
            }
            moment = min(frozen.data_timestamp for frozen in views)
            yield FrozenView(JoinedTreeTarget(trees, self.label), moment, findings)

    def _scope(self, name: str) -> Scope:
        scope = self.selection.top().below(name.encode())
        if scope is None:
            raise ConfigurationError(
                f"The patterns of the source leave nothing of the file share {name!r}.",
                hint="Patterns begin at the shares, like 'documents/**/*.pdf'. To leave a whole share out, name it "
                "under `skip`.",
            )
        return scope

    def _compared(self) -> tuple[IndexFinding, ...]:
        declared = [share.share for share in self.shares]
        try:
            listed = listed_shares(self.shares[0])
        except SourceDenied as error:
            return (not_compared(error.message),)
        comparison = compare_shares(listed, declared, self.skipped)
        if comparison.missing:
            raise SourceMissing(
                f"{_host(self.shares[0])} lacks file shares that the policy names: "
                f"{', '.join(map(repr, comparison.missing))}.",
                hint="If they were deleted on purpose, take them out of the policy; if not, undelete them: Azure "
                "keeps a deleted share for a while when soft delete is on.",
            )
        return comparison.findings

    def _reaped(self) -> tuple[IndexFinding, ...]:
        """What dead runs left is deleted; where that is denied, it is told and the backup goes on."""
        if self.rule != "own":
            return ()
        findings = []
        for share in self.shares:
            try:
                with ShareSnapshots(share) as snapshots:
                    snapshots.reap(self.environment, STALE)
            except SourceDenied as error:
                message = f"snapshots that earlier runs left behind could not be deleted: {error.message}"
                findings.append(IndexFinding(code="snapshots-left-behind", clause="P7", message=message))
        return tuple(findings)


def listed_shares(share: AzureShare) -> tuple[str, ...]:
    """The names of all shares of the account; raises ``SourceDenied`` where a SAS is for less than that."""
    sdk = connected()
    with closing(sdk.service(share)) as service, sdk.translated(_host(share)):
        return tuple(item.name for item in service.list_shares())


def _host(share: AzureShare) -> str:
    return f"storage account {urlsplit(share.account_url).hostname}"

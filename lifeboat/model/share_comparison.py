"""Which file shares an account has, against those that the policy says it has (clause P1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lifeboat.model.index import IndexFinding


@dataclass(frozen=True)
class ShareComparison:
    """``missing`` shares fail the source; ``findings`` are what its backup is committed with."""

    missing: tuple[str, ...]
    findings: tuple[IndexFinding, ...]


def compare_shares(
    listed: Collection[str], declared: Collection[str], skipped: Collection[str]
) -> ShareComparison:
    """``listed`` is what the account has, ``declared`` and ``skipped`` what the policy says; all by name.

    Unlike a database, an unlisted share is not backed up along with the others: it is only found.
    """
    unlisted = sorted(set(listed) - set(declared) - set(skipped))
    findings = tuple(
        IndexFinding(
            code="share-not-in-policy",
            clause="P1",
            message=f"file share {name!r} is in the account and not in the policy: it is not backed up",
        )
        for name in unlisted
    )
    return ShareComparison(tuple(sorted(set(declared) - set(listed))), findings)


def not_compared(reason: str) -> IndexFinding:
    """What the backup is committed with where the account's shares may not be listed."""
    return IndexFinding(
        code="shares-not-compared",
        clause="P1",
        message=f"whether the account has shares that are not in the policy is not known: {reason}",
    )

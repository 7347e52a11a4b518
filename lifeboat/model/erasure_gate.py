"""Erased stays erased: a restore goes on only with the erasures at hand that the backup knew of (clause P10).

A backup says how far the ledger of erasures had come when it was taken. Whoever restores it must hold a ledger that has
come at least as far, or would bring back what was erased since, without knowing.
"""

from __future__ import annotations

from lifeboat.errors import RestoreRefused
from lifeboat.model.manifest import ChainLink, Manifest


def refuse_missing_erasures(manifest: Manifest, at_hand: ChainLink | None) -> None:
    """Raise ``RestoreRefused`` when the backup names a newer ledger than the one ``at_hand`` (None: there is none)."""
    named = manifest.erasures
    if named is None or (at_hand is not None and at_hand.sequence >= named.sequence):
        return
    known = f"only {at_hand.sequence} are known" if at_hand else "no ledger of erasures is"
    raise RestoreRefused(
        f"{manifest.backup_id} was taken when {named.sequence} erasures were on record, and {known} at hand: "
        "people who were erased might come back.",
        hint="Bring the environment's ledger of erasures here first; nothing was restored.",
    )

"""Blocks from a file: reviewed like code, while its secrets come from the environment or from files.

Which blocks there are then stands in version control, and a Kubernetes secret or a systemd credential supplies
what must not. ``docs/how-to/blocks.md`` shows such a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from blocks.checked import CheckedBlock, find_block
from blocks.declared import KINDS, read_blocks
from lifeboat.errors import ConfigurationError

Action = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class AppliedBlock:
    """What became of one block of the file; in a dry run, what would."""

    slug: str
    name: str
    action: Action


def apply_blocks(
    text: str, *, where: str, environ: Mapping[str, str], dry_run: bool = False
) -> list[AppliedBlock]:
    """Register our block types, and create or update the blocks that ``text`` declares, in its order.

    Equal ones are left alone, blocks that the file does not name too; with ``dry_run`` nothing is written. Raises
    ``PolicyError`` with every mistake at once (``blocks.declared.read_blocks``), before anything is written.
    """
    wanted = read_blocks(text, where=where, environ=environ)
    if not dry_run:
        for kind in KINDS.values():
            kind.register_type_and_schema()
    return [_apply(name, block, dry_run=dry_run) for name, block in wanted]


def _apply(name: str, wanted: CheckedBlock, *, dry_run: bool) -> AppliedBlock:
    action = _action(name, wanted)
    if action != "unchanged" and not dry_run:
        wanted.save(name, overwrite=True)
    return AppliedBlock(wanted.get_block_type_slug(), name, action)


def _action(name: str, wanted: CheckedBlock) -> Action:
    try:
        stored = find_block(type(wanted), name)
    except ConfigurationError:
        return "updated"  # what lies there cannot be used; it is being mended
    if stored is None:
        return "created"
    return "unchanged" if _values(stored) == _values(wanted) else "updated"


def _values(block: CheckedBlock) -> dict[str, object]:
    """The fields, secrets included: they compare, but never show."""
    return {key: getattr(block, key) for key in type(block).model_fields}

"""What a restore of a tree asks of the place it writes to, and what it tells of it afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

EXAMPLES: Final = 20
"""Names that a refusal lists; there may be hundreds of thousands."""


@dataclass(frozen=True)
class Keeps:
    """What a kind of target can hold besides folders and the content of files."""

    symlinks: bool = True
    hard_links: bool = True
    modes: bool = True


@dataclass(frozen=True)
class TreeFinding:
    """Something of the backup that a target did not take, or that lies beside it. ``count`` entries or folders."""

    code: str
    count: int
    message: str


SYMLINKS, HARD_LINKS, MODES, OWNERS, LINK_TIMES, FINE_TIMES = (
    "symlinks-not-kept",
    "hard-links-not-kept",
    "modes-not-kept",
    "owners-not-kept",
    "link-times-not-kept",
    "fractions-of-seconds-not-kept",
)
LEFTOVERS: Final = "leftovers-of-other-restores"

_WORDS: Final = {
    SYMLINKS: "{} symbolic links were not restored: the target holds none. `lifeboat files` shows where they point",
    HARD_LINKS: "{} further names of files (hard links) were not restored: the target holds none. Their content is "
    "there under the first name",
    MODES: "{} entries have no mode and owner: the target keeps none",
    OWNERS: "{} entries belong to the restoring account and not to whom they belonged: it may not give files away",
    LINK_TIMES: "{} symbolic links have another mtime: the server cannot set it",
    FINE_TIMES: "{} entries have an mtime of whole seconds: the protocol carries no fractions",
}


def loss_findings(losses: Mapping[str, int]) -> tuple[TreeFinding, ...]:
    """One finding per kind of which something was lost, in a fixed order."""
    return tuple(
        TreeFinding(code, losses[code], words.format(f"{losses[code]:,}") + ".")
        for code, words in _WORDS.items()
        if losses.get(code)
    )


def leftover_finding(names: Iterable[str]) -> tuple[TreeFinding, ...]:
    """Incomplete folders beside the target that this restore did not go on with."""
    found = sorted(names)
    if not found:
        return ()
    told = ", ".join(map(repr, found[:EXAMPLES]))
    return (
        TreeFinding(
            LEFTOVERS,
            len(found),
            f"Other restores left {told} beside the target; delete them when none runs.",
        ),
    )

"""The folder of a restored tree until it has its name, and what is done of it: a restore that died is gone on with.

``<target>.incomplete-<suffix>`` lies beside the target and holds ``tree``, which is renamed last of all, and the notes:
``restore.json`` says of which backup and selection it is, an empty ``part-<number>`` that all files of that part are in
and verified. A note is made after what it tells of; where that may not be on disk yet (a folder of this machine), the
notes hold until the machine starts anew, and no longer.

Nobody shares it: on this machine it is locked; elsewhere whoever goes on with it renames it first, so that an attempt
that still lives finds it gone.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from lifeboat.adapters.target_errors import refused
from lifeboat.adapters.tree_target import TREE, RestoreTarget, TargetSession
from lifeboat.errors import RestoreFailed
from lifeboat.model.tree import EntryKind
from lifeboat.stages.voyage import random_suffix

_MARK = b"restore.json"
_PART = b"part-"


@dataclass
class IncompleteTree:
    """One that this process alone works on; ``done`` are numbers of parts."""

    session: TargetSession
    folder: bytes
    done: set[int] = field(default_factory=set)
    resumed: bool = False
    leftovers: tuple[str, ...] = ()
    """Folders that other restores into the same target left behind."""

    @property
    def tree(self) -> bytes:
        return self.folder + b"/" + TREE

    def place(self, path: bytes) -> bytes:
        """Where an entry of the backup lies, relative to the folder above the target."""
        return self.tree + b"/" + path if path else self.tree

    def note(self, part: int) -> None:
        """All files of the part are in and verified."""
        self.session.write(self.folder + b"/" + _PART + b"%d" % part, b"")
        self.done.add(part)

    def name(self, target: bytes) -> None:
        """Give the tree its name, and clean up. Raises ``RestoreRefused`` when something has it by now."""
        self.session.rename(self.tree, target)
        _clear(self.session, self.folder)


def incomplete_tree(
    session: TargetSession, target: RestoreTarget, backup_id: str, digest: str
) -> IncompleteTree:
    """What an earlier attempt at the same left behind, or a new one.

    Raises ``RestoreRefused`` when the target is something else than an empty folder.
    """
    refuse_taken(session, target)
    mark = json.dumps({"backup": backup_id, "selection": digest, "since": session.epoch}).encode()
    prefix = target.name + b".incomplete-"
    found = sorted(name for name in session.names(b"") if name.startswith(prefix))
    ours = [folder for folder in found if _marked(session, folder) == mark]
    for folder in ours:
        building = _resumed(session, folder, prefix)
        if building is not None:
            break
    else:
        folder, building = b"", _new(session, prefix, mark)
    building.leftovers = tuple(os.fsdecode(name) for name in found if name != folder)
    return building


def refuse_taken(session: TargetSession, target: RestoreTarget) -> None:
    """Raise ``RestoreRefused`` when the target is something else than an empty folder."""
    kind = session.look(target.name)
    if kind is not None and (kind is not EntryKind.DIRECTORY or session.names(target.name)):
        raise refused(target.label)


def _marked(session: TargetSession, folder: bytes) -> bytes:
    if session.look(folder) is not EntryKind.DIRECTORY or _MARK not in session.names(folder):
        return b""
    return session.read(folder + b"/" + _MARK)


def _new(session: TargetSession, prefix: bytes, mark: bytes) -> IncompleteTree:
    folder = prefix + random_suffix().encode()
    session.make_folder(folder, again=False)
    # Also where that is a rename: what needs one at the end shall not learn then that it may not.
    seized = session.seize(folder, prefix + random_suffix().encode())
    if seized is None:
        raise RestoreFailed(f"{os.fsdecode(folder)!r} was taken by somebody else as soon as it was made.")
    building = IncompleteTree(session, seized)
    session.make_folder(building.tree, again=False)
    session.write(seized + b"/" + _MARK, mark)
    return building


def _resumed(session: TargetSession, folder: bytes, prefix: bytes) -> IncompleteTree | None:
    """None when another restore works on it, or when it died after the tree had got its name."""
    seized = session.seize(folder, prefix + random_suffix().encode())
    if seized is None:
        return None
    names = session.names(seized)
    if TREE not in names:
        _clear(session, seized)
        return None
    done = {int(name.removeprefix(_PART)) for name in names if _is_note(name)}
    return IncompleteTree(session, seized, done, resumed=True)


def _is_note(name: bytes) -> bool:
    return name.startswith(_PART) and name.removeprefix(_PART).isdigit()


def _clear(session: TargetSession, folder: bytes) -> None:
    for name in session.names(folder):
        session.remove(folder + b"/" + name)
    session.remove(folder)

"""Restore of a tree: files out of their parts into a new folder, directories and links around them.

Everything is written into ``<target>.incomplete-<suffix>`` beside the target, and gets its name last: what has no
name was not restored (decision D7). An attempt that died is gone on with, see ``incomplete_tree``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.adapters.tree_target import RestoreTarget, TargetSession
from lifeboat.errors import RestoreFailed, RestoreRefused
from lifeboat.model.names import name_text
from lifeboat.model.share_names import listed_problems
from lifeboat.model.tree import EntryKind, Member
from lifeboat.model.tree_index import TreeIndex
from lifeboat.model.tree_plan import TreePlan, Wanted, members_of, plan_tree
from lifeboat.model.tree_target import EXAMPLES, TreeFinding, leftover_finding, loss_findings
from lifeboat.stages.incomplete_tree import IncompleteTree, incomplete_tree

__all__ = ["RestoredTree", "Wanted", "restore_tree"]


@dataclass(frozen=True)
class RestoredTree:
    """What came back. ``folder`` is the target's label; ``fetched`` is the size of the sealed parts that were fetched,
    in bytes; ``resumed`` of the ``parts`` were there from an earlier attempt. ``findings`` tell what the target could
    not hold, and what lies beside it.
    """

    folder: str
    files: int
    size: int
    fetched: int
    seconds: float
    directories: int = 0
    symlinks: int = 0
    hard_links: int = 0
    parts: int = 0
    resumed: int = 0
    findings: tuple[TreeFinding, ...] = ()


def restore_tree(
    index: TreeIndex,
    target: RestoreTarget | Path,
    loader: Loader,
    *,
    wanted: Wanted = lambda _: True,
    jobs: int = 3,
) -> RestoredTree:
    """Bring the wanted entries of a backup into a folder that does not exist yet or is empty, with the directories
    above them. A path is a folder of this machine.

    Raises ``RestoreRefused`` when the folder holds something, nothing is wanted, or the target cannot hold a name; then
    nothing was written. Else ``RestoreFailed`` and what the parts raise; then what was written lies under a name that
    says it is incomplete, and the next attempt at the same goes on with it.
    """
    watch = clock.Stopwatch()
    if isinstance(target, Path):
        target = LocalRestoreTarget(target)
    with target.connect() as session:
        plan = plan_tree(index, wanted, session.keeps, target.name_problems())
        _refuse(plan, index, target)
        building = incomplete_tree(session, target, index.header.backup_id, plan.digest)
        work = _Work(plan, index, target, loader, building)
        resumed = len(building.done & plan.parts.keys())
        work.carry_out(jobs)
        building.name(target.name)
        counts = plan.counts
        return RestoredTree(
            folder=target.label,
            files=counts[EntryKind.FILE],
            size=plan.size,
            fetched=work.fetched,
            seconds=watch.seconds(),
            directories=counts[EntryKind.DIRECTORY],
            symlinks=counts[EntryKind.SYMLINK],
            hard_links=counts[EntryKind.HARDLINK],
            parts=len(plan.parts),
            resumed=resumed,
            findings=loss_findings(plan.losses + work.losses + session.losses)
            + leftover_finding(building.leftovers),
        )


def _refuse(plan: TreePlan, index: TreeIndex, target: RestoreTarget) -> None:
    if not plan.counts and not plan.losses and next(index.lines(), None) is not None:
        raise RestoreRefused(
            f"Nothing in {index.header.backup_id} matches.", hint="`lifeboat files` lists what there is."
        )
    if plan.without_first:
        path, first = map(name_text, plan.without_first[0])
        raise RestoreRefused(
            f"{len(plan.without_first)} names are of files whose first name was not asked for: '{path}' of '{first}'.",
            hint="Ask for both names.",
        )
    if plan.unholdable:
        count, listed = listed_problems(plan.unholdable, EXAMPLES)
        raise RestoreRefused(
            f"{target.label} cannot hold {count} names of the backup:\n{listed}",
            hint="Restore these into a folder of a server, and leave them out here with a pattern.",
        )


@dataclass
class _Work:
    plan: TreePlan
    index: TreeIndex
    target: RestoreTarget
    loader: Loader
    building: IncompleteTree
    fetched: int = 0
    losses: Counter[str] = field(default_factory=Counter)

    @property
    def session(self) -> TargetSession:
        return self.building.session

    def carry_out(self, jobs: int) -> None:
        for member in members_of(self.plan.folders):
            self.session.make_folder(self.building.place(member.entry.path), again=self.building.resumed)
        self._load_parts(jobs)
        if self.building.resumed:
            self._remove_links()
        self._compare()
        for member in members_of(self.plan.links):
            self._make_link(member)
        for member in _bottom_up(members_of(self.plan.folders)):
            self.session.settle(self.building.place(member.entry.path), member.entry)

    def _load_parts(self, jobs: int) -> None:
        """What is done is noted one by one: a part that fails costs no other."""
        missing = [number for number in self.plan.parts if number not in self.building.done]
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            loads = {pool.submit(self._load, number): number for number in missing}
            try:
                for load in as_completed(loads):
                    self.losses += load.result()
                    self.building.note(loads[load])
                    self.fetched += self.index.header.part(loads[load]).size
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _load(self, number: int) -> Counter[str]:
        return self.loader.files(
            self.index.header.part(number),
            self.plan.parts[number],
            self.target,
            self.building.tree,
            again=self.building.resumed,
        )

    def _remove_links(self) -> None:
        """Those of an earlier attempt: they are made anew, and are not counted before."""
        for member in members_of(self.plan.links):
            place = self.building.place(member.entry.path)
            if self.session.look(place) is not None:
                self.session.remove(place)

    def _compare(self) -> None:
        """What the folders hold by now, against the index: nothing is missing, and nothing came in between."""
        for path, held in self.plan.held.items():
            entries, size = self.session.measure(self.building.place(path), sizes=self.building.resumed)
            if entries != held.entries or size not in (None, held.size):
                raise RestoreFailed(
                    f"'{name_text(self.building.place(path))}' beside {self.target.label} holds {entries} entries"
                    f"{'' if size is None else f' of {size} bytes'} and must hold {held.entries} of {held.size}.",
                    hint="Somebody else writes there, or the target holds fewer names than the backup. Delete the "
                    "incomplete folder, and restore again.",
                )

    def _make_link(self, member: Member) -> None:
        entry = member.entry
        place = self.building.place(entry.path)
        if entry.kind is EntryKind.SYMLINK:
            self.session.symlink(place, entry)
        else:
            self.session.hard_link(place, self.building.place(entry.target))


def _bottom_up(folders: Iterator[Member]) -> Iterator[Member]:
    """Each after those below it: a change in a directory would touch its mtime again."""
    above: list[Member] = []
    for member in folders:
        while above and not member.entry.path.startswith(above[-1].entry.path + b"/"):
            yield above.pop()
        above.append(member)
    yield from reversed(above)

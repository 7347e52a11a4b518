"""Doctor, the store: does it answer, is there room, does it give back what it took, who may delete?"""

from __future__ import annotations

from collections.abc import Iterator

from lifeboat import clock
from lifeboat.adapters.store import FreeSpace, StoreTarget
from lifeboat.errors import StoreDenied, StoreObjectExists
from lifeboat.model.outcome import human_bytes
from lifeboat.model.policy_environment import Environment
from lifeboat.stages.catalog import read_whole
from lifeboat.stages.doctor import Check, clock_check, failed, ok, warning
from lifeboat.stages.voyage import random_suffix


def check_store(
    subject: str, target: StoreTarget, pruning: StoreTarget, environment: Environment, *, usual: int = 0
) -> Iterator[Check]:
    """Reachable, room left, and what is written can be read back. ``usual``: bytes of the newest backups together.

    Leaves a small object ``probe-…`` behind where no account may delete it.
    """
    with target.connect() as store:
        count = len(store.list())
        space = store.free_space()
    pinned = ", with the pinned host key" if environment.store.kind == "sftp" else ""
    yield ok(subject, f"{target.label} answers{pinned} and lists {count:,} objects")
    yield space_check(subject, space, environment.store.reserve, usual)
    yield from _probe(subject, target, pruning, environment)


def space_check(subject: str, space: FreeSpace | None, reserve: int, usual: int) -> Check:
    """Whether two more backups of the usual size fit above the reserve of the policy."""
    if space is None:
        return warning(subject, "the store does not tell its free space", "Watch it on the NAS itself.")
    told = f"{human_bytes(space.available)} of {human_bytes(space.total)} are free"
    if space.available < reserve:
        return failed(
            subject,
            f"{told}, less than the reserve of {human_bytes(reserve)}",
            "Enlarge the store: nothing is deleted to make room.",
        )
    if space.available < reserve + 2 * usual:
        return warning(
            subject,
            f"{told}: not two more backups of {human_bytes(usual)} above the {human_bytes(reserve)} of reserve",
            "Enlarge the store soon.",
        )
    return ok(subject, f"{told}, the reserve is {human_bytes(reserve)}")


def _probe(
    subject: str, target: StoreTarget, pruning: StoreTarget, environment: Environment
) -> Iterator[Check]:
    name = f"probe-{clock.utc_now():%Y%m%dT%H%M%SZ}-{random_suffix()}"
    content = name.encode()
    with target.connect() as store:
        store.create_new(name, [content])
        synced = store.fsync_supported
    with target.connect() as store:
        back = read_whole(store, name)
        modified = store.stat(name).modified
    if back != content:
        yield failed(
            subject,
            f"{name} reads back other than it was written",
            "Do not trust this store; test its disks.",
        )
        return
    yield ok(subject, "what one connection wrote, another one read back")
    if not synced:
        yield warning(
            subject,
            "the store does not write through to its disk on request",
            "A power failure may cost the newest objects; use a server with fsync@openssh.com, or a battery.",
        )
    if modified:
        yield clock_check(subject, modified - clock.utc_now(), "the store")
    yield from _write_once(subject, name, target, pruning, environment)


def _write_once(
    subject: str, name: str, target: StoreTarget, pruning: StoreTarget, environment: Environment
) -> Iterator[Check]:
    """What the uploading account may do with an object that is there; the probe is deleted if anybody may."""
    try:
        with target.connect() as store:
            store.create_new(name, [b"again"])
        yield failed(
            subject,
            f"{name} could be written a second time",
            "Objects must be created once; mend the server.",
        )
        return
    except StoreObjectExists:
        pass
    if not _deleted(target, name):
        yield ok(
            subject, "write-once proven: overwriting and deleting are denied to the account that uploads"
        )
        yield from _pruning_check(subject, name, pruning, environment)
    elif environment.store.prune_block:
        yield warning(
            subject,
            "the account that uploads can also delete, although the policy names another one for pruning",
            "Deny it remove, rename and setstat (clause P3): whoever takes over a worker could delete every backup.",
        )
    else:
        yield ok(subject, "not write-once: one account uploads and prunes, as the policy has no prune_block")


def _pruning_check(
    subject: str, name: str, pruning: StoreTarget, environment: Environment
) -> Iterator[Check]:
    if _deleted(pruning, name):
        yield ok(subject, "the account that prunes may delete")
        return
    account = (
        f"block {environment.store.prune_block!r}"
        if environment.store.prune_block
        else "the uploading account"
    )
    yield failed(
        subject,
        f"nothing can be pruned: {account} may not delete either; {name} stays on the store",
        "Give store.prune_block of the policy an account that may delete, used for nothing else.",
    )


def _deleted(target: StoreTarget, name: str) -> bool:
    try:
        with target.connect() as store:
            store.delete_exact(name)
    except StoreDenied:
        return False
    return True

"""Doctor: is everything there that the next backup will need, and if not, what to do?

Each check is a plain generator of results. It looks for itself and believes nobody: a server is asked, an object is
written and read back. What a check cannot survive ends that check, never the others.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psycopg
import pyrage

from lifeboat import clock
from lifeboat.adapters import postgres_inventory as inventory
from lifeboat.adapters.postgres import PostgresServer, Session, server_major
from lifeboat.adapters.store import FreeSpace, StoreTarget
from lifeboat.errors import LifeboatError, StoreDenied, StoreObjectExists
from lifeboat.model.outcome import human_bytes
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.stages.catalog import read_whole
from lifeboat.stages.snapshot import SKEW_LIMIT, take_census
from lifeboat.stages.voyage import Keys, random_suffix, spool_root

PROGRAMS = ("pg_dump", "pg_dumpall", "psql")
LOSSES_SHOWN = 5


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's answer. ``next_step`` says what to do, unless all is well."""

    subject: str
    verdict: Verdict
    message: str
    next_step: str = ""


def ok(subject: str, message: str) -> Check:
    return Check(subject, Verdict.OK, message)


def warning(subject: str, message: str, next_step: str) -> Check:
    return Check(subject, Verdict.WARNING, message, next_step)


def failed(subject: str, message: str, next_step: str) -> Check:
    return Check(subject, Verdict.FAILED, message, next_step)


def examined(subject: str, checks: Iterable[Check]) -> list[Check]:
    """The results of ``checks``, and a failed one for the error that ended them."""
    results = []
    try:
        for check in checks:
            results.append(check)
    except LifeboatError as error:
        results.append(
            failed(subject, error.message, error.hint or "Mend this first, then ask the doctor again.")
        )
    return results


def check_server(subject: str, server: PostgresServer, source: PostgresSource) -> Iterator[Check]:
    """Reachable, the right programs, the databases of the policy, all of it readable, clocks alike."""
    try:
        with server.connect() as session:
            major = server_major(session)
            yield ok(subject, f"PostgreSQL {major} answers as {server.label}")
            yield _clock_check(subject, _server_clock(session), "the server")
            present = inventory.list_databases(session)
        for program in PROGRAMS:
            server.program(program, major)
        yield ok(subject, f"{', '.join(PROGRAMS)} of PostgreSQL {major} are on this host")
        census = take_census(present, source, where=subject)
        for finding in census.findings:
            yield warning(subject, finding.message, "Add it to `databases` of the policy, or to `skip`.")
        for name in census.names:
            with server.connect(name) as session:
                yield _losses_check(subject, name, inventory.losses(session))
    except psycopg.Error as error:
        yield failed(
            subject, " ".join(str(error).split()), "Look at the server's log; the backup would fail likewise."
        )


def _losses_check(subject: str, database: str, losses: list[str]) -> Check:
    if not losses:
        return ok(subject, f"database {database!r}: everything in it can be read")
    more = f"; and {len(losses) - LOSSES_SHOWN} more" if len(losses) > LOSSES_SHOWN else ""
    return failed(
        subject,
        f"database {database!r} would not be backed up whole: {'; '.join(losses[:LOSSES_SHOWN])}{more}",
        "Grant the backup role pg_read_all_data, BYPASSRLS where row-level security is on, and SELECT on large "
        "objects (or membership in their owners); a backup of less is refused.",
    )


def _server_clock(session: Session) -> dt.timedelta:
    """How far the server's clock is ahead of ours, give or take the question's way there and back."""
    before = clock.utc_now()
    row = session.execute("SELECT clock_timestamp()").fetchone()
    after = clock.utc_now()
    assert row is not None and isinstance(row[0], dt.datetime)
    return row[0].astimezone(dt.UTC) - (before + (after - before) / 2)


def _clock_check(subject: str, skew: dt.timedelta, whose: str) -> Check:
    seconds = skew.total_seconds()
    if abs(skew) <= SKEW_LIMIT:
        return ok(subject, f"the clock of {whose} agrees with this host's to {abs(seconds):.0f} s")
    return failed(
        subject,
        f"the clock of {whose} is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this host's",
        "Set both by NTP: while they differ, nothing is pruned.",
    )


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
        yield _clock_check(subject, modified - clock.utc_now(), "the store")
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


def check_spool(subject: str, environment: Environment) -> Iterator[Check]:
    """Whether sealed parts can wait on this host."""
    root = spool_root(environment)
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    if existing != root and not os.access(existing, os.W_OK | os.X_OK):
        yield failed(
            subject,
            f"the spool {root} does not exist and cannot be made",
            f"Create it: mkdir -p -m 0700 {root}",
        )
        return
    try:
        with tempfile.TemporaryFile(dir=existing):
            yield ok(subject, f"{root} {'can be written to' if existing == root else 'will be made'}")
    except OSError as error:
        yield failed(
            subject,
            f"the spool {root} cannot be written to: {error.strerror}",
            f"chown it to this user: {root}",
        )
        return
    yield _spool_space(subject, existing, environment.spool.limit)


def _spool_space(subject: str, folder: Path, limit: int) -> Check:
    free = shutil.disk_usage(folder).free
    if free < limit:
        return warning(
            subject,
            f"{human_bytes(free)} are free on its disk, the policy lets it grow to {human_bytes(limit)}",
            "Give it a larger disk, or lower spool.limit.",
        )
    return ok(subject, f"{human_bytes(free)} are free on its disk, its limit is {human_bytes(limit)}")


def check_keys(subject: str, keys: Keys, environment: Environment) -> Iterator[Check]:
    """Recipients as the policy wants them, a signature that verifies, an index identity that opens."""
    yield ok(subject, f"{len(keys.recipients)} recipients, as the policy names {len(environment.recipients)}")
    keys.trusted.verify(keys.signer.sign({"kind": "doctor"}), where="The doctor's own statement")
    earlier = len(keys.trusted.keys) - 1
    yield ok(subject, f"signing key {keys.signer.key_id} is trusted, with {earlier} earlier ones")
    sealed = pyrage.encrypt(b"doctor", [pyrage.x25519.Recipient.from_str(keys.index_recipient)])
    try:
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(keys.index_identity)])
    except pyrage.DecryptError:
        yield failed(
            subject,
            "the index identity does not open what is sealed for it",
            "Make one: lifeboat keygen index",
        )
        return
    if keys.index_recipient in keys.recipients:
        yield failed(
            subject,
            "the index identity is also a recipient of parts: the worker could open every backup",
            "Make one for indexes alone: lifeboat keygen index (design §4)",
        )
        return
    yield ok(subject, "the index identity opens indexes, and no part")


def check_next_run(
    subject: str, upcoming: dt.datetime | None, now: dt.datetime, longest: dt.timedelta
) -> Check:
    """``upcoming``: the next scheduled run of the environment's deployment; ``longest``: between two runs."""
    if upcoming is None:
        return failed(
            subject,
            "its deployment has no scheduled run in the future",
            "Is its schedule active, and the server's scheduler at work? Its log shows InvalidRequestError with "
            "SQLAlchemy 2.1: install what requirements.lock says.",
        )
    told = f"the next run is scheduled for {upcoming.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    if upcoming - now > longest + dt.timedelta(minutes=5):
        return warning(
            subject, f"{told}, later than the policy's schedule", "Deploy again: prefect deploy --all"
        )
    return ok(subject, told)

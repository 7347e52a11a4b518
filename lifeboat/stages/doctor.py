"""Doctor: is everything there that the next backup will need, and if not, what to do?

Each check is a plain generator of results. It looks for itself and believes nobody: a server is asked, an object is
written and read back (``doctor_store``). What a check cannot survive ends that check, never the others.
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
from lifeboat.adapters.hooks import HookedTree, Hooks
from lifeboat.adapters.postgres import PostgresServer, Session, server_major
from lifeboat.adapters.tree import EntryKind, TreeOrigin
from lifeboat.errors import LifeboatError
from lifeboat.model.outcome import human_bytes
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.stages.snapshot import PROGRAMS, SKEW_LIMIT, take_census
from lifeboat.stages.voyage import Keys, spool_root

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
    with server.connect() as session:
        major = server_major(session)
        yield ok(subject, f"PostgreSQL {major} answers as {server.label}")
        yield clock_check(subject, _server_clock(session), "the server")
        present = inventory.list_databases(session)
    yield from examined(subject, _check_programs(subject, server, major))
    yield from examined(subject, _check_census(subject, present, source))
    ignored = {*source.skip, *source.internal_databases}
    for name in present:
        if name not in ignored:
            yield from examined(subject, _check_database(subject, server, name))


def _check_programs(subject: str, server: PostgresServer, major: int) -> Iterator[Check]:
    for program in PROGRAMS:
        server.program(program, major)
    yield ok(subject, f"{', '.join(PROGRAMS)} of PostgreSQL {major} are on this host")


def _check_census(subject: str, present: list[str], source: PostgresSource) -> Iterator[Check]:
    census = take_census(present, source, where=subject)
    yield ok(subject, f"all {len(source.databases)} databases of the policy are there")
    for finding in census.findings:
        yield warning(subject, finding.message, "Add it to `databases` of the policy, or to `skip`.")


def _check_database(subject: str, server: PostgresServer, name: str) -> Iterator[Check]:
    with server.connect(name) as session:
        try:
            yield _losses_check(subject, name, inventory.losses(session))
        except psycopg.Error as error:
            told = " ".join(str(error).split())
            yield failed(
                subject, f"database {name!r}: {told}", "Look at the server's log; a backup would fail too."
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


def clock_check(subject: str, skew: dt.timedelta, whose: str) -> Check:
    """``skew`` is how far ahead of ours the other clock is (F35)."""
    seconds = skew.total_seconds()
    if abs(skew) <= SKEW_LIMIT:
        return ok(subject, f"the clock of {whose} agrees with this host's to {abs(seconds):.0f} s")
    return failed(
        subject,
        f"the clock of {whose} is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this host's",
        "Set both by NTP: while they differ, nothing is pruned.",
    )


def check_tree(subject: str, origin: TreeOrigin) -> Iterator[Check]:
    """Whether the account may freeze and read it, by doing so; an export is asked for whole, and kept nowhere.

    Hooks are not run: nothing is frozen for a question.
    """
    if isinstance(origin, HookedTree):
        yield from _check_hooks(subject, origin.hooks)
        return
    with origin.frozen() as view, view.target.connect() as tree:
        first = next((entry for entry in tree.walk() if entry.kind is EntryKind.FILE), None)
        if first is not None:
            tree.open(first).close()
    for finding in view.findings:
        yield warning(subject, finding.message, "The next backup will say so, too.")
    if first is None:
        yield warning(subject, f"{origin.label} holds no file", "Is it the right place, and mounted?")
    else:
        yield ok(subject, f"{origin.label} can be read")


def _check_hooks(subject: str, hooks: Hooks) -> Iterator[Check]:
    for command in (hooks.before, hooks.after):
        if shutil.which(command[0]) is None:
            hint = "Install it on the worker, or write its full path into the policy."
            yield failed(subject, f"the hook {command[0]!r} is no program of this host", hint)
            return
    yield ok(subject, "the programs of its hooks are there; they were not run, so nothing was read")


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

"""Restore: databases of a backup into new databases of a server.

Schema first, then the rows of all tables in parallel, the indexes of each as soon as its rows are in, and a foreign key
as soon as both its tables are; what else ties tables to each other comes last. Until everything is in and verified the
database is called ``….incomplete-…``; only then does it get its name (F53). Nothing of a dump ever goes through psql
(F54). A restore that died is gone on with: what is in and verified is not fetched again.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lifeboat import clock
from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer, conninfo, server_major
from lifeboat.adapters.postgres_objects import objects_present
from lifeboat.errors import RestoreFailed, RestoreRefused
from lifeboat.model.index import Index, IndexPart
from lifeboat.model.restore_plan import DatabaseRestore, RestorePlan
from lifeboat.model.restore_toc import PostData, in_loading_order, parse_toc, plan_post_data
from lifeboat.stages.database_properties import name_database
from lifeboat.stages.incomplete_database import (
    PRE_DATA,
    REST,
    REST_BEGUN,
    SCHEMA,
    IncompleteDatabase,
    incomplete_database,
    part_step,
)
from lifeboat.stages.private_folder import private_folder

LARGE = 32 * 2**20
"""Plain bytes of a part above which its indexes are worth more than one process."""
_RESTORE = ("--exit-on-error", "--no-password", "--no-tablespaces", "--format=custom")


@dataclass(frozen=True)
class RestoredDatabase:
    """One database, back under ``target``. ``seconds`` from creating it to naming it; ``resumed`` parts were there from
    an earlier attempt."""

    name: str
    target: str
    tables: int
    rows: int
    seconds: float
    findings: tuple[str, ...]
    resumed: int = 0


def restore_database(
    plan: RestorePlan, wanted: DatabaseRestore, loader: Loader, server: PostgresServer, *, jobs: int
) -> RestoredDatabase:
    """Bring one database back, or go on with an attempt that died.

    On any failure the target keeps its ``.incomplete-`` name; raises ``LifeboatError``.
    """
    watch = clock.Stopwatch()
    with server.connect() as session:
        major = server_major(session)
    _refuse_other_major(plan.index, major, server)
    with incomplete_database(server, wanted, plan.index.backup_id, options=plan.owner) as building:
        resumed = sum(part_step(number) in building.steps for number in wanted.parts)
        with private_folder() as folder:
            work = _Work(plan, wanted, loader, server, building, major, folder, jobs)
            work.carry_out()
        findings = name_database(server, wanted.source, building.name, wanted.target, owner=plan.owner)
    return RestoredDatabase(
        name=wanted.source.name,
        target=wanted.target,
        tables=len(wanted.tables),
        rows=sum(table.rows for table in wanted.tables),
        seconds=watch.seconds(),
        findings=(*findings, *_notes(plan, wanted, building)),
        resumed=resumed,
    )


def _notes(plan: RestorePlan, wanted: DatabaseRestore, building: IncompleteDatabase) -> list[str]:
    notes = []
    if wanted.partial:
        notes.append("only some tables: foreign keys, triggers and sequence values were left out")
    if plan.owner:
        notes.append(f"everything belongs to {plan.owner!r}; owners and grants of the backup were left out")
    if building.leftovers:
        left = ", ".join(map(repr, building.leftovers))
        notes.append(f"other restores left {left} behind: drop what nobody looks at any more")
    return notes


def _refuse_other_major(index: Index, major: int, server: PostgresServer) -> None:
    if major < index.server_major:
        raise RestoreRefused(
            f"The backup is of PostgreSQL {index.server_major}, {server.label} runs {major}.",
            hint=f"Restore into PostgreSQL {index.server_major} or later.",
        )


class _Ties:
    """Foreign keys whose tables are in several parts: each is made by whoever brings the last of its parts."""

    def __init__(self, after_parts: Mapping[frozenset[int], Sequence[str]]) -> None:
        self._waiting = dict(after_parts)
        self._there: set[int] = set()
        self._books, self._making = threading.Lock(), threading.Lock()

    @contextmanager
    def of(self, part: int) -> Iterator[list[str]]:
        """Lines to make now that this part is there with its indexes. One at a time: two foreign keys made at once
        from A to B and from B to A would wait for each other's locks."""
        with self._books:
            self._there.add(part)
            ready = [parts for parts in self._waiting if parts <= self._there]
            lines = [line for parts in ready for line in self._waiting.pop(parts)]
        with self._making if lines else nullcontext():
            yield lines


@dataclass(frozen=True)
class _Work:
    """One database on its way from its parts into ``building``; ``folder`` is private and in memory."""

    plan: RestorePlan
    wanted: DatabaseRestore
    loader: Loader
    server: PostgresServer
    building: IncompleteDatabase
    major: int
    folder: Path
    jobs: int

    @property
    def archive(self) -> Path:
        return self.folder / "schema"

    def carry_out(self) -> None:
        """Whatever of it is not done yet."""
        self.loader.file(self.plan.index.part(self.wanted.source.schema_part), self.archive)
        if not self.building.loaded and PRE_DATA not in self.building.steps:
            self._pg_restore("--section=pre-data")
            self.building.done(PRE_DATA)
        post_data = self._post_data()
        if not self.building.loaded:
            self._make("at once", post_data.at_once)
            self._load(post_data)
            self.building.set_loaded()
            post_data = PostData((), last=post_data.last)
        self._make_last(post_data)

    def _make_last(self, post_data: PostData) -> None:
        self._make("last", post_data.all_in_order, jobs=self.jobs)

    def _load(self, post_data: PostData) -> None:
        """The parts that are not in yet, ``jobs`` at once."""
        index, ties = self.plan.index, _Ties(post_data.after_parts)
        work: dict[int, Callable[[], None]] = {
            number: partial(self._load_part, index.part(number), post_data, ties)
            for number in self.wanted.parts
        }
        if not self.wanted.partial and REST not in self.building.steps:
            work[self.wanted.source.rest_part] = self._load_rest
        sizes = {number: index.part(number).plain_bytes for number in work}
        order = in_loading_order(sizes, post_data.after_parts)
        with ThreadPoolExecutor(max_workers=self.jobs) as pool:
            futures: list[Future[None]] = [pool.submit(work[number]) for number in order]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _load_part(self, part: IndexPart, post_data: PostData, ties: _Ties) -> None:
        """Its tables, then their indexes, and then what ties them to tables that are there already."""
        if part_step(part.number) not in self.building.steps:
            self.loader.tables(
                part,
                [table for table in self.wanted.tables if table.part == part.number],
                self.server,
                self.building.name,
                self.wanted.source.properties.encoding,
                note=(SCHEMA, part_step(part.number)),
            )
        lines = post_data.after_part.get(part.number, ())
        parallel = self.jobs if part.plain_bytes >= LARGE and len(lines) > 1 else 1
        self._make(f"part-{part.number}", lines, jobs=parallel)
        with ties.of(part.number) as foreign_keys:
            self._make(f"ties-{part.number}", foreign_keys)

    def _load_rest(self) -> None:
        # Large objects cannot be loaded over what is there: an attempt that died in here begins anew.
        self.building.done(REST_BEGUN)
        argv = [
            self.server.program("pg_restore", self.major),
            *self._options(),
            "--section=data",
            f"--dbname={conninfo(self.building.name)}",
        ]
        part = self.plan.index.part(self.wanted.source.rest_part)
        self.loader.program(part, argv, self.server.environment())
        self.building.done(REST)

    def _post_data(self) -> PostData:
        with self.server.connect(self.building.name) as session:
            present = objects_present(session)
        # Verbosely, what an entry needs is told, and entries of all sections; else only those of one.
        entries = parse_toc(self._listing("--verbose"))
        wanted = {entry.number for entry in parse_toc(self._listing("--section=post-data"))}
        return plan_post_data(
            entries,
            [entry for entry in entries if entry.number in wanted],
            self.wanted.tables,
            partial=self.wanted.partial,
            present=present,
        )

    def _listing(self, option: str) -> str:
        argv = [self.server.program("pg_restore", self.major), "--list", option, str(self.archive)]
        # Bytes that are no UTF-8 (names of an SQL_ASCII database) go through as they are.
        return subprocess.run(argv, capture_output=True, check=True).stdout.decode(errors="surrogateescape")

    def _make(self, name: str, lines: Sequence[str], *, jobs: int = 1) -> None:
        """Make the entries of these lines, in their order or several at once."""
        if not lines:
            return
        path = self.folder / f"{name} list"
        path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
        # Without --section: a comment counts to that of the entry before it, and at the top of a list to none.
        self._pg_restore(f"--use-list={path}", f"--jobs={jobs}")

    def _pg_restore(self, *options: str) -> None:
        argv = [
            self.server.program("pg_restore", self.major),
            *self._options(),
            f"--dbname={conninfo(self.building.name)}",
            *options,
            str(self.archive),
        ]
        done = subprocess.run(argv, env=self.server.environment(), capture_output=True, check=False)
        if done.returncode != 0:
            raise RestoreFailed(
                f"pg_restore into {self.building.name!r}: {without_rows(done.stderr)}",
                hint="Mend the cause and restore again: what is in is not fetched again. Or drop the database.",
            )

    def _options(self) -> tuple[str, ...]:
        owner = ("--no-owner", "--no-privileges", f"--role={self.plan.owner}") if self.plan.owner else ()
        return (*_RESTORE, *owner)


def without_rows(complaints: bytes) -> str:
    """What a program said, without the lines that quote values of rows (F50)."""
    lines = complaints.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if not re.match(r"(?:DETAIL|CONTEXT):", line)).strip()

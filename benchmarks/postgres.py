"""Lifeboat against what one would write by hand, in one run, interleaved, on data made for it.

Prints a table and writes ``.benchmark/postgres-<case>.json``; see ``benchmarks/README.md`` for how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data
from benchmarks.contestants import Contestant, Field
from benchmarks.measure import CommandFailed, Measured, idle_memory, measure
from benchmarks.nas import running_nas
from benchmarks.results import Trial, machine, report, summary
from lifeboat import clock
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.postgres_cluster import Cluster

SETTINGS = {
    "shared_buffers": "512MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}
"""What differs from PostgreSQL's defaults, for all contestants. Durability (fsync, full_page_writes,
synchronous_commit, wal_level) is as it comes; each trial begins with a checkpoint and a sync."""

CASES: dict[str, Callable[[PostgresServer, float], tuple[str, ...]]] = {
    "company": data.create_company,
    "many": data.create_many,
}
IDLE = {
    "python -m benchmarks.sailor": "benchmarks.sailor",
    "python -m lifeboat.adapters.sealing_child": "lifeboat.adapters.sealing_child, lifeboat.adapters.copy_streams",
    # A loading child imports the store's adapter when it unpacks its job, and psycopg when that is of tables.
    "python -m lifeboat.adapters.loading_child": (
        "lifeboat.adapters.loading_child, lifeboat.adapters.store_sftp, lifeboat.adapters.table_sink"
    ),
}
"""Lifeboat's processes, and the modules each has imported when it starts to work."""


@dataclass(frozen=True)
class Race:
    """All trials on one field."""

    field: Field
    rows: dict[str, dict[str, int]]

    def round(self, number: int) -> list[Trial]:
        """Everybody's backup, then everybody's restore; each round begins with another contestant."""
        folders = {one.key: self.field.nas.new_folder(f"{one.key}-{number}") for one in self.field.backups()}
        folders["local"] = self.field.local
        trials = []
        for contestant in _rotated(self.field.backups(), number):
            trials.append(self._back_up(contestant, folders[contestant.key]))
        for contestant in _rotated(self.field.restores(), number):
            trials.append(self._bring_back(contestant, folders[contestant.key]))
        shutil.rmtree(self.field.nas.folder)
        return trials

    def warm_up(self) -> None:
        """One restore that does not count: the first into a new cluster makes the WAL files that later ones use again,
        which cost whoever came first 3 to 8 s."""
        local = next(contestant for contestant in self.field.restores() if contestant.key == "local")
        self._bring_back(local, self.field.local)

    def _back_up(self, contestant: Contestant, folder: Path) -> Trial:
        if contestant.prepare:
            measure(contestant.prepare(folder))
        measured = self._time(contestant, folder)
        stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return Trial("backup", contestant.key, contestant.label, measured, _own_times(measured), stored)

    def _bring_back(self, contestant: Contestant, folder: Path) -> Trial:
        measured = self._time(contestant, folder)
        self._compare_and_drop(contestant)
        return Trial("restore", contestant.key, contestant.label, measured, _own_times(measured))

    def _time(self, contestant: Contestant, folder: Path) -> Measured:
        print(f"  {contestant.label}", end="", flush=True)
        with self.field.server.connect() as session:
            session.execute("CHECKPOINT")
        os.sync()
        measured = measure(contestant.command(folder))
        print(f": {measured.seconds:.1f} s")
        return measured

    def _compare_and_drop(self, contestant: Contestant) -> None:
        """What came back has as many rows as went away; then it makes room for the next."""
        for source in self.field.databases:
            restored = [name for name in _databases(self.field.server) if name.startswith(f"{source}-")]
            if len(restored) != 1 or data.row_counts(self.field.server, restored[0]) != self.rows[source]:
                raise CommandFailed(f"{contestant.label} did not bring {source!r} back: {restored}")
            with self.field.server.connect() as session:
                session.execute(f'DROP DATABASE "{restored[0]}"'.encode())


def _rotated(contestants: list[Contestant], by: int) -> list[Contestant]:
    by %= len(contestants)
    return contestants[by:] + contestants[:by]


def _own_times(measured: Measured) -> dict[str, float]:
    """What Lifeboat says about itself; the shell lines say nothing."""
    return dict(json.loads(measured.output)) if measured.output.startswith("{") else {}


def _databases(server: PostgresServer) -> list[str]:
    with server.connect() as session:
        return [str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()]


def run(case: str, *, major: int, scale: float, rounds: int, scratch: Path | None) -> dict[str, object]:
    """One case from an empty folder to its report; everything it started and wrote is gone afterwards."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeboat-benchmark-", dir=scratch))
        )
        folder.chmod(0o755)  # the PostgreSQL server and the account of the store run as other users
        description = machine(folder, SETTINGS, major)
        nas = stack.enter_context(running_nas(folder / "nas"))
        cluster = stack.enter_context(Cluster(folder / "cluster", major, settings=SETTINGS))
        print(f"{case}, scale {scale:g}, PostgreSQL {major}: making the data", flush=True)
        databases = CASES[case](cluster.server, scale)
        field = Field(cluster.server, major, nas, folder, databases)
        measure(field.lay_out())
        race = Race(field, {name: data.row_counts(cluster.server, name) for name in databases})
        print("warming up, not counted", flush=True)
        race.warm_up()
        trials = []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            trials += race.round(number)
        idle = {name: idle_memory(modules) for name, modules in IDLE.items()}
    return {
        "case": case,
        "scale": scale,
        "rounds": rounds,
        "taken_at": clock.utc_now().isoformat(timespec="seconds"),
        "machine": description,
        "databases": len(databases),
        "rows": sum(sum(tables.values()) for tables in race.rows.values()),
        "idle_memory": idle,
        "results": summary(trials, idle),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--case", choices=CASES, default="company", help="one large database, or many small ones"
    )
    parser.add_argument("--major", type=int, default=15, help="PostgreSQL's major version")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 1.2 GB of COPY text, or 50 databases")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs")
    parser.add_argument(
        "--scratch", type=Path, help="where data, store and spool lie; needs about 10 GB at scale 1"
    )
    parser.add_argument("--output", type=Path, default=Path(".benchmark"), help="folder of the JSON file")
    choice = parser.parse_args()
    found = run(
        choice.case, major=choice.major, scale=choice.scale, rounds=choice.rounds, scratch=choice.scratch
    )
    choice.output.mkdir(parents=True, exist_ok=True)
    path = choice.output / ("postgres.json" if choice.case == "company" else f"postgres-{choice.case}.json")
    path.write_text(json.dumps(found, indent=2) + "\n")
    report(found)
    print(f"Written to {path}")

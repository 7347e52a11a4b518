"""kill -9 at every step (F1, F3, F40): nothing is committed that does not restore, older backups are untouched, the
status tells the truth, and the next run needs no cleaning."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat import clock
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.spool import sweep
from lifeboat.adapters.store_local import LocalTarget

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]

BACKUP_KILLS = [
    ("survey", "before"), ("freeze", "after"), ("dump", "before"), ("seal", "after"), ("dump", "after"),
    ("upload", "before"), ("send", "middle"), ("send", "after"), ("upload", "after"), ("check", "before"),
    ("check", "after"), ("index", "before"), ("index", "middle"), ("index", "after"), ("commit", "before"),
    ("commit", "middle"), ("commit", "after"),
]  # fmt: skip
PRUNE_KILLS = [
    ("record", "before"),
    ("record", "middle"),
    ("record", "after"),
    ("delete", "before"),
    ("delete", "after"),
]
RESTORE_KILLS = [
    ("create", "before"),
    ("create", "after"),
    ("load", "before"),
    ("load", "after"),
    ("finish", "before"),
]


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    folder = tmp_path_factory.mktemp("kill")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    (folder / "store").mkdir()
    with Cluster(folder / "postgres", MAJORS[-1], settings={"fsync": "off"}) as cluster:
        server = FixedPassword.of(cluster)
        with server.connect() as session:
            session.execute("CREATE DATABASE shop")
        with server.connect("shop") as session:
            session.execute("CREATE TABLE t (id int PRIMARY KEY, s text)")
            session.execute("INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
        ship = Ship(server=server, store=LocalTarget(folder / "store"), folder=folder, databases=("shop",))
        ship.backup()
        yield ship


def run_and_die(ship: Ship, action: str, step: str, moment: str, **arguments: object) -> None:
    """Run the action in a process that kills itself, and insist that it did and left no child behind."""
    ship_file = ship.folder / "ship"
    ship_file.write_bytes(pickle.dumps((ship, arguments)))
    argv = [sys.executable, "-m", "support.killed_run", str(ship_file), action, step, moment]
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent)])
    done = subprocess.run(
        argv,
        env=os.environ | {"PYTHONPATH": path, "LIFEBOAT_TEST_MARK": str(ship.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    limit = clock.Deadline.after(5)
    while (left := leftovers(ship)) and not limit.passed():
        clock.sleep(0.1)
    assert not left


def leftovers(ship: Ship) -> list[str]:
    """Processes that belong to the killed run: they carry its mark, or talk to its server."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("LIFEBOAT_TEST_MARK") == str(ship.folder) or environment.get("PGPORT") == str(
                ship.server.port
            ):
                found.append(" ".join(process.cmdline()))
    return found


def prove(ship: Ship) -> None:
    """The oracle: no doubts, every committed backup restores equal, and another backup can be taken."""
    catalog = ship.catalog()
    assert not catalog.doubts
    for entry in catalog.entries[-2:]:
        (restored,) = ship.restore(entry.manifest.backup_id, databases=["shop"])
        assert dump_text(ship.server, restored.target, MAJORS[-1]) == dump_text(
            ship.server, "shop", MAJORS[-1]
        )
        with ship.server.connect() as session:
            session.execute(f'DROP DATABASE "{restored.target}"')


@pytest.mark.parametrize(("step", "moment"), BACKUP_KILLS, ids=lambda value: str(value))
def test_backup_killed_at_a_step_leaves_only_whole_backups(ship: Ship, step: str, moment: str) -> None:
    before = {entry.manifest.backup_id for entry in ship.catalog().entries}

    run_and_die(ship, "backup", step, moment)

    new = {entry.manifest.backup_id for entry in ship.catalog().entries} - before
    assert len(new) == (1 if (step, moment) == ("commit", "after") else 0)
    swept = sweep(ship.folder / "spool")
    assert len(swept) == 1
    assert not list((ship.folder / "spool").iterdir())
    ship.backup()
    prove(ship)


@pytest.mark.parametrize(("step", "moment"), RESTORE_KILLS, ids=lambda value: str(value))
def test_restore_killed_at_a_step_never_leaves_a_database_under_its_final_name(
    ship: Ship, step: str, moment: str
) -> None:
    run_and_die(ship, "restore", step, moment, databases=["shop"], new_name="back")

    with ship.server.connect() as session:
        names = {row[0] for row in session.execute("SELECT datname FROM pg_database").fetchall()}
        assert "back" not in names
        for name in names:
            if ".incomplete-" in str(name):
                session.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    prove(ship)


@pytest.fixture(scope="module")
def calm_ship(ship: Ship) -> Ship:
    """One whose store no killed backup left an index on: a prune would wait for it to be committed, for half an hour."""
    folder = ship.folder / "calm"
    folder.mkdir()
    (folder / "store").mkdir()
    return ship.but(folder=folder, store=LocalTarget(folder / "store"), anchor=None)


@pytest.mark.parametrize(("step", "moment"), PRUNE_KILLS, ids=lambda value: str(value))
def test_prune_killed_at_a_step_is_finished_by_the_next(calm_ship: Ship, step: str, moment: str) -> None:
    ship = calm_ship
    while len(ship.catalog().entries) < 4:
        ship.backup()
    doomed = ship.catalog().entries[0].manifest.backup_id

    run_and_die(ship, "prune_oldest", step, moment)

    report = ship.prune_oldest(doomed)
    names = {stat.name for stat in ship.listing()}
    needed = {stored.name for entry in ship.catalog().entries for stored in entry.manifest.needed}
    assert not [name for name in names - needed if name.startswith(doomed)]
    assert doomed not in {entry.manifest.backup_id for entry in ship.catalog().entries}
    assert ship.catalog().doubts == ()
    assert report.plan.refusals == ()
    prove(ship)

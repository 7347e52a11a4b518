"""A drill that is killed at a step: the next destroys its sandbox, and says for it that nothing was measured (P15)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.folders import let_through
from support.harbour import NEWEST, Harbour, make_ship, run
from support.killing import killed
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.model.objectives import Verdict
from lifeboat.stages.drill_records import read_drill_records

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not NEWEST, reason="no PostgreSQL server is installed"),
]

KILLS = [
    ("drill plan", "before"),
    ("drill provision", "after"),
    ("drill restore", "before"),
    ("drill compare", "after"),
    ("drill record", "before"),
]


@pytest.fixture(scope="module")
def ship(harbour: Harbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    server = FixedPassword.of(harbour.cluster(NEWEST))
    folder = tmp_path_factory.mktemp("drill")
    let_through(folder)
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT n, md5(n::text) s FROM generate_series(1, 1000) n")
    made = make_ship(server, folder, "shop")
    made.backup()
    yield made
    harbour.clean()


def left_in(root: Path) -> tuple[list[str], list[str]]:
    """Folders, files, and servers that work in them."""
    servers = [
        str(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if f"{root}/" in str(process.info["cmdline"])
    ]
    return [path.name for path in root.iterdir()], servers


@pytest.mark.parametrize(("step", "moment"), KILLS, ids=lambda value: str(value))
def test_killed_drill_is_unmeasured_and_its_sandbox_gone_with_the_next(
    ship: Ship, tmp_path: Path, step: str, moment: str
) -> None:
    let_through(tmp_path)
    root = tmp_path / "sandboxes"
    killed(ship, "drill", step, moment, root=root)
    (mark,) = root.glob("begun-*")

    interrupted, own = ship.drill(root)

    assert f"begun-{interrupted.drill_id}" == mark.name
    assert interrupted.interrupted and interrupted.verdict is Verdict.UNMEASURED
    assert interrupted.reasons[0].startswith("the drill was ended before it had a record")
    assert interrupted.sandbox.destroyed_at is not None
    assert own.comparisons and not own.failures
    assert left_in(root) == ([], [])
    with ship.store.connect() as store:
        past = read_drill_records(store, "demo", ship.keys.trusted)
    assert past.doubts == ()
    assert [each for each in past.records if each in (interrupted, own)] == [interrupted, own]


def test_drill_killed_when_its_record_was_there_already_keeps_it(ship: Ship, tmp_path: Path) -> None:
    let_through(tmp_path)
    killed(ship, "drill", "drill record", "after", root=tmp_path)

    (own,) = ship.drill(tmp_path)

    assert not own.interrupted
    assert left_in(tmp_path) == ([], [])


def test_drill_that_goes_on_is_not_told_to_have_died(ship: Ship, tmp_path: Path) -> None:
    """Two at once: the mark and the sandbox of the other are its own."""
    let_through(tmp_path)
    from lifeboat.adapters.drill_marks import drill_mark
    from lifeboat.adapters.sandbox import sandbox

    with (
        drill_mark(tmp_path, "drill-20261101T000000Z-other", b"{}"),
        sandbox(tmp_path, "drill-20261101T000000Z-other", needed=0) as other,
    ):
        assert len(ship.drill(tmp_path)) == 1
        assert other.folder.is_dir()
    # Not to be read: it died while it wrote it, and restored nothing.
    assert len(ship.drill(tmp_path)) == 1
    assert left_in(tmp_path) == ([], [])

"""What the source does to a backup (F4–F10): it is whole, or it is not there, and the ones before it are untouched."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.postgres import MAJORS, dump_text
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters import postgres_inventory as inventory
from lifeboat.adapters.postgres import PostgresServer, find_program
from lifeboat.errors import LifeboatError, PreflightRefused, ProducerFailed, PruneRefused, SourceError
from lifeboat.stages import direct

pytestmark = pytest.mark.postgres


def prove(ship: Ship, backup_id: str | None = None) -> None:
    """The backup (the newest, unless named) restores equal to what the database holds now."""
    (restored,) = ship.restore(backup_id, databases=["shop"], new_name="proof")
    assert dump_text(ship.server, restored.target, NEWEST) == dump_text(ship.server, "shop", NEWEST)
    run(ship.server, "postgres", "DROP DATABASE proof")


def committed(ship: Ship) -> list[str]:
    catalog = ship.catalog()
    assert catalog.doubts == ()
    return [entry.manifest.backup_id for entry in catalog.entries]


def before_dumping(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something once, when the snapshot is taken and before the first part is dumped."""
    original, once = direct.dump_batch, threading.Lock()

    def dump_batch(*arguments: object) -> object:
        if once.acquire(blocking=False):
            action()
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(direct, "dump_batch", dump_batch)


def as_user(server: PostgresServer, user: str) -> PostgresServer:
    return dataclasses.replace(server, user=user, password=FixedPassword("secret"))


@pytest.mark.parametrize("program", ["pg_dump", "copy"])
def test_a_producer_whose_backend_is_terminated_commits_nothing(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """F4. The terminator waits in the server until the producer shows itself, then ends it."""
    run(
        ship.server,
        "shop",
        "CREATE TABLE big AS SELECT n, repeat('x', 900) s FROM generate_series(1, 60000) n",
    )
    run(
        ship.server,
        "shop",
        "SELECT lo_from_bytea(0, decode(repeat('ab', 4000000), 'hex')) FROM generate_series(1, 4)",
    )
    first = ship.backup().manifest.backup_id
    statement = "COPY %" if program == "copy" else "%"
    killer = threading.Thread(target=terminate_once, args=(ship.server, statement, program))
    before_dumping(monkeypatch, killer.start)

    # One that is ended between two statements hears no word of the server's.
    words = "(terminating connection|connection is closed)"
    with pytest.raises(ProducerFailed, match=rf"(?s)(ended by exit status \d|copy .* failed).*{words}"):
        ship.backup()

    killer.join()
    monkeypatch.undo()
    assert committed(ship) == [first]
    ship.backup()
    assert len(committed(ship)) == 2
    prove(ship, first)


def terminate_once(server: PostgresServer, statement: str, program: str) -> None:
    name = "pg_dump" if program == "pg_dump" else "lifeboat"
    with server.connect() as session:
        session.execute(
            f"""DO $$ DECLARE ended int := 0; BEGIN
                FOR i IN 1..20000 LOOP
                    PERFORM pg_stat_clear_snapshot();
                    SELECT count(pg_terminate_backend(pid)) INTO ended FROM pg_stat_activity
                    WHERE application_name IN ('{name}', 'lifeboat') AND datname = 'shop' AND pid <> pg_backend_pid()
                      AND state = 'active' AND query LIKE '{statement}';
                    EXIT WHEN ended > 0;
                    PERFORM pg_sleep(0.0005);
                END LOOP; END $$""".encode()
        )


def test_a_server_that_crashes_during_the_dump_commits_nothing_and_the_next_run_works(
    harbour: Harbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F6."""
    if not NEWEST:
        pytest.skip("no PostgreSQL server is installed")
    cluster = harbour.cluster(NEWEST, "crashing")
    server = FixedPassword.of(cluster)
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n; CHECKPOINT")
    ship = make_ship(server, tmp_path, "shop")
    first = ship.backup().manifest.backup_id
    before_dumping(monkeypatch, lambda: cluster.stop(signal.SIGQUIT))

    with pytest.raises(LifeboatError):
        ship.backup()

    monkeypatch.undo()
    cluster.start()
    assert committed(ship) == [first]
    ship.backup()
    assert len(committed(ship)) == 2
    prove(ship, first)
    cluster.stop()
    cluster.start()


def test_circular_foreign_keys_are_no_finding(ship: Ship) -> None:
    """F5: pg_dump warns of them, and the dump is whole all the same."""
    run(
        ship.server,
        "shop",
        """CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
           ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b; ALTER TABLE a ADD FOREIGN KEY (id) REFERENCES a""",
    )

    assert ship.backup().manifest.findings == ()
    prove(ship)


@pytest.mark.parametrize("kind", ["missing", "another major"])
def test_programs_that_do_not_fit_the_server_are_refused_before_anything(
    ship: Ship, tmp_path: Path, kind: str
) -> None:
    """F7."""
    others = [major for major in MAJORS if major != NEWEST]
    if kind == "another major" and not others:
        pytest.skip("only one major is installed")
    folder = str(tmp_path) if kind == "missing" else str(Path(find_program("pg_dump", others[0])).parent)

    with pytest.raises(PreflightRefused, match=f"No pg_dump of PostgreSQL {NEWEST} on this host"):
        ship.but(server=dataclasses.replace(ship.server, programs=folder)).backup()

    assert ship.listing() == []


def test_an_exclusive_lock_ends_the_backup_naming_who_holds_it(ship: Ship) -> None:
    """F8."""
    with ship.server.connect("shop", autocommit=False) as blocker:
        blocker.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        pid = blocker.info.backend_pid

        with pytest.raises(
            SourceError, match=rf"process {pid} \(postgres, lifeboat\) holds AccessExclusiveLock"
        ):
            ship.but(lock_wait=0.5).backup()

    assert ship.listing() == []


def test_ddl_that_waits_behind_our_lock_ends_the_backup_by_lock_wait_and_then_goes_on(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F8: it waits for our snapshot, our children wait for it; neither for ever."""
    altered = threading.Thread(target=run, args=(ship.server, "shop", "ALTER TABLE t ADD late int"))

    def alter() -> None:
        altered.start()
        wait_for(ship.server, "wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%'")

    before_dumping(monkeypatch, alter)

    with pytest.raises(ProducerFailed, match=r"lock timeout|statement timeout") as failed:
        ship.but(lock_wait=0.7).backup()
    assert "limits.lock_wait" in failed.value.hint

    altered.join(10)
    assert not altered.is_alive()
    assert not [stat for stat in ship.listing() if "manifest" in stat.name]


def wait_for(server: PostgresServer, condition: str) -> None:
    with server.connect() as session:
        session.execute(
            f"""DO $$ BEGIN FOR i IN 1..2000 LOOP
                    PERFORM pg_stat_clear_snapshot();
                    EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition});
                    PERFORM pg_sleep(0.005);
                END LOOP; END $$""".encode()
        )


@pytest.mark.parametrize("accident", ["DROP SCHEMA public CASCADE", "TRUNCATE t, u"])
def test_a_source_that_lost_its_rows_is_suspect_and_displaces_nothing(ship: Ship, accident: str) -> None:
    """F9."""
    good = ship.backup().manifest.backup_id
    run(ship.server, "shop", accident)

    suspect = ship.backup().manifest

    assert suspect.quality == "suspect"
    assert "0 rows, 100 % fewer than the median" in suspect.doubts[-1]
    newest_good = ship.catalog().newest_good
    assert newest_good and newest_good.manifest.backup_id == good
    with pytest.raises(PruneRefused, match="suspect"):
        ship.prune()
    (restored,) = ship.restore(databases=["shop"])
    assert restored.rows == 2500


@pytest.mark.parametrize("program", ["pg_dump", "pg_dumpall"])
def test_a_program_that_does_nothing_and_says_all_is_well_commits_nothing(
    ship: Ship, tmp_path: Path, program: str
) -> None:
    """F10."""
    bin_folder = Path(find_program("pg_dump", NEWEST)).parent
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_dumpall"):
        stub = folder / name
        real = f'exec "{bin_folder / name}" "$@"'
        lazy = f'case "$1" in --version) {real};; esac; cat > /dev/null; exit 0'
        stub.write_text(f"#!/bin/sh\n{lazy if name == program else real}\n")
        stub.chmod(stub.stat().st_mode | stat.S_IXUSR)

    with pytest.raises(LifeboatError, match="0 bytes"):
        ship.but(server=dataclasses.replace(ship.server, programs=str(folder))).backup()

    assert committed(ship) == []


READER = """
CREATE ROLE sailor LOGIN PASSWORD 'secret';
GRANT pg_read_all_data TO sailor;
"""


@pytest.mark.parametrize(
    ("obstacle", "complaint"),
    [
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row-level security would hide rows of public.t"),
        ("SELECT lo_from_bytea(1, 'x')", "may not read 1 large objects"),
    ],
)
def test_what_a_reading_role_cannot_see_is_refused_by_name(ship: Ship, obstacle: str, complaint: str) -> None:
    run(ship.server, "shop", READER + obstacle)

    with pytest.raises(PreflightRefused, match=complaint):
        ship.but(server=as_user(ship.server, "sailor")).backup()

    assert ship.listing() == []


def test_everything_that_a_role_may_not_read_is_named_at_once(ship: Ship) -> None:
    run(
        ship.server,
        "shop",
        """CREATE ROLE sailor LOGIN PASSWORD 'secret'; CREATE SCHEMA hidden; CREATE TABLE hidden.h (); GRANT SELECT ON
           hidden.h TO sailor; CREATE SEQUENCE counter; GRANT SELECT ON u TO sailor""",
    )

    with pytest.raises(PreflightRefused) as refused:
        ship.but(server=as_user(ship.server, "sailor")).backup()

    for loss in ("table hidden.h", "table public.t", "sequence public.counter"):
        assert f"shop: this role may not read {loss}" in refused.value.message
    assert "public.u" not in refused.value.message


def test_the_role_that_the_guide_describes_backs_up_everything(ship: Ship) -> None:
    """sources §4.5: pg_read_all_data, BYPASSRLS, and membership in the owners of large objects."""
    run(
        ship.server,
        "shop",
        READER
        + """CREATE ROLE owner; GRANT owner TO sailor; ALTER ROLE sailor BYPASSRLS;
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
             CREATE POLICY none ON t USING (false); CREATE SEQUENCE counter; SELECT nextval('counter');
             SELECT lo_from_bytea(7, 'large'); ALTER LARGE OBJECT 7 OWNER TO owner""",
    )

    published = ship.but(server=as_user(ship.server, "sailor")).backup()

    assert published.manifest.totals.rows == 2500
    prove(ship)


def test_a_database_of_the_policy_that_is_gone_ends_the_backup(ship: Ship) -> None:
    with pytest.raises(SourceError, match="not on the server: 'fleet'"):
        ship.but(databases=("shop", "fleet")).backup()

    assert ship.listing() == []


def test_a_database_that_the_policy_does_not_name_is_backed_up_with_a_finding(ship: Ship) -> None:
    run(ship.server, "postgres", "CREATE DATABASE surprise")
    run(ship.server, "surprise", "CREATE TABLE s AS SELECT 1 AS n")

    manifest = ship.backup().manifest

    assert [(finding.code, finding.clause, finding.count) for finding in manifest.findings] == [
        ("database-not-in-policy", "P1", 1)
    ]
    (restored,) = ship.restore(databases=["surprise"])
    assert restored.rows == 1


def test_rows_written_during_the_dump_are_not_in_it(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    """All children read the exported snapshot, whatever was committed since."""
    expected = dump_text(ship.server, "shop", NEWEST)
    before_dumping(
        monkeypatch,
        lambda: run(
            ship.server,
            "shop",
            """INSERT INTO t SELECT n, 'late' FROM generate_series(5000, 5999) n; UPDATE u SET b = NULL;
               DELETE FROM u WHERE id < 100; CREATE TABLE later (n int); INSERT INTO later VALUES (1)""",
        ),
    )

    published = ship.backup()

    assert published.manifest.totals.rows == 2500
    (restored,) = ship.restore(databases=["shop"])
    assert dump_text(ship.server, restored.target, NEWEST) == expected


@pytest.mark.parametrize("accident", ["DROP TABLE u", "ALTER TABLE u RENAME TO v"])
def test_a_table_that_vanishes_while_locks_are_taken_is_a_clear_error(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, accident: str
) -> None:
    original = inventory.lock_tables

    def lock_tables(session: object, tables: list[inventory.TableFacts]) -> None:
        if tables:
            with contextlib.suppress(psycopg.errors.UndefinedTable):
                run(ship.server, "shop", accident)
        original(session, tables)  # type: ignore[arg-type]

    monkeypatch.setattr(inventory, "lock_tables", lock_tables)

    with pytest.raises(SourceError, match="shop"):
        ship.backup()

    assert ship.listing() == []

"""The heartbeat: written before the snapshot, read from the restored data; the RPO is by it (P13)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from support.folders import let_through
from support.harbour import run
from support.policies import demo_text
from support.sailing import Ship

from lifeboat import clock
from lifeboat.errors import PolicyError, SourceDenied
from lifeboat.model.policy import load_policy
from lifeboat.model.policy_probes import Heartbeat

pytestmark = pytest.mark.postgres

TABLE = """CREATE SCHEMA lifeboat;
CREATE TABLE lifeboat.heartbeat (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), at timestamptz NOT NULL);
INSERT INTO lifeboat.heartbeat (at) VALUES ('2020-01-01')"""
HEARTBEAT = Heartbeat(database="shop")


def test_rpo_is_by_what_the_restored_data_says_of_itself(ship: Ship, tmp_path: Path) -> None:
    let_through(tmp_path)
    run(ship.server, "shop", TABLE)
    beating = ship.but(heartbeat=HEARTBEAT)
    begun = clock.utc_now()
    manifest = beating.backup().manifest

    (record,) = beating.drill(tmp_path / "sandboxes")

    assert record.reasons == ()
    assert record.rpo and record.rpo.data_timestamp
    assert begun - dt.timedelta(seconds=1) < record.rpo.data_timestamp < manifest.data_timestamp


def test_heartbeat_that_stopped_is_an_rpo_that_is_missed(ship: Ship, tmp_path: Path) -> None:
    """Backups of a copy of yesterday's server go on being taken: only the data itself tells."""
    let_through(tmp_path)
    run(ship.server, "shop", TABLE)
    ship.backup()  # by a worker that does not beat

    (record,) = ship.but(heartbeat=HEARTBEAT).drill(tmp_path / "sandboxes")

    assert record.rpo and record.rpo.data_timestamp == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert any(reason.startswith("RPO: ") for reason in record.reasons)


def test_without_the_row_nothing_is_backed_up_and_it_is_said_how_to_make_it(ship: Ship) -> None:
    beating = ship.but(heartbeat=HEARTBEAT)
    with pytest.raises(SourceDenied, match="does not exist"):
        beating.backup()
    run(ship.server, "shop", TABLE + "; DELETE FROM lifeboat.heartbeat")
    with pytest.raises(SourceDenied, match="it holds 0 rows"):
        beating.backup()
    assert ship.catalog().entries == ()


def test_heartbeat_in_a_database_that_is_not_backed_up_is_a_mistake_of_the_policy() -> None:
    where = "environments.demo.services.main.sources.databases.heartbeat"
    with pytest.raises(PolicyError, match=r"heartbeat\.database.*'shopp' is no database of this source"):
        load_policy(demo_text({where: {"database": "shopp"}}), where="demo")

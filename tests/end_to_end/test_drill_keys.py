"""A key drill: identities against what is kept, by headers; a wrong one, a lost header, a stranger (P7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat import clock
from lifeboat.adapters.policy_file import read_policy
from lifeboat.errors import CouldNotMeasure
from lifeboat.model.drill_record import new_drill_id
from lifeboat.model.objectives import Verdict
from lifeboat.stages.drill_facts import DrillOrder
from lifeboat.stages.drill_keys import KeyDrill, drill_keys
from lifeboat.stages.drill_view import view_for_drill
from lifeboat.stages.keygen import new_identity
from lifeboat.stages.restore_order import RestorePlaces
from lifeboat.stages.voyage import fingerprint

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not NEWEST, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module")
def ship(harbour: Harbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    """Four backups, each with rows of its own."""
    server = FixedPassword.of(harbour.cluster(NEWEST))
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT n, md5(n::text) s FROM generate_series(1, 3000) n")
    made = make_ship(server, tmp_path_factory.mktemp("keys"), "shop")
    for number in range(4):
        made.backup()
        run(server, "shop", f"INSERT INTO t VALUES ({-number}, 'more')")
    yield made
    harbour.clean()


def tried(ship: Ship, *identities: str, seed: int = 1) -> KeyDrill:
    policy = read_policy(Path("demo"))
    order = DrillOrder(
        policy,
        "demo",
        new_drill_id(clock.utc_now(), "keys"),
        ("main/databases",),
        seed=seed,
    )
    places = RestorePlaces(store=ship.store, trusted=ship.keys.trusted, identities=identities)
    return drill_keys(order, places, view_for_drill(order, places), identities)


def test_both_identities_open_the_oldest_the_newest_and_one_between(ship: Ship) -> None:
    done = tried(ship, ship.operations.identity, ship.escrow.identity)

    record = done.record
    assert (record.verdict, record.drill_kind, record.reasons) == (Verdict.MET, "key", ())
    ids = [entry.manifest.backup_id for entry in ship.catalog().entries]
    by_choice = {each.choice: each.backup_id for each in record.backups}
    assert (by_choice["newest"], by_choice["oldest"]) == (ids[-1], ids[0])
    assert by_choice["random"] in ids[1:-1]
    assert {probe.name for probe in record.probes} == {
        fingerprint(ship.operations.recipient),
        fingerprint(ship.escrow.recipient),
    }
    assert [each.opened for each in done.tried] == [6, 6]
    assert done.untried == ()
    # It proves no backup, and says so: nothing was compared, and there is neither RTO nor RPO.
    assert (record.comparisons, record.rto, record.rpo) == ((), None, None)
    assert ship.escrow.identity not in json.dumps(record.model_dump(mode="json"))


def test_same_seed_tries_the_same_backup(ship: Ship) -> None:
    ids = [
        {each.backup_id for each in tried(ship, ship.escrow.identity, seed=seed).record.backups}
        for seed in (7, 7)
    ]
    assert ids[0] == ids[1]


def test_recipient_whose_identity_was_not_given_is_named(ship: Ship) -> None:
    done = tried(ship, ship.escrow.identity)
    assert done.record.verdict is Verdict.MET
    assert done.untried == (fingerprint(ship.operations.recipient),)


def test_identity_of_somebody_else_is_red_and_the_right_one_is_not(ship: Ship) -> None:
    stranger = new_identity()

    done = tried(ship, stranger.identity, ship.escrow.identity)

    assert done.record.verdict is Verdict.MISSED
    verdicts = {probe.name: probe.verdict for probe in done.record.probes}
    assert verdicts == {
        fingerprint(stranger.recipient): Verdict.MISSED,
        fingerprint(ship.escrow.recipient): Verdict.MET,
    }


@pytest.mark.parametrize("how", ["flipped header", "gone", "empty"])
def test_object_whose_header_does_not_open_is_named(ship: Ship, how: str) -> None:
    name = ship.catalog().entries[0].manifest.index.name
    path = ship.folder / "store" / name
    sound = path.read_bytes()
    path.chmod(0o600)
    try:
        match how:
            case "gone":
                path.unlink()
            case "empty":
                path.write_bytes(b"")
            case _:
                path.write_bytes(sound[:60] + bytes([sound[60] ^ 1]) + sound[61:])
        done = tried(ship, ship.escrow.identity)
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(sound)
    assert done.record.verdict is Verdict.MISSED
    assert done.tried[0].shut == (name,)


def test_nothing_to_try_is_not_green(ship: Ship, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    empty = make_ship(ship.server, tmp_path / "store", "shop")
    with pytest.raises(CouldNotMeasure, match="no good backup"):
        tried(empty, ship.escrow.identity)

"""What is stored is not what was signed (F26–F29): found before a database gets its name, and nothing else suffers."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.adapters.store_local import LocalTarget
from lifeboat.errors import (
    ChecksumMismatch,
    IntegrityError,
    LifeboatError,
    PruneRefused,
    RestoreRefused,
    StoreProtocolError,
)
from lifeboat.model.signed import Signer
from lifeboat.stages.keygen import new_signing_key

pytestmark = pytest.mark.postgres

Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def two_backups(harbour: Harbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    """A ship with two backups of ``shop``, of 3000 and 3001 rows."""
    if not NEWEST:
        pytest.skip("no PostgreSQL server is installed")
    server = FixedPassword.of(harbour.cluster(NEWEST))
    run(server, "postgres", "CREATE DATABASE shop")
    run(server, "shop", "CREATE TABLE t AS SELECT n, md5(n::text) s FROM generate_series(1, 3000) n")
    ship = make_ship(server, tmp_path_factory.mktemp("integrity"), "shop")
    ship.backup()
    run(server, "shop", "INSERT INTO t VALUES (0, 'one more')")
    ship.backup()
    yield ship
    harbour.clean()


@pytest.fixture
def ship(two_backups: Ship, tmp_path: Path) -> Iterator[Ship]:
    """The same backups in a store that may be damaged."""
    shutil.copytree(two_backups.folder / "store", tmp_path / "store")
    yield two_backups.but(store=LocalTarget(tmp_path / "store"), folder=tmp_path)
    with two_backups.server.connect() as session:
        for name in databases(two_backups) - {"postgres", "template0", "template1", "shop"}:
            session.execute(f'DROP DATABASE "{name}"'.encode())


def databases(ship: Ship) -> set[str]:
    with ship.server.connect() as session:
        return {str(row[0]) for row in session.execute("SELECT datname FROM pg_database").fetchall()}


def newest(ship: Ship) -> str:
    return sorted(stat.name for stat in ship.listing() if stat.name.endswith("manifest.json"))[-1]


def damage(ship: Ship, name: str, how: Damage) -> None:
    path = ship.folder / "store" / name
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(how(data))


def flip(seed: int) -> Damage:
    def flipped(data: bytes) -> bytes:
        bit = random.Random(seed).randrange(len(data) * 8)
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return flipped


def object_of(ship: Ship, kind: str) -> str:
    """The newest backup's object of this kind; parts by what is in them."""
    manifest = ship.catalog().entries[-1].manifest
    if kind == "index":
        return manifest.index.name
    index = ship.open(manifest)
    shop = index.database("shop")
    assert shop
    number = {
        "tables": shop.tables[0].part,
        "schema": shop.schema_part,
        "rest": shop.rest_part,
        "globals": index.globals_part,
    }[kind]
    return index.part(number).name


DAMAGES: dict[str, Damage] = {
    "flipped 1": flip(1),
    "flipped 2": flip(2),
    "header": lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "appended": lambda data: data + b"\0",
    "twice": lambda data: data + data,
    "empty": lambda _: b"",
}


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *(("tables", how) for how in DAMAGES),
        *(("index", how) for how in DAMAGES),
        *(("schema", how) for how in ("flipped 1", "truncated", "appended")),
        *(("rest", how) for how in ("flipped 1", "truncated", "appended")),
    ],
)
def test_a_damaged_object_never_becomes_a_database_with_a_name(ship: Ship, kind: str, how: str) -> None:
    """F26, F27."""
    name = object_of(ship, kind)
    damage(ship, name, DAMAGES[how])
    before = databases(ship)

    with pytest.raises((IntegrityError, StoreProtocolError), match=name.replace(".", r"\.")):
        ship.restore(databases=["shop"], new_name="back")

    created = databases(ship) - before
    assert created == set() if kind == "index" else all(".incomplete-" in found for found in created)


def test_the_other_backup_still_restores_when_one_is_damaged(ship: Ship) -> None:
    damage(ship, object_of(ship, "tables"), flip(3))
    older = ship.catalog().entries[0].manifest.backup_id

    (restored,) = ship.restore(older, databases=["shop"], new_name="back")

    assert restored.rows == 3000


def test_damaged_roles_create_no_role(ship: Ship) -> None:
    damage(ship, object_of(ship, "globals"), DAMAGES["last byte"])
    before = databases(ship)

    with pytest.raises(ChecksumMismatch):
        ship.restore(databases=["shop"], new_name="back", with_roles=True)

    assert databases(ship) == before


@pytest.mark.parametrize("kind", ["tables", "schema", "index"])
def test_a_valid_object_of_another_backup_in_its_place_is_noticed(ship: Ship, kind: str) -> None:
    """F27: same recipients, authentic to age, and the wrong one."""
    target = object_of(ship, kind)
    position = (
        [part.name for part in ship.catalog().entries[-1].manifest.parts].index(target)
        if kind != "index"
        else 0
    )
    older = ship.catalog().entries[0].manifest
    source = older.index.name if kind == "index" else older.parts[position].name
    swapped = (ship.folder / "store" / source).read_bytes()
    damage(ship, target, lambda _: swapped)

    with pytest.raises(IntegrityError, match="is not"):
        ship.restore(databases=["shop"], new_name="back")

    assert "back" not in databases(ship)


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_in_a_manifest_makes_that_backup_unusable_and_no_other(ship: Ship, seed: int) -> None:
    """F26, F29."""
    catalog = ship.catalog()
    damage(ship, newest(ship), flip(seed))

    damaged = ship.catalog()

    assert [entry.manifest for entry in damaged.entries] == [catalog.entries[0].manifest]
    assert list(damaged.damaged) == [2]
    with pytest.raises(RestoreRefused, match="Damaged"):
        ship.plan(catalog.entries[1].manifest.backup_id)
    with pytest.raises(PruneRefused):
        ship.prune()


def edited(ship: Ship, *, sign: bool) -> Damage:
    def edit(data: bytes) -> bytes:
        statement = json.loads(data)["statement"]
        statement["quality"] = "suspect"
        if sign:
            return Signer.from_pem(new_signing_key().private_pem).sign(statement)
        return json.dumps(statement).encode()

    return edit


@pytest.mark.parametrize("sign", [True, False], ids=["foreign key", "unsigned"])
def test_a_manifest_that_our_key_did_not_sign_is_no_manifest(ship: Ship, sign: bool) -> None:
    """F29."""
    damage(ship, newest(ship), edited(ship, sign=sign))

    damaged = ship.catalog()

    assert len(damaged.entries) == 1
    assert "not trusted" in damaged.damaged[2] if sign else "not a signed statement" in damaged.damaged[2]
    with pytest.raises(PruneRefused):
        ship.prune()


def test_a_backup_of_another_environment_is_refused_though_the_key_is_ours(ship: Ship) -> None:
    """F28: its manifest, index and parts are whole and authentic; only the signed name says where they belong."""
    data = json.loads((ship.folder / "store" / newest(ship)).read_bytes())["statement"]
    data["environment"] = "staging"
    signer = ship.keys.signer
    damage(ship, newest(ship), lambda _: signer.sign(data))

    damaged = ship.catalog()

    assert "belongs to environment 'staging', not 'demo'" in damaged.damaged[2]
    with pytest.raises(RestoreRefused):
        ship.plan(data["backup_id"])


def test_a_signed_manifest_that_names_the_index_of_another_backup_is_refused(ship: Ship) -> None:
    """F28: a manifest may be authentic and still not fit what lies beside it."""
    older, newer = (entry.manifest for entry in ship.catalog().entries)
    mixed = newer.model_copy(update={"index": older.index})

    with pytest.raises(IntegrityError, match="is the index of"):
        ship.open(mixed)


@pytest.mark.parametrize("kind", ["tables", "index", "schema"])
def test_a_missing_object_is_a_clear_error(ship: Ship, kind: str) -> None:
    name = object_of(ship, kind)
    (ship.folder / "store" / name).unlink()

    with pytest.raises(LifeboatError, match=f"no object '{name}'"):
        ship.restore(databases=["shop"], new_name="back")

    assert "back" not in databases(ship)

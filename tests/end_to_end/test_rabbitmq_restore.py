"""A real RabbitMQ's definitions out of a backup into a broker, all or one virtual host, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.rabbitmq import EPMD, RABBITMQ, RabbitMQ, running_rabbitmq
from support.tree_sailing import TreeShip

from lifeboat import clock
from lifeboat.adapters.http_session import Endpoint, UserPassword
from lifeboat.adapters.rabbitmq import RabbitMQExport, export_definitions, virtual_hosts
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ChecksumMismatch, RestoreFailed, RestoreRefused
from lifeboat.model.definitions import VirtualHost
from lifeboat.stages import restore_export as restore_export_module
from lifeboat.stages.drill_export import drilled_definitions, sweep_virtual_hosts
from lifeboat.stages.restore_export import RestoredExport, restore_export

pytestmark = pytest.mark.skipif(
    not (RABBITMQ and EPMD), reason="rabbitmq-server is not installed: no broker to restore into"
)
EAST = "fleet%2Feast"


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with running_rabbitmq() as broker:
        yield broker


@pytest.fixture
def clean(broker: RabbitMQ) -> Iterator[RabbitMQ]:
    yield broker
    for user in broker.ask("GET", "/api/users"):
        if user["name"] != broker.user:
            broker.ask("DELETE", f"/api/users/{user['name']}")
    for vhost in broker.ask("GET", "/api/vhosts"):
        if vhost["name"] != "/":
            broker.ask("DELETE", "/api/vhosts/" + vhost["name"].replace("/", "%2F"))
    for queue in broker.ask("GET", "/api/queues/%2F"):
        broker.ask("DELETE", f"/api/queues/%2F/{queue['name']}")


def furnish(broker: RabbitMQ) -> None:
    broker.add_user("fleet", "p:äss word", "monitoring")
    broker.ask("PUT", f"/api/vhosts/{EAST}", {})
    for vhost in ("%2F", EAST):
        broker.ask("PUT", f"/api/permissions/{vhost}/fleet", {"configure": "", "write": ".*", "read": "^x"})
        broker.ask("PUT", f"/api/queues/{vhost}/alarms", {"durable": True, "arguments": {"x-max-length": 9}})
    broker.ask("PUT", f"/api/exchanges/{EAST}/events", {"type": "topic", "durable": True})
    broker.ask("POST", f"/api/bindings/{EAST}/e/events/q/alarms", {"routing_key": "alarm.#"})
    policy = {"pattern": "^pos", "definition": {"message-ttl": 60000}, "apply-to": "queues"}
    broker.ask("PUT", f"/api/policies/{EAST}/short", policy)


def wreck(broker: RabbitMQ) -> None:
    broker.ask("DELETE", "/api/users/fleet")
    broker.ask("DELETE", f"/api/vhosts/{EAST}")
    broker.ask("DELETE", "/api/queues/%2F/alarms")


@pytest.fixture
def ship(clean: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TreeShip:
    """With a backup of a furnished broker, which still is."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    (tmp_path / "store").mkdir()
    furnish(clean)
    tree = RabbitMQExport(clean.endpoint()).capture().target
    ship = TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=tree)
    ship.backup()
    return ship


def back(ship: TreeShip, broker: RabbitMQ, **choice: Any) -> RestoredExport:
    with ship.loader() as loader:
        return restore_export(ship.open(), loader, broker.endpoint(), **choice)


def test_everything_comes_back_into_an_unused_broker_and_is_compared(ship: TreeShip, clean: RabbitMQ) -> None:
    before = export_definitions(clean.endpoint())
    wreck(clean)

    restored = back(ship, clean)

    assert restored.differences == ()
    assert export_definitions(clean.endpoint()) == before
    login = UserPassword("fleet", "p:äss word")
    with clean.endpoint(credential=login).session() as session:
        assert session.get("/api/whoami").json()["name"] == "fleet"


def test_broker_in_use_is_refused_with_what_it_holds_unless_allowed(ship: TreeShip, clean: RabbitMQ) -> None:
    wreck(clean)
    clean.ask("PUT", "/api/queues/%2F/theirs", {"durable": True})
    clean.add_user("somebody", "x")
    before = export_definitions(clean.endpoint())

    with pytest.raises(RestoreRefused, match="in use") as caught:
        back(ship, clean)
    assert "queues '/' 'theirs'" in caught.value.message
    assert "users 'somebody'" in caught.value.message
    assert export_definitions(clean.endpoint()) == before

    restored = back(ship, clean, into_used=True)

    assert restored.differences == ()
    assert "theirs" in {queue["name"] for queue in export_definitions(clean.endpoint())["queues"]}


def test_one_virtual_host_comes_back_under_another_name_beside_the_living(
    ship: TreeShip, clean: RabbitMQ
) -> None:
    before = export_definitions(clean.endpoint())

    restored = back(ship, clean, virtual_host=VirtualHost("fleet/east", "drill-7"))

    assert (restored.differences, restored.left_out) == ((), ())
    after = export_definitions(clean.endpoint())
    new = {
        kind: [item for item in after[kind] if item.get("vhost") == "drill-7"]
        for kind in ("queues", "bindings")
    }
    assert [queue["name"] for queue in new["queues"]] == ["alarms"]
    assert [binding["routing_key"] for binding in new["bindings"]] == ["alarm.#"]
    assert {"user": "fleet", "vhost": "drill-7", "configure": "", "write": ".*", "read": "^x"} in after[
        "permissions"
    ]
    clean.ask("DELETE", "/api/vhosts/drill-7")
    assert export_definitions(clean.endpoint()) == before


def test_permissions_of_users_that_the_broker_lacks_are_left_out_and_named(
    ship: TreeShip, clean: RabbitMQ
) -> None:
    wreck(clean)

    restored = back(ship, clean, virtual_host=VirtualHost("fleet/east", "drill-7"))

    assert restored.left_out == ("permissions 'fleet/east' 'fleet'",)
    assert restored.differences == ()
    assert {user["name"] for user in export_definitions(clean.endpoint())["users"]} == {clean.user}


def test_virtual_host_in_use_is_refused_and_one_the_backup_lacks_too(ship: TreeShip, clean: RabbitMQ) -> None:
    with pytest.raises(RestoreRefused, match="virtual host 'fleet/east' of .* is in use"):
        back(ship, clean, virtual_host=VirtualHost("fleet/east"))
    with pytest.raises(RestoreRefused, match="has no virtual host 'nowhere'"):
        back(ship, clean, virtual_host=VirtualHost("nowhere", "drill-7"))
    assert "drill-7" not in {vhost["name"] for vhost in export_definitions(clean.endpoint())["vhosts"]}


def test_backup_with_the_importing_user_of_other_days_says_that_nothing_was_compared(
    ship: TreeShip, clean: RabbitMQ
) -> None:
    """The import gives that account its old password back."""
    old = clean.password
    wreck(clean)
    clean.add_user(clean.user, "changed since", "administrator")
    clean.password = "changed since"
    try:
        with pytest.raises(RestoreFailed, match="not compared") as caught:
            back(ship, clean)
        assert "changed since" not in str(caught.value)
    finally:
        clean.password = old
    assert back(ship, clean, into_used=True).differences == ()


def test_damaged_part_changes_nothing_on_the_broker(ship: TreeShip, clean: RabbitMQ) -> None:
    wreck(clean)
    before = export_definitions(clean.endpoint())
    [part] = ship.catalog().newest_good.manifest.parts
    path = ship.folder / "store" / part.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(ChecksumMismatch):
        back(ship, clean)
    assert export_definitions(clean.endpoint()) == before


def test_backup_of_files_is_no_export(clean: RabbitMQ, ship: TreeShip, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(json.dumps({}).encode())
    other = ship.but(tree=LocalTreeTarget(tmp_path / "tree"), source_name="others")
    other.anchor = None
    other.backup()
    with pytest.raises(RestoreRefused, match=r"no definitions\.json"):
        back(other, clean)


def test_drill_brings_every_virtual_host_back_under_its_own_names_and_deletes_them(
    ship: TreeShip, clean: RabbitMQ, tmp_path: Path
) -> None:
    """The broker of the backup lives on beside: nothing of it is touched."""
    before = export_definitions(clean.endpoint())
    dead = "drill-20261101T000000Z-dead.1"
    clean.ask("PUT", f"/api/vhosts/{dead}", {})
    alive = "drill-20261101T000000Z-alive"
    clean.ask("PUT", f"/api/vhosts/{alive}.1", {})
    (tmp_path / alive).mkdir()
    elsewhere = f"drill-{clock.utc_now():%Y%m%dT%H%M%SZ}-elsewhere.1"
    clean.ask("PUT", f"/api/vhosts/{elsewhere}", {})

    sweep_virtual_hosts(clean.endpoint(), tmp_path)
    assert set(virtual_hosts(clean.endpoint())) == {"/", "fleet/east", f"{alive}.1", elsewhere}
    clean.ask("DELETE", f"/api/vhosts/{elsewhere}")
    clean.ask("DELETE", f"/api/vhosts/{alive}.1")

    with ship.loader() as loader, drilled_definitions(ship.open(), loader, clean.endpoint(), alive) as done:
        there = set(virtual_hosts(clean.endpoint()))
        assert {f"{alive}.1", f"{alive}.2"} < there

    assert done.differences == ()
    assert done.objects >= 8
    assert export_definitions(clean.endpoint()) == before


def test_definition_that_the_broker_does_not_take_as_it_was_is_a_difference(
    ship: TreeShip, clean: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = restore_export_module.import_definitions

    def forgetful(endpoint: Endpoint, definitions: bytes) -> None:
        told = json.loads(definitions)
        told["queues"] = []
        told["bindings"] = []
        original(endpoint, json.dumps(told).encode())

    monkeypatch.setattr(restore_export_module, "import_definitions", forgetful)
    drill_id = "drill-20261101T000000Z-deaf"

    with (
        ship.loader() as loader,
        drilled_definitions(ship.open(), loader, clean.endpoint(), drill_id) as done,
    ):
        codes = {difference.code for difference in done.differences}

    assert codes == {"definition-missing"}
    assert any("queues" in difference.where for difference in done.differences)
    assert set(virtual_hosts(clean.endpoint())) == {"/", "fleet/east"}

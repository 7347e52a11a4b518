"""A real RabbitMQ's definitions out through the pipeline and back in, and all that it refuses."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.http_service import as_json, http_service
from support.proxy import fault_proxy
from support.rabbitmq import EPMD, RABBITMQ, RabbitMQ, running_rabbitmq
from support.sshd import free_port
from support.tree_sailing import TreeShip

from lifeboat import clock
from lifeboat.adapters.http_session import UserPassword
from lifeboat.adapters.rabbitmq import DEFINITIONS, DEPTHS, RabbitMQExport, import_definitions
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree import FrozenView
from lifeboat.adapters.tree_captured import CapturedTreeTarget
from lifeboat.errors import SourceDenied, SourceError, SourceUnreachable

pytestmark = pytest.mark.skipif(
    not (RABBITMQ and EPMD), reason="rabbitmq-server is not installed: no broker to export from"
)


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with running_rabbitmq() as broker:
        yield broker


@pytest.fixture
def furnished(broker: RabbitMQ) -> Iterator[RabbitMQ]:
    """A broker with something of every kind; it is empty again afterwards."""
    broker.add_user("fleet", "p:äss word", "monitoring")
    broker.ask("PUT", "/api/vhosts/fleet%2Feast", {})
    for vhost in ("%2F", "fleet%2Feast"):
        broker.ask("PUT", f"/api/permissions/{vhost}/fleet", {"configure": "", "write": ".*", "read": "^x"})
        for name in ("positions", "alarms", "ümläut 🚢"):
            broker.ask(
                "PUT", f"/api/queues/{vhost}/{name}", {"durable": True, "arguments": {"x-max-length": 9}}
            )
        broker.ask("PUT", f"/api/exchanges/{vhost}/events", {"type": "topic", "durable": True})
        broker.ask("POST", f"/api/bindings/{vhost}/e/events/q/alarms", {"routing_key": "alarm.#"})
        policy = {"pattern": "^pos", "definition": {"message-ttl": 60000}, "apply-to": "queues"}
        broker.ask("PUT", f"/api/policies/{vhost}/short", policy)
    yield broker
    wreck(broker)


def wreck(broker: RabbitMQ) -> None:
    broker.ask("DELETE", "/api/users/fleet")
    broker.ask("DELETE", "/api/vhosts/fleet%2Feast")
    for name in ("positions", "alarms", "ümläut 🚢"):
        broker.ask("DELETE", f"/api/queues/%2F/{name}")
    broker.ask("DELETE", "/api/exchanges/%2F/events")
    broker.ask("DELETE", "/api/policies/%2F/short")


def captured(broker: RabbitMQ, **changes: Any) -> FrozenView:
    return RabbitMQExport(broker.endpoint(**changes)).capture()


def files(view: FrozenView) -> dict[bytes, bytes]:
    assert isinstance(view.target, CapturedTreeTarget)
    return dict(view.target.files)


def definitions(broker: RabbitMQ, **changes: Any) -> bytes:
    return files(captured(broker, **changes))[DEFINITIONS]


def test_export_of_an_unchanged_broker_is_the_same_bytes(furnished: RabbitMQ) -> None:
    before = clock.utc_now()
    first = captured(furnished)
    assert files(first)[DEFINITIONS] == definitions(furnished)
    assert first.data_timestamp is not None
    assert before <= first.data_timestamp <= clock.utc_now()
    found = json.loads(files(first)[DEFINITIONS])
    assert {vhost["name"] for vhost in found["vhosts"]} == {"/", "fleet/east"}
    assert len(found["queues"]) == 6
    assert {user["name"] for user in found["users"]} == {"keeper", "fleet"}


def test_export_does_not_hang_on_the_order_in_which_a_broker_lists(furnished: RabbitMQ) -> None:
    # This node's order is stable by luck of its tables, so a service of ours turns its own answer around.
    wanted = definitions(furnished)
    turned = {
        key: value[::-1] if isinstance(value, list) else value for key, value in json.loads(wanted).items()
    }
    assert turned != json.loads(wanted)
    with http_service(lambda path, _: as_json(turned if "definitions" in path else [])) as service:
        assert definitions(furnished, url=service.url) == wanted


def test_definitions_backed_up_come_back_after_everything_was_deleted(
    furnished: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))
    (tmp_path / "store").mkdir()
    view = captured(furnished)
    ship = TreeShip(store=LocalTarget(tmp_path / "store"), folder=tmp_path, tree=view.target)
    ship.backup()
    ship.restore(tmp_path / "restored")
    restored = {os.fsencode(path.name): path.read_bytes() for path in (tmp_path / "restored").iterdir()}
    assert restored == files(view)

    wreck(furnished)
    assert definitions(furnished) != restored[DEFINITIONS]
    import_definitions(furnished.endpoint(), restored[DEFINITIONS])
    assert definitions(furnished) == restored[DEFINITIONS]
    # The user's password works again: the hash travelled.
    login = UserPassword("fleet", "p:äss word")
    with furnished.endpoint(credential=login).session() as session:
        assert session.get("/api/whoami").json()["name"] == "fleet"


def test_messages_are_counted_and_said_to_be_left_out(furnished: RabbitMQ) -> None:
    furnished.publish("/", "positions", 3)
    furnished.publish("fleet/east", "alarms", 2)
    deadline = time.monotonic() + 30
    found = captured(furnished)
    # The server counts every few seconds: until then it says 0, and nothing is found.
    while not any("5 messages in 2 queues are not" in finding.message for finding in found.findings):
        assert time.monotonic() < deadline, found.findings
        time.sleep(0.2)
        found = captured(furnished)
    assert [finding.code for finding in found.findings] == ["messages-not-backed-up"]
    depths = {(row["vhost"], row["queue"]): row["messages"] for row in json.loads(files(found)[DEPTHS])}
    assert depths == {
        ("/", "alarms"): 0,
        ("/", "positions"): 3,
        ("/", "ümläut 🚢"): 0,
        ("fleet/east", "alarms"): 2,
        ("fleet/east", "positions"): 0,
        ("fleet/east", "ümläut 🚢"): 0,
    }
    assert b"in transit" not in b"".join(files(found).values())


def test_empty_broker_has_no_finding(broker: RabbitMQ) -> None:
    assert captured(broker).findings == ()


def test_wrong_password_is_denied_and_not_shown(broker: RabbitMQ) -> None:
    with pytest.raises(SourceDenied, match="said no") as caught:
        captured(broker, credential=UserPassword(broker.user, "S3CRET-canary"))
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize("tag", ["monitoring", "policymaker", "management"])
def test_user_without_the_tag_administrator_is_denied_naming_it(broker: RabbitMQ, tag: str) -> None:
    broker.add_user("reader", "right", tag)
    with pytest.raises(SourceDenied) as caught:
        captured(broker, credential=UserPassword("reader", "right"))
    assert "`administrator`" in caught.value.hint
    broker.ask("DELETE", "/api/users/reader")


def test_broker_that_is_away_is_unreachable(broker: RabbitMQ) -> None:
    with pytest.raises(SourceUnreachable):
        captured(broker, url=f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("passed", [0, 100, 700])
def test_export_cut_short_on_its_way_is_never_taken_for_whole(furnished: RabbitMQ, passed: int) -> None:
    with fault_proxy(furnished.port) as proxy:
        proxy.down.set(cut_after=passed)
        with pytest.raises(SourceUnreachable, match="no whole answer"):
            captured(furnished, url=f"http://127.0.0.1:{proxy.port}")
        assert proxy.connections > 1


def test_export_cut_short_once_is_asked_for_again(furnished: RabbitMQ) -> None:
    wanted = definitions(furnished)
    with fault_proxy(furnished.port) as proxy:
        proxy.down.set(cut_after=700)
        endpoint = furnished.endpoint(url=f"http://127.0.0.1:{proxy.port}", attempts=10, first_wait=0.4)
        export = RabbitMQExport(endpoint)

        def mend() -> None:
            while not proxy.connections:
                time.sleep(0.01)
            time.sleep(0.2)
            proxy.down.set()

        mender = threading.Thread(target=mend)
        mender.start()
        assert files(export.capture())[DEFINITIONS] == wanted
        mender.join()
        assert proxy.connections > 1


def test_something_else_at_the_address_is_no_export(broker: RabbitMQ) -> None:
    # One path too deep: the management API's own pages answer there.
    with pytest.raises(SourceError):
        captured(broker, url=f"{broker.url}/api")


def test_definitions_that_are_none_are_refused_by_the_broker(broker: RabbitMQ) -> None:
    before = definitions(broker)
    with pytest.raises(SourceError, match="400"):
        import_definitions(broker.endpoint(), b'{"queues": "nonsense"')
    assert definitions(broker) == before

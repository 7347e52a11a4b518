"""A real RabbitMQ's definitions through the flows: committed with what is left out, red when the broker says no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.variables import Variable
from pydantic import SecretStr
from support.anchorage import Anchorage, anchorage
from support.postgres import MAJORS
from support.rabbitmq import EPMD, RABBITMQ, RabbitMQ, running_rabbitmq

from blocks import HttpExport
from flows.backup import backup_environment
from flows.restore import restore
from lifeboat.adapters.rabbitmq import DEFINITIONS
from lifeboat.errors import RestoreRefused, SourcesFailed
from lifeboat.model.restore_choice import choose
from lifeboat.stages.fetch import fetch_tree_index, read_catalog
from lifeboat.stages.keygen import write_private

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
    pytest.mark.skipif(
        not (RABBITMQ and EPMD), reason="rabbitmq-server is not installed: no broker to export from"
    ),
]
BLOCK = "demo-main-definitions"


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with running_rabbitmq() as broker:
        broker.ask("PUT", "/api/queues/%2F/positions", {"durable": True})
        broker.publish("/", "positions", 1)
        yield broker


@pytest.fixture(scope="module")
def harbour(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    with anchorage(tmp_path_factory.mktemp("harbour"), rows=10) as made:
        made.register()
        Variable.unset("lifeboat-head-demo-main-definitions")
        yield made


def run(harbour: Anchorage, broker: RabbitMQ, password: str) -> Any:
    block = HttpExport(user=broker.user, password=SecretStr(password))
    block.save(BLOCK, overwrite=True)
    source = {
        "kind": "rabbitmq",
        "url": broker.url,
        "classification": {"confidentiality": "high", "integrity": "high", "availability": "high"},
    }
    policy = harbour.policy("export", services__main__sources__definitions=source)
    return backup_environment("demo", policy=policy, only=["main/definitions"])


def test_definitions_are_committed_and_the_messages_left_out_are_a_finding(
    harbour: Anchorage, broker: RabbitMQ
) -> None:
    (outcome,) = run(harbour, broker, broker.password)

    assert (outcome.state, outcome.files) == ("committed", 2)
    assert [told for told in outcome.findings if told.startswith("messages-not-backed-up (P1): ")]
    ship = harbour.ship
    manifest = choose(read_catalog(ship.store, "demo", "main-definitions", ship.keys.trusted)).manifest
    index = fetch_tree_index(ship.store, manifest, [ship.operations.identity])
    assert DEFINITIONS in {member.entry.path for member in index.members()}


def test_password_that_the_broker_refuses_turns_the_run_red_unshown(
    harbour: Anchorage, broker: RabbitMQ
) -> None:
    with pytest.raises(SourcesFailed, match="said no") as caught:
        run(harbour, broker, "S3CRET-canary")
    assert "S3CRET" not in str(caught.value)


def test_deleted_definitions_come_back_through_the_flow_once_somebody_typed_the_brokers_address(
    harbour: Anchorage, broker: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(harbour, broker, broker.password)
    policy = str(harbour.folder / "export.yaml")
    write_private(tmp_path / "identity", harbour.ship.operations.identity + "\n")
    monkeypatch.setenv("LIFEBOAT_IDENTITY_FILE", str(tmp_path / "identity"))
    broker.ask("DELETE", "/api/queues/%2F/positions")
    order: dict[str, Any] = {"sources": ["main/definitions"], "broker": BLOCK, "policy": policy}

    with pytest.raises(RestoreRefused, match=f"'{broker.url}' was asked for"):
        restore("demo", approval="no", **order)
    (outcome,) = restore("demo", approval=broker.url, **order)

    assert (outcome.what, outcome.target, outcome.state) == ("definitions", broker.url, "restored")
    assert [queue["name"] for queue in broker.ask("GET", "/api/queues")] == ["positions"]


def test_definitions_come_back_as_files_without_a_broker(
    harbour: Anchorage, broker: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(harbour, broker, broker.password)
    write_private(tmp_path / "identity", harbour.ship.operations.identity + "\n")
    monkeypatch.setenv("LIFEBOAT_IDENTITY_FILE", str(tmp_path / "identity"))

    restore(
        "demo",
        ["main/definitions"],
        folder=str(tmp_path / "back"),
        policy=str(harbour.folder / "export.yaml"),
    )

    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        "definitions.json",
        "queue-depths.json",
    ]

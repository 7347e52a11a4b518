"""RabbitMQ's definitions as values."""

from __future__ import annotations

from typing import Any

from lifeboat.model.definitions import VirtualHost, listed, missing_objects, only_virtual_host, own_objects

NEW: dict[str, Any] = {
    "rabbit_version": "3.10.8",
    "users": [{"name": "keeper", "password_hash": "S3CRET", "tags": ["administrator"]}],
    "vhosts": [{"name": "/"}],
    "permissions": [{"user": "keeper", "vhost": "/", "configure": ".*"}],
    "global_parameters": [{"name": "internal_cluster_id", "value": "one"}],
    "queues": [],
}
QUEUE = {"name": "alarms", "vhost": "east", "durable": True, "arguments": {}}
BINDING = {
    "source": "x",
    "vhost": "east",
    "destination": "alarms",
    "destination_type": "queue",
    "routing_key": "#",
}
SHOVEL = {"component": "shovel", "name": "away", "vhost": "east", "value": {"src-uri": "amqp://S3CRET"}}
LIMIT = {"component": "operator_policy", "name": "limit", "vhost": "east", "value": {}}
USED = NEW | {
    "vhosts": [{"name": "/"}, {"name": "east"}],
    "queues": [QUEUE],
    "bindings": [BINDING],
    "parameters": [SHOVEL, LIMIT],
    "permissions": [{"user": "fleet", "vhost": "east", "configure": ""}],
}


def test_new_broker_holds_nothing_of_its_own() -> None:
    assert own_objects(NEW, user="keeper") == []
    assert own_objects(NEW | {"users": [*NEW["users"], {"name": "guest"}]}, user="keeper") == []


def test_used_broker_is_told_by_kind_and_key_without_secrets() -> None:
    told = own_objects(USED, user="other")
    assert told == [
        "vhosts 'east'",
        "users 'keeper'",
        "queues 'east' 'alarms'",
        "bindings 'east' 'x' 'queue' 'alarms' '#'",
        "parameters 'east' 'shovel' 'away'",
        "parameters 'east' 'operator_policy' 'limit'",
    ]
    assert own_objects(USED, user="keeper", virtual_host="west") == []
    assert len(own_objects(USED, user="keeper", virtual_host="east")) == 4


def test_one_virtual_host_is_cut_out_and_renamed_and_what_would_move_messages_stays_behind() -> None:
    kept, left_out = only_virtual_host(USED, VirtualHost("east", "drill"), frozenset({"keeper"}))
    assert kept["vhosts"] == [{"name": "drill"}]
    assert kept["queues"] == [QUEUE | {"vhost": "drill"}]
    assert kept["parameters"] == [LIMIT | {"vhost": "drill"}]
    assert "users" not in kept
    assert "global_parameters" not in kept
    assert left_out == ["permissions 'east' 'fleet'", "parameters 'east' 'shovel' 'away'"]
    same, _ = only_virtual_host(USED, VirtualHost("east"), frozenset({"fleet"}))
    assert same["permissions"] == USED["permissions"]


def test_differences_are_what_lacks_or_is_otherwise_and_not_what_is_there_besides() -> None:
    changed = QUEUE | {"durable": False}
    newer = BINDING | {"told_by_newer_brokers": 1}
    found = USED | {"queues": [changed], "bindings": [newer], "parameters": [SHOVEL]}
    found["global_parameters"] = [{"name": "internal_cluster_id", "value": "another cluster"}]
    told = [(each.what, each.why) for each in missing_objects(USED, found)]
    assert told == [
        ("queues 'east' 'alarms'", "different"),
        ("parameters 'east' 'operator_policy' 'limit'", "missing"),
    ]
    assert missing_objects(NEW, USED | {"permissions": NEW["permissions"]}) == []


def test_long_list_is_cut_with_the_number_that_is_left() -> None:
    assert listed([str(number) for number in range(25)]).splitlines()[-2:] == ["  19", "  and 5 more"]

"""What the shipped policies say, clause by clause, and what a policy can be asked."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError
from support.policies import POLICIES, demo_policy, demo_text

from lifeboat.errors import ConfigurationError
from lifeboat.model.canonical import sha256_hex
from lifeboat.model.policy import Policy, load_policy
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_schedule import worst_interval
from lifeboat.model.policy_sources import AzureFilesSource, FilesSource, PostgresSource
from lifeboat.model.retention import RetentionRules


@pytest.fixture(scope="module")
def automotive() -> Policy:
    return load_policy((POLICIES / "digital-automotive.yaml").read_text("utf-8"), where="digital-automotive")


def sources(environment: Environment) -> dict[str, set[str]]:
    return {name: set(service.sources) for name, service in environment.services.items()}


def test_policy_carries_the_hash_of_its_text() -> None:
    text = demo_text()
    assert load_policy(text, where="demo").sha256 == sha256_hex(text.encode())


def test_policy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        demo_policy().environment("demo").store.reserve = 1  # type: ignore[misc]


def test_environment_that_is_not_in_the_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="has no environment 'dmeo'; did you mean 'demo'") as caught:
        demo_policy().environment("dmeo")
    assert caught.value.hint == "known environments: demo"


def test_environment_without_names_of_its_own_takes_them_from_its_key() -> None:
    demo = demo_policy().environment("demo")
    assert (demo.name, demo.store.block, demo.work_pool, demo.restore_work_pool) == (
        "demo",
        "demo",
        "demo",
        "demo-restore",
    )


def test_environment_with_names_of_its_own_keeps_them() -> None:
    changes = {
        "environments.demo.store.block": "nas",
        "environments.demo.work_pool": "pool",
        "environments.demo.restore_work_pool": "other",
    }
    demo = demo_policy(changes).environment("demo")
    assert (demo.store.block, demo.work_pool, demo.restore_work_pool) == ("nas", "pool", "other")


def test_limits_that_are_left_out_have_the_documented_defaults() -> None:
    changes = {"environments.demo.limits": {}, "environments.demo.schedule.longest": "6h"}
    limits = demo_policy(changes).environment("demo").limits
    assert limits.source == dt.timedelta(hours=6)
    assert limits.stall == limits.lock_wait == dt.timedelta(seconds=60)
    assert limits.snapshot_age == dt.timedelta(hours=4)


def test_objectives_of_an_environment_go_before_the_policy_s() -> None:
    own = {"environments.demo.objectives": {"rto": "2h", "rpo": "20h"}}
    for changes, rpo in ((own, 20), ({}, 24)):
        policy = demo_policy(changes)
        assert policy.objectives_of(policy.environment("demo")).rpo == dt.timedelta(hours=rpo)


@pytest.mark.parametrize(
    ("provider", "internal"),
    [("azure", {"azure_maintenance", "azure_sys"}), ("digitalocean", {"_dodb"}), ("self-hosted", set())],
)
def test_internal_databases_are_those_of_the_provider_and_the_templates(
    provider: str, internal: set[str]
) -> None:
    path = "environments.demo.services.main.sources.databases.provider"
    source = demo_policy({path: provider}).environment("demo").services["main"].sources["databases"]
    assert isinstance(source, PostgresSource)
    assert source.internal_databases == internal | {"template0", "template1"}


def test_demo_policy_says_what_the_demo_needs() -> None:
    demo = demo_policy().environment("demo")
    source = demo.services["main"].sources["databases"]
    assert isinstance(source, PostgresSource)
    assert source.databases == ("shop", "fleet", "archive 2024")
    assert demo.retention == RetentionRules(daily_days=30, monthly_months=6, floor=3, deletion_cap=4)
    assert (demo.store.kind, demo.store.host_key) == ("sftp", "block")
    assert demo.store.orphan_grace == dt.timedelta(hours=24)
    assert demo.restore_to == ("demo",)
    assert len(demo.recipients) == 2


def test_shipped_policy_states_the_objectives_and_hours_of_the_clauses(automotive: Policy) -> None:
    assert (automotive.version, automotive.date) == ("1.2.0", dt.date(2025, 5, 23))
    assert automotive.objectives.rto == dt.timedelta(hours=4)  # P12
    assert automotive.objectives.rpo == dt.timedelta(hours=24)  # P13
    hours = automotive.working_hours
    assert hours.days == ("monday", "tuesday", "wednesday", "thursday", "friday")
    assert (hours.from_, hours.until, hours.holidays) == (dt.time(8), dt.time(17), "DE")
    assert automotive.time_zone == "Europe/Berlin"
    assert automotive.contacts and automotive.attestations  # P20, P4


def test_shipped_policy_has_every_environment_and_service_of_the_clauses(automotive: Policy) -> None:
    assert list(automotive.environments) == ["production", "trial", "staging"]
    for name, environment in automotive.environments.items():
        moving = {"platform": {"objects"}} if name == "production" else {}
        assert sources(environment) == moving | {
            "main": {"databases", "documents-and-images"},
            "authentication": {"database", "configuration", "realm-keys"},
            "messaging": {"definitions", "configuration", "logs"},
        }


def test_shipped_policy_retains_as_clause_s2_says(automotive: Policy) -> None:
    rules = RetentionRules(daily_days=30, monthly_months=6, floor=7, deletion_cap=4)
    assert all(environment.retention == rules for environment in automotive.environments.values())


def test_shipped_policy_meets_the_recovery_point_objective_everywhere(automotive: Policy) -> None:
    for environment in automotive.environments.values():
        worst = worst_interval(environment.schedule, first_year=2026).length
        assert worst + environment.schedule.longest == dt.timedelta(hours=18)


@pytest.mark.parametrize("name", ["production", "trial"])
def test_shipped_policy_asks_azure_for_what_clauses_s1_and_s3_say(automotive: Policy, name: str) -> None:
    main = automotive.environment(name).services["main"].sources
    databases, files = main["databases"], main["documents-and-images"]
    assert isinstance(databases, PostgresSource) and databases.provider == "azure"
    assert isinstance(files, AzureFilesSource)
    for source in (databases, files):
        assert source.provider_backup is not None
        assert source.provider_backup.region == "North Europe"
        assert source.provider_backup.daily == dt.timedelta(days=30)
        assert source.provider_backup.geo_redundant
    assert files.provider_backup is not None and files.provider_backup.monthly is not None
    assert (files.provider_backup.monthly.anchor, files.provider_backup.monthly.keep) == ("1st sunday", 6)


def test_shipped_policy_takes_staging_from_digitalocean_and_asks_it_for_nothing(automotive: Policy) -> None:
    main = automotive.environment("staging").services["main"].sources
    databases, files = main["databases"], main["documents-and-images"]
    assert isinstance(databases, PostgresSource)
    assert (databases.provider, databases.port) == ("digitalocean", 25060)
    assert isinstance(files, FilesSource) and files.consistency == "live"  # decision 10
    assert databases.provider_backup is None and files.provider_backup is None


def test_shipped_policy_separates_accounts_and_environments(automotive: Policy) -> None:
    for environment in automotive.environments.values():
        assert environment.store.prune_block == f"{environment.name}-prune"  # P3
        assert environment.store.host_key == "block"
        assert len({recipient.holder for recipient in environment.recipients}) == 3  # P6
        assert environment.restore_to == ()  # P8

"""What a wrong policy is told: every mistake at once, path first, in the order of the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.policies import REMOVED, demo_policy, demo_text

from lifeboat.errors import PolicyError
from lifeboat.model.manifest import chain_name
from lifeboat.model.policy import load_policy

GOLDEN = Path(__file__).parents[2] / "golden"

DEMO = "environments.demo"
SOURCE = f"{DEMO}.services.main.sources.databases"
CLASSIFICATION = {"confidentiality": "low", "integrity": "low", "availability": "low"}
AGE_KEY = "age1" + "q" * 58
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPh0Th3mmtJ4YwBeXnQ2dTqeY6nDgnPBrqC3xWJ0kPZV nas"


def told(changes: dict[str, Any]) -> list[str]:
    """What the demo policy with ``changes`` is told, without the line numbers."""
    with pytest.raises(PolicyError) as caught:
        load_policy(demo_text(changes), where="demo.yaml")
    return [str(problem).rpartition(" (line ")[0] for problem in caught.value.problems]


def only(changes: dict[str, Any]) -> str:
    """The one thing it is told."""
    (message,) = told(changes)
    return message


def files_source(**keys: Any) -> dict[str, Any]:
    source = {"kind": "files", "url": "file:///srv", "consistency": "live", "classification": CLASSIFICATION}
    return source | keys


def shares_source(**keys: Any) -> dict[str, Any]:
    source = {"kind": "azure-files", "account": "shop1", "shares": ["docs"], "snapshot": "own"}
    return source | {"consistency": "snapshot", "classification": CLASSIFICATION} | keys


def test_policy_with_many_mistakes_is_told_all_of_them_in_file_order() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy((GOLDEN / "policy_mistakes.yaml").read_text("utf-8"), where="policy_mistakes.yaml")
    golden = GOLDEN / "policy_mistakes.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(f"{caught.value}\n", "utf-8")
    assert f"{caught.value}\n" == golden.read_text("utf-8")
    assert len(caught.value.problems) > 20


# --- keys by themselves -----------------------------------------------------------------------------------


def test_unknown_key_is_told_the_nearest_known_one() -> None:
    assert only({f"{DEMO}.limits.stal": "60s"}) == (
        "At 'environments.demo.limits.stal': unknown key; did you mean 'stall'?"
    )


def test_unknown_key_like_no_other_is_told_the_known_ones_and_its_value_is_not_shown() -> None:
    message = only({f"{DEMO}.spool.password": "hunter2"})
    assert message == "At 'environments.demo.spool.password': unknown key; known here: folder, limit"


def test_unknown_key_inside_a_source_has_the_path_of_the_file() -> None:
    assert only({f"{SOURCE}.hosst": "db"}) == f"At '{SOURCE}.hosst': unknown key; did you mean 'host'?"


def test_missing_key_is_told_with_what_it_is_for() -> None:
    message = only({f"{SOURCE}.provider": REMOVED})
    assert message.startswith(f"At '{SOURCE}.provider': missing. Who runs the server")


def test_source_of_unknown_kind_is_told_the_known_ones() -> None:
    message = only({f"{SOURCE}.kind": "postgresql"})
    assert message.startswith(f"At '{SOURCE}.kind': 'postgresql' is not one of 'postgres', 'azure-files'")
    assert message.endswith("did you mean 'postgres'?")


def test_source_without_kind_is_told_so() -> None:
    assert only({f"{SOURCE}.kind": REMOVED}) == f"At '{SOURCE}.kind': missing. What kind of source this is"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{DEMO}.limits.stall", "1 minute", "'1 minute' is not a duration; write 30d, 24h, 45m"),
        (f"{DEMO}.schedule.longest", 45, "45 is not a duration; say 45 of what: 45d, 45h, 45m or 45s"),
        (f"{DEMO}.store.orphan_grace", "23h", "less than 24h"),
        (f"{DEMO}.store.reserve", "20 GB", "'20 GB' is not a size; write 20 GiB"),
        (f"{DEMO}.spool.folder", "spool", "'spool' is relative"),
        (f"{DEMO}.schedule.at", [], "needs at least 1, has 0"),
        (f"{DEMO}.schedule.at", "00:15", "must be a list, like [first, second], not '00:15'"),
        (f"{DEMO}.retention.floor", 0, "must be at least 1, not 0"),
        (f"{DEMO}.retention.daily", "thirty", "'thirty' is not a number of days"),
        (f"{SOURCE}.streams", 17, "must be at most 16, not 17"),
        (f"{SOURCE}.streams", True, "must be a whole number, not True"),
        (f"{SOURCE}.databases", ["shop", "shop"], "'shop' stands here more than once"),
        (f"{SOURCE}.databases", [2024], "must be text (put it in quotes), not 2024"),
        (f"{SOURCE}.databases", [""], "must not be empty"),
        (f"{SOURCE}.databases", ["ä" * 40], "PostgreSQL keeps at most 63 bytes"),
        (f"{SOURCE}.consistency", "live", "'live' is not 'snapshot'"),
        (f"{SOURCE}.suspect", 3, "must be a mapping of keys, not 3"),
        ("time_zone", "Europe/Berlim", "did you mean 'Europe/Berlin'?"),
        (
            "working_hours.holidays",
            "Germany",
            "'Germany' is not a country code: two capital letters, like DE",
        ),
        ("working_hours.holidays", "XX", "the holidays of 'XX' are not known"),
        ("working_hours.company_days", ["2026-12-24", "2026-12-24"], "a date stands here twice"),
        ("working_hours.company_days", ["24.12.2026"], "must be a date, like 2026-11-23"),
        ("working_hours.days", ["monday", "monday"], "a day stands here twice"),
        ("date", "23.11.2026", "must be a date, like 2026-11-23"),
        ("environments", {}, "needs at least 1, has 0"),
    ],
)
def test_wrong_value_is_told_what_would_be_right(path: str, value: object, message: str) -> None:
    assert message in " ".join(told({path: value}))
    assert any(line.startswith(f"At '{path}") for line in told({path: value}))


@pytest.mark.parametrize("port", [6432, 25061])
def test_port_of_a_connection_pooler_is_refused_with_the_reason(port: int) -> None:
    message = only({f"{SOURCE}.port": port})
    assert f"{port} is" in message
    assert "PgBouncer" in message
    assert "empties the search_path" in message


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://nas/x", "begins with one of file://, sftp://, s3://, abfs://"),
        ("file://nas/x", "says not where"),
        ("sftp:///x", "says not where"),
        ("sftp://nas", "says not where"),
    ],
)
def test_tree_that_is_nowhere_is_refused(url: str, message: str) -> None:
    assert message in only({SOURCE: files_source(url=url)})


def test_url_with_credentials_is_refused_and_never_shown() -> None:
    message = only({SOURCE: files_source(url="sftp://me:hunter2@nas/x")})
    assert "carries no user, no password" in message
    assert "hunter2" not in message


def test_export_in_the_clear_is_refused_except_on_this_machine() -> None:
    export = {"kind": "http-export", "consistency": "live", "classification": CLASSIFICATION}
    assert "in the clear" in only({SOURCE: {**export, "url": "http://rabbit:15672/api/definitions"}})
    demo_policy({SOURCE: {**export, "url": "http://localhost:15672/api/definitions"}})


def test_rabbitmq_below_its_management_api_is_refused() -> None:
    broker = {"kind": "rabbitmq", "classification": CLASSIFICATION}
    for path in ("/api", "/api/definitions"):
        assert "goes too deep" in only({SOURCE: {**broker, "url": f"https://rabbit.example{path}"}})
    demo_policy({SOURCE: {**broker, "url": "https://rabbit.example/broker"}})


def cluster_source(**keys: Any) -> dict[str, Any]:
    source = {"kind": "kubernetes", "url": "https://kubernetes.example", "namespaces": ["shop"]}
    return source | {"classification": CLASSIFICATION} | keys


def test_kubernetes_below_its_top_or_in_the_clear_is_refused() -> None:
    for path in ("/api", "/apis/apps/v1", "/k8s/clusters/c-1/api/v1"):
        assert "goes too deep" in only({SOURCE: cluster_source(url=f"https://kubernetes.example{path}")})
    assert "in the clear" in only({SOURCE: cluster_source(url="http://kubernetes.example")})
    demo_policy({SOURCE: cluster_source(url="https://rancher.example/k8s/clusters/c-1")})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("namespaces", [], "needs at least 1, has 0"),
        ("namespaces", ["shop", "shop"], "'shop' stands here more than once"),
        ("namespaces", ["*"], "'*' is no namespace"),
        ("namespaces", ["shop-"], "'shop-' is no namespace"),
        ("namespaces", ["s" * 64], "at most 63"),
        ("include", ["Secret"], "'Secret' is no resource; write its plural as in `kubectl api-resources`"),
        ("exclude", ["*"], "'*' is no resource"),
        ("exclude", ["pods/log"], "'pods/log' is no resource"),
        ("exclude", ["secrets", "secrets"], "'secrets' stands here more than once"),
        ("consistency", "snapshot", "'snapshot' is not 'live'"),
        ("unreadable", "ignore", "'ignore' is not one of 'fail' or 'finding'"),
    ],
)
def test_kubernetes_names_that_cannot_be_are_told(key: str, value: Any, message: str) -> None:
    assert message in only({SOURCE: cluster_source(**{key: value})})
    demo_policy({SOURCE: cluster_source(include=["secrets", "*.cert-manager.io"], exclude=["roles.rbac.x"])})


def test_pattern_that_leaves_the_tree_is_refused() -> None:
    assert "leaves the tree" in only({SOURCE: files_source(include=["../secrets/**"])})


# --- store and keys ---------------------------------------------------------------------------------------


def test_sftp_store_without_a_host_key_is_refused() -> None:
    message = only({f"{DEMO}.store.host_key": REMOVED})
    assert message.startswith(f"At '{DEMO}.store.host_key': missing. Without a pinned key")


def test_local_store_with_a_host_key_is_refused() -> None:
    assert "a local folder has no host key" in only({f"{DEMO}.store.kind": "local"})


@pytest.mark.parametrize(
    "key", ["", "yes", "ssh-dss AAAA", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 !!"]
)
def test_host_key_that_is_no_public_key_is_refused(key: str) -> None:
    assert "nor an OpenSSH public key" in only({f"{DEMO}.store.host_key": key})


def test_host_key_given_as_public_keys_is_accepted() -> None:
    policy = demo_policy({f"{DEMO}.store.host_key": f"{HOST_KEY}\n{HOST_KEY}\n"})
    assert policy.environment("demo").store.host_key == f"{HOST_KEY}\n{HOST_KEY}"


@pytest.mark.parametrize("recipients", [[], [{"name": "operations", "holder": "Ann"}]])
def test_fewer_than_two_recipients_are_refused_with_the_reason(recipients: list[object]) -> None:
    message = only({f"{DEMO}.recipients": recipients})
    assert "losing it loses every backup" in message


@pytest.mark.parametrize(
    ("second", "where"),
    [
        ({"name": "operations", "holder": "Bob"}, "recipients[1].name"),
        ({"name": "escrow", "holder": " ann "}, "recipients[1].holder"),
        ({"name": "escrow", "holder": "Bob", "key": AGE_KEY}, "recipients[1].key"),
    ],
)
def test_recipients_that_share_something_are_refused(second: dict[str, str], where: str) -> None:
    first = {"name": "operations", "holder": "Ann", "key": AGE_KEY}
    assert only({f"{DEMO}.recipients": [first, second]}).startswith(f"At '{DEMO}.{where}': the same as")


def test_identity_in_place_of_a_recipient_is_refused_and_never_shown() -> None:
    secret = "AGE-SECRET-KEY-1" + "Q" * 58
    rules = [{"name": "a", "holder": "Ann", "key": secret}, {"name": "b", "holder": "Bob"}]
    message = only({f"{DEMO}.recipients": rules})
    assert "this is an identity" in message
    assert secret not in message


# --- rules between keys -----------------------------------------------------------------------------------


def test_schedule_that_cannot_keep_the_objective_is_refused_with_the_arithmetic() -> None:
    message = only({f"{DEMO}.schedule.at": ["03:30"], f"{DEMO}.schedule.longest": "1h"})
    assert message == (
        f"At '{DEMO}.schedule': 24 h 00 min between runs + 1 h until the backup is committed = 25 h, "
        "more than the RPO of 24 h; run at least twice a day"
    )


def test_schedule_is_judged_by_the_objectives_of_its_environment() -> None:
    assert "more than the RPO of 12 h" in only({f"{DEMO}.objectives": {"rto": "4h", "rpo": "12h"}})
    demo_policy({f"{DEMO}.objectives": {"rto": "4h", "rpo": "13h"}})


def test_local_schedule_at_two_in_the_night_is_refused() -> None:
    schedule = {"at": ["02:00", "14:00"], "time_zone": "Europe/Berlin", "longest": "1h"}
    assert "02:00 in Europe/Berlin falls into" in only({f"{DEMO}.schedule": schedule})


def test_runs_that_may_overlap_are_refused() -> None:
    changes = {f"{DEMO}.schedule.at": ["00:00", "00:30", "12:00"]}
    assert "a run may take 1 h, but the one of 00:00 is followed 30 min later" in only(changes)


def test_limit_of_one_source_beyond_the_whole_run_is_refused_also_when_it_is_the_default() -> None:
    message = only({f"{DEMO}.limits": REMOVED})
    assert message.startswith(
        f"At '{DEMO}.limits.source': one source may take 6 h, longer than the whole run's"
    )


SHORT = {"daily": "7d", "monthly": {"anchor": "1st", "keep": "0 months"}, "floor": 2, "deletion_cap": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"daily": "31d"}, "never for a longer one"),
        ({"monthly": {"anchor": "1st", "keep": "7 months"}}, "never for a longer one"),
        ({"deletion_cap": 1}, "the store would grow for ever"),
    ],
)
def test_retention_of_a_source_is_shorter_and_keeps_up(change: dict[str, Any], message: str) -> None:
    found = only({SOURCE: files_source(retention={**SHORT, **change})})
    assert f"{SOURCE}.retention" in found
    assert message in found


def test_retention_of_a_source_holds_for_its_chain_alone() -> None:
    environment = demo_policy({SOURCE: files_source(retention=SHORT)}).environment("demo")
    chain = chain_name(*SOURCE.split(".")[3::2])
    assert environment.retention_of(chain).daily_days == 7
    assert environment.retention_of("gone-from-the-policy") == environment.retention
    assert environment.retention.daily_days == 30


def test_deletion_cap_below_the_runs_of_a_day_is_refused() -> None:
    message = only({f"{DEMO}.retention.deletion_cap": 1})
    assert "2 backups are taken each day and at most 1 may be deleted" in message


def test_restore_into_an_unknown_environment_is_refused() -> None:
    assert only({f"{DEMO}.restore_to": ["dmeo"]}) == (
        f"At '{DEMO}.restore_to[0]': there is no environment 'dmeo'; did you mean 'demo'? (known: demo)"
    )


def test_two_sources_whose_backups_would_be_named_alike_are_refused() -> None:
    services = {
        "main": {"sources": {"side-files": files_source()}},
        "main-side": {"sources": {"files": files_source(url="file:///other")}},
    }
    message = only({f"{DEMO}.services": services})
    assert "its backups would be named 'main-side-files'" in message


@pytest.mark.parametrize("name", ["template1", "_dodb"])
def test_database_of_the_provider_in_the_list_is_refused(name: str) -> None:
    changes = {f"{SOURCE}.provider": "digitalocean", f"{SOURCE}.databases": ["shop", name]}
    assert only(changes).startswith(
        f"At '{SOURCE}.databases[1]': {name!r} belongs to PostgreSQL or its provider"
    )


def test_database_both_listed_and_skipped_is_refused() -> None:
    assert "'shop' also stands under 'skip'" in only({f"{SOURCE}.skip": ["shop"]})


def test_share_both_listed_and_skipped_is_refused() -> None:
    assert "'docs' also stands under 'skip'" in only({SOURCE: shares_source(skip=["docs"])})


def test_live_share_that_claims_to_be_a_snapshot_is_refused() -> None:
    assert "change while they are read" in only({SOURCE: shares_source(snapshot="none")})
    demo_policy({SOURCE: shares_source(snapshot="none", consistency="live")})


def test_hooks_around_a_tree_that_claims_to_be_live_are_refused() -> None:
    hooks = {"before": ["zfs", "snapshot", "tank/a@b"], "after": ["zfs", "destroy", "tank/a@b"]}
    assert "do not change while they are read" in only({SOURCE: files_source(hooks=hooks)})
    demo_policy({SOURCE: files_source(hooks=hooks, consistency="snapshot")})


@pytest.mark.parametrize(
    ("hooks", "problem"),
    [
        ({"before": ["true"]}, "after"),
        ({"before": ["true"], "after": []}, "after"),
        ({"before": ["true"], "after": ["true", "a\0b"]}, "NUL"),
        ({"before": "zfs snapshot", "after": ["true"]}, "before"),
        ({"before": ["true"], "after": ["true"], "limit": "never"}, "limit"),
    ],
)
def test_hooks_that_are_not_two_commands_are_refused(hooks: dict[str, Any], problem: str) -> None:
    assert problem in only({SOURCE: files_source(hooks=hooks, consistency="crash")})


def test_working_day_that_ends_before_it_begins_is_refused() -> None:
    assert only({"working_hours.until": "07:00"}) == "At 'working_hours.until': 07:00 is not after 08:00"


@pytest.mark.parametrize("key", ["sha256", f"{DEMO}.name"])
def test_key_that_only_lifeboat_sets_is_refused(key: str) -> None:
    assert "unknown key" in only({key: "demo"})


def test_rules_between_keys_speak_also_when_the_file_has_mistakes_elsewhere() -> None:
    messages = told({f"{DEMO}.schedule.at": ["03:30"], f"{DEMO}.store.kind": "ftp", "version": REMOVED})
    assert [message.partition(":")[0] for message in messages] == [
        "At 'version'",
        f"At '{DEMO}.store.kind'",
        f"At '{DEMO}.schedule'",
    ]


# --- separation of environments (P8) ----------------------------------------------------------------------


def second_environment(**keys: Any) -> dict[str, Any]:
    """A second environment like the demo's, but for ``keys``."""
    demo = yaml.safe_load(demo_text())["environments"]["demo"]
    trial = demo | {"restore_to": []} | keys
    return {"environments.trial": trial}


def test_second_environment_with_everything_of_its_own_is_accepted() -> None:
    assert set(demo_policy(second_environment()).environments) == {"demo", "trial"}


def test_environments_that_share_a_work_pool_are_refused() -> None:
    assert "the work pool 'demo' already serves" in only(second_environment(work_pool="demo"))


def test_environments_that_share_a_store_block_are_refused() -> None:
    store = {"kind": "sftp", "host_key": "block", "block": "demo"}
    message = only(second_environment(store=store))
    assert message == (
        "At 'environments.trial.store.block': the store block 'demo' already serves "
        "'environments.demo.store.block'; environments share none (P8)"
    )


def test_environments_that_share_a_key_are_refused() -> None:
    rules = [{"name": "a", "holder": "Ann", "key": AGE_KEY}, {"name": "b", "holder": "Bob"}]
    changes = {**second_environment(recipients=rules), f"{DEMO}.recipients": rules}
    assert "the recipient's key" in only(changes)


def test_environments_that_share_a_source_block_are_refused() -> None:
    changes = {f"{SOURCE}.block": "server", **second_environment()}
    changes["environments.trial"]["services"]["main"]["sources"]["databases"]["block"] = "server"
    assert "the source block 'server' already serves" in only(changes)


def test_backups_and_restores_in_one_work_pool_are_refused() -> None:
    assert "restore workers hold identities" in only({f"{DEMO}.restore_work_pool": "demo"})

"""The doctor's checks, against real servers and stores, sound and ill."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http_service import Reply, http_service
from support.policies import demo_policy
from support.postgres import MAJORS
from support.sshd import SSHD, account, running_sshd

from lifeboat.adapters.hooks import HookedTree, Hooks
from lifeboat.adapters.http_export import PlainExport
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.store import FreeSpace
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.tree import LiveTree
from lifeboat.adapters.tree_local import LocalTreeTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.policy_environment import Environment
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.doctor import (
    Check,
    Verdict,
    check_keys,
    check_next_run,
    check_server,
    check_spool,
    check_tree,
    clock_check,
    examined,
    ok,
)
from lifeboat.stages.doctor_store import check_store, space_check
from lifeboat.stages.keygen import new_identity, new_signing_key
from lifeboat.stages.voyage import Keys

GIB = 2**30
NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


def environment(**changes: object) -> Environment:
    """The demo's environment with a local store; ``changes`` by key, ``__`` for the dot."""
    paths = {f"environments.demo.{key.replace('__', '.')}": value for key, value in changes.items()}
    store = {"environments.demo.store": {"kind": "local", "reserve": "1 MiB"}}
    return demo_policy(store | paths).environment("demo")


def failures(checks: list[Check]) -> list[str]:
    return [check.message for check in checks if check.verdict is Verdict.FAILED]


def every(verdict: Verdict, checks: list[Check]) -> bool:
    return {check.verdict for check in checks} == {verdict}


def test_check_that_dies_keeps_what_it_found_and_says_what_to_do() -> None:
    def checks() -> Iterator[Check]:
        yield ok("x", "found")
        raise ConfigurationError("gone", hint="mend it")

    first, last = examined("x", checks())
    assert first.message == "found"
    assert last == Check("x", Verdict.FAILED, "gone", "mend it")


# The store


def test_local_store_is_written_to_and_read_back_and_left_as_it_was(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    checks = list(check_store("store", target, target, environment()))
    assert every(Verdict.OK, checks)
    assert "what one connection wrote, another one read back" in [check.message for check in checks]
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_of_a_store_fails_with_what_to_do(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "missing")
    (check,) = examined("store", check_store("store", target, target, environment()))
    assert check.verdict is Verdict.FAILED
    assert check.next_step.startswith("Create it on the store")


def test_account_that_uploads_and_deletes_is_a_warning_when_the_policy_separates_them(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    separated = environment(store={"kind": "local", "reserve": "1 MiB", "prune_block": "demo-prune"})
    (check,) = [c for c in check_store("store", target, target, separated) if c.verdict is Verdict.WARNING]
    assert "can also delete" in check.message


@pytest.mark.sshd
@pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")
def test_write_once_store_is_proven_so_and_the_pruning_account_removes_the_probe() -> None:
    with account() as user, running_sshd(user, write_once=True) as server:
        pruning = LocalTarget(server.folder)
        separated = environment(
            store={"kind": "sftp", "reserve": "1 MiB", "host_key": "block", "prune_block": "demo-prune"}
        )
        checks = list(check_store("store", server.target(), pruning, separated))
        assert failures(checks) == []
        messages = [check.message for check in checks]
        assert (
            "write-once proven: overwriting and deleting are denied to the account that uploads" in messages
        )
        assert "the account that prunes may delete" in messages
        assert list(server.folder.iterdir()) == []


@pytest.mark.sshd
@pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")
def test_store_on_which_nobody_may_delete_fails_and_names_the_probe_that_stays() -> None:
    with account() as user, running_sshd(user, write_once=True) as server:
        checks = list(check_store("store", server.target(), server.target(), environment()))
        (probe,) = [path.name for path in server.folder.iterdir()]
        (failure,) = failures(checks)
        assert "nothing can be pruned" in failure and probe in failure


@pytest.mark.parametrize(
    ("available", "usual", "verdict"),
    [
        (9 * GIB, 0, Verdict.FAILED),
        (10 * GIB, 0, Verdict.OK),
        (13 * GIB, 2 * GIB, Verdict.WARNING),
        (14 * GIB, 2 * GIB, Verdict.OK),
    ],
)
def test_space_must_hold_the_reserve_and_should_hold_two_more_backups(
    available: int, usual: int, verdict: Verdict
) -> None:
    assert space_check("store", FreeSpace(100 * GIB, available), 10 * GIB, usual).verdict is verdict


def test_space_that_the_store_does_not_tell_is_a_warning() -> None:
    assert space_check("store", None, GIB, 0).verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("skew", "words"), [(301, "301 s ahead of"), (-301, "301 s behind"), (299, "agrees"), (-299, "agrees")]
)
def test_clock_beyond_five_minutes_fails_and_says_which_way(skew: int, words: str) -> None:
    check = clock_check("x", dt.timedelta(seconds=skew), "the store")
    assert words in check.message
    assert check.verdict is (Verdict.OK if words == "agrees" else Verdict.FAILED)


# The spool


def test_spool_that_does_not_exist_yet_will_be_made(tmp_path: Path) -> None:
    rules = environment(spool={"folder": str(tmp_path / "a/b"), "limit": "1 MiB"})
    checks = list(check_spool("spool", rules))
    assert every(Verdict.OK, checks)
    assert checks[0].message.endswith("will be made")
    assert not (tmp_path / "a").exists()


def test_spool_on_a_disk_smaller_than_its_limit_is_a_warning(tmp_path: Path) -> None:
    rules = environment(spool={"folder": str(tmp_path), "limit": "900000 TiB"})
    assert [check.verdict for check in check_spool("spool", rules)] == [Verdict.OK, Verdict.WARNING]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc, where nobody can write")
def test_spool_that_cannot_be_written_to_fails() -> None:
    rules = environment(spool={"folder": "/proc/self", "limit": "1 MiB"})
    (failure,) = failures(list(check_spool("spool", rules)))
    assert "cannot be written to" in failure


# Keys


def keys(**changes: object) -> Keys:
    signer = Signer.from_pem(new_signing_key().private_pem)
    index = new_identity()
    made = Keys(
        recipients=(new_identity().recipient, new_identity().recipient),
        signer=signer,
        trusted=TrustedKeys.from_pems(signer.public_pem),
        index_identity=index.identity,
        index_recipient=index.recipient,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_keys_that_fit_together_are_ok() -> None:
    assert every(Verdict.OK, examined("keys", check_keys("keys", keys(), environment())))


def test_signing_key_that_is_not_trusted_fails() -> None:
    stranger = Signer.from_pem(new_signing_key().private_pem)
    (failure,) = failures(examined("keys", check_keys("keys", keys(signer=stranger), environment())))
    assert "is not trusted" in failure


def test_index_identity_of_another_recipient_fails() -> None:
    wrong = keys(index_identity=new_identity().identity)
    (failure,) = failures(examined("keys", check_keys("keys", wrong, environment())))
    assert failure == "the index identity does not open what is sealed for it"


def test_index_identity_that_opens_parts_fails() -> None:
    index = new_identity()
    wrong = keys(
        recipients=(new_identity().recipient, index.recipient),
        index_identity=index.identity,
        index_recipient=index.recipient,
    )
    (failure,) = failures(examined("keys", check_keys("keys", wrong, environment())))
    assert "could open every backup" in failure


# The schedule


def test_next_run_in_time_is_ok_and_none_or_a_late_one_is_not() -> None:
    half_a_day = dt.timedelta(hours=12)
    assert check_next_run("x", NOW + half_a_day, NOW, half_a_day).verdict is Verdict.OK
    assert check_next_run("x", NOW + 2 * half_a_day, NOW, half_a_day).verdict is Verdict.WARNING
    none = check_next_run("x", None, NOW, half_a_day)
    assert none.verdict is Verdict.FAILED and "SQLAlchemy 2.1" in none.next_step


# PostgreSQL


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(
        tmp_path_factory.mktemp("doctor") / "postgres", MAJORS[0], settings={"fsync": "off"}
    ) as made:
        with made.server.connect() as session:
            session.execute("CREATE DATABASE shop")
            session.execute("CREATE DATABASE extra")
            session.execute("CREATE ROLE backup LOGIN PASSWORD 'x' IN ROLE pg_read_all_data")
        with made.server.connect("shop") as session:
            session.execute("CREATE TABLE orders (id int)")
        yield made


needs_postgres = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed")


def source(*databases: str) -> PostgresSource:
    made = environment(services__main__sources__databases__databases=list(databases))
    found = made.services["main"].sources["databases"]
    assert isinstance(found, PostgresSource)
    return found


@pytest.mark.postgres
@needs_postgres
def test_server_as_the_policy_says_is_ok(cluster: Cluster) -> None:
    checks = examined("db", check_server("db", cluster.server, source("shop", "extra")))
    assert every(Verdict.OK, checks)
    assert "database 'shop': everything in it can be read" in [check.message for check in checks]


@pytest.mark.postgres
@needs_postgres
def test_unlisted_database_is_a_warning_and_a_missing_one_fails_without_hiding_the_rest(
    cluster: Cluster,
) -> None:
    unlisted = examined("db", check_server("db", cluster.server, source("shop")))
    assert [c.message for c in unlisted if c.verdict is Verdict.WARNING] == [
        "database 'extra' is backed up, but the policy does not name it"
    ]
    missing = examined("db", check_server("db", cluster.server, source("shop", "extra", "gone")))
    (failure,) = failures(missing)
    assert "'gone'" in failure
    assert "database 'shop': everything in it can be read" in [check.message for check in missing]


@pytest.mark.postgres
@needs_postgres
def test_rows_that_row_security_would_hide_fail_the_check(cluster: Cluster) -> None:
    with cluster.server.connect("shop") as session:
        session.execute("CREATE TABLE hidden (id int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    server = dataclasses.replace(cluster.server, user="backup", password=lambda: "x")
    (failure,) = failures(examined("db", check_server("db", server, source("shop", "extra"))))
    assert "row-level security would hide rows of public.hidden" in failure


@pytest.mark.postgres
@needs_postgres
def test_wrong_password_fails_without_showing_it(cluster: Cluster) -> None:
    server = dataclasses.replace(cluster.server, password=lambda: "S3CRET-wrong")
    (check,) = examined("db", check_server("db", server, source("shop")))
    assert check.verdict is Verdict.FAILED
    assert "S3CRET" not in check.message + check.next_step


@pytest.mark.postgres
@needs_postgres
def test_missing_client_programs_fail_and_the_databases_are_looked_at_all_the_same(
    cluster: Cluster, tmp_path: Path
) -> None:
    server = dataclasses.replace(cluster.server, programs=str(tmp_path))
    checks = examined("db", check_server("db", server, source("shop", "extra")))
    (failure,) = failures(checks)
    assert f"No pg_dump of PostgreSQL {cluster.major}" in failure
    assert len([check for check in checks if "can be read" in check.message]) == 3


# Exports


def test_export_that_is_given_whole_is_well_and_a_refused_one_fails() -> None:
    for reply, verdict in ((Reply(), Verdict.OK), (Reply(403), Verdict.FAILED)):
        with http_service(lambda path, headers, reply=reply: reply) as service:
            export = PlainExport(Endpoint(f"{service.url}/x"))
            (check,) = examined("demo: main/x", check_tree("demo: main/x", export))
            assert check.verdict is verdict
            assert service.url in check.message


def test_tree_that_can_be_read_is_fine_and_an_empty_one_is_suspicious(tmp_path: Path) -> None:
    origin = LiveTree(LocalTreeTarget(tmp_path))
    (empty,) = check_tree("files", origin)
    assert (empty.verdict, "holds no file" in empty.message) == (Verdict.WARNING, True)
    (tmp_path / "file").write_bytes(b"1")
    (found,) = check_tree("files", origin)
    assert (found.verdict, "can be read" in found.message) == (Verdict.OK, True)
    (gone,) = examined("files", check_tree("files", LiveTree(LocalTreeTarget(tmp_path / "gone"))))
    assert gone.verdict is Verdict.FAILED


def test_tree_with_hooks_is_not_frozen_for_a_question(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for program, verdict in (("touch", Verdict.OK), ("no-such-program", Verdict.FAILED)):
        hooks = Hooks((program, str(ran)), ("true",), 5.0, tmp_path / "marker")
        (check,) = check_tree("files", HookedTree(LocalTreeTarget(tmp_path), hooks))
        assert check.verdict is verdict
    assert not ran.exists()

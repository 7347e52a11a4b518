"""Drills through the flow and the command line: green only when all came back equal in time, red with the right reason."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from prefect.settings import PREFECT_API_URL
from support.anchorage import ROOT
from support.dock import Dock, docked
from support.postgres import MAJORS

from blocks.harbour import load_drill_signer
from cli.main import run
from flows.backup import backup_environment
from flows.drill import drill
from lifeboat import clock
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.recovery_script import missing_tools
from lifeboat.errors import CouldNotMeasure, DrillMissed
from lifeboat.model.drill_choice import proven_backups
from lifeboat.model.drill_record import DrillRecord
from lifeboat.model.objectives import Verdict
from lifeboat.model.phases import PhaseName
from lifeboat.stages import drill_compare
from lifeboat.stages.drill_facts import publish_record
from lifeboat.stages.drill_records import read_drill_records
from lifeboat.stages.keygen import new_identity, write_private
from lifeboat.stages.restore import RestoredDatabase
from tasks.restore_board import open_places

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module")
def dock(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dock]:
    with docked(tmp_path_factory.mktemp("dock")) as made:
        yield made


def event_of(record: DrillRecord) -> dict[str, Any]:
    """What the server was told, for automations; it may take a moment to be there."""
    wanted = {"event": {"name": [f"drill.{record.verdict}"]}}
    limit = clock.Deadline.after(20)
    while True:
        answer = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json={"filter": wanted}).json()
        for event in answer["events"]:
            if event["payload"]["drill_id"] == record.drill_id:
                assert event["resource"]["prefect.resource.id"] == "lifeboat.environment.demo"
                return dict(event)
        assert not limit.passed(), f"no event of {record.drill_id}"
        clock.sleep(0.2)


def test_sound_backups_are_green_and_the_record_is_signed_on_the_store(dock: Dock) -> None:
    record = drill("demo", policy=dock.policy)

    assert (record.verdict, record.reasons) == (Verdict.MET, ())
    assert {each.source for each in record.backups} == {"databases", "documents"}
    assert sum(each.rows for each in record.comparisons) == 5000
    assert {each.source: each.rows for each in record.backups} == {"databases": 5000, "documents": 0}
    assert all(each.plain_bytes and each.milliseconds for each in record.backups)
    assert sum(each.files for each in record.comparisons) == 20
    assert record.sandbox.settings["fsync"] == "on"
    assert record.rto and record.rto.technical_milliseconds and record.rto.working_milliseconds
    # Allowances are in the RTO, and apart from what was measured.
    assert record.rto.wall_milliseconds == record.rto.technical_milliseconds + 45 * 60_000
    measured = {phase.name for phase in record.phases if phase.basis == "measured"}
    assert measured == {PhaseName.PROVISION, PhaseName.FETCH, PhaseName.RESTORE, PhaseName.VERIFY}
    assert dock.nothing_is_left()
    raw = (dock.store / record.file_name).read_bytes()
    statement = dock.harbour.ship.keys.trusted.verify(raw, where="a drill record")
    assert DrillRecord.model_validate_json(json.dumps(statement)) == record
    # The page is for who may see names, beside the policy's folder only.
    assert [path.name for path in dock.pages.iterdir()] == [f"{record.drill_id}.html"]
    (page,) = dock.pages.iterdir()
    assert "bring it back, in time" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert event_of(record)["payload"]["rto_milliseconds"] == record.rto.working_milliseconds
    # A connection that was lost when the record was there already leaves it as it is.
    places = open_places(read_policy(Path(dock.policy)), "demo").places
    signer = load_drill_signer("demo")
    publish_record(record, signer, places)
    with pytest.raises(CouldNotMeasure, match="does not read back"):
        publish_record(record.model_copy(update={"tools": {}}), signer, places)
    # Past drills are told from the store; what is no record of this environment is a doubt.
    forged = dock.store / "drill-20261101T000000Z-forged.drill.json"
    forged.write_bytes(raw)
    with places.store.connect() as store:
        past = read_drill_records(store, "demo", dock.harbour.ship.keys.trusted)
        other = read_drill_records(store, "production", dock.harbour.ship.keys.trusted)
    forged.unlink()
    assert past.records == (record,)
    assert [forged.name in doubt for doubt in past.doubts] == [True]
    assert other.records == () and len(other.doubts) == 2
    # It lies open on the store: no name of a database, table or file is in it.
    assert not [name for name in (b"shop", b"orders", b"letter", b".txt") if name in raw]


def test_drill_of_some_sources_says_nothing_about_the_whole(dock: Dock) -> None:
    """The only drill before this one was of the whole: nothing to extrapolate from."""
    with pytest.raises(CouldNotMeasure, match="a sample") as caught:
        drill("demo", ["main/documents"], policy=dock.policy)

    assert caught.value.record
    assert (caught.value.record.drill_kind, caught.value.record.verdict) == ("partial", Verdict.UNMEASURED)


def test_older_backups_are_proven_and_take_no_part_in_the_times(dock: Dock) -> None:
    """The policy has one backup of each source so far: a second makes the first an older one."""
    dock.harbour.rewrite()
    backup_environment("demo", policy=dock.policy)
    first, second = (dock.harbour.ship.catalog().entries[place].manifest for place in (0, 1))
    policy = Path(dock.policy).with_name("older.yaml")
    policy.write_text(Path(dock.policy).read_text().replace("older: false", "older: true"))

    record = drill("demo", seed=42, policy=str(policy))

    assert (record.verdict, record.seed) == (Verdict.MET, 42)
    drilled = {each.backup_id: each for each in record.backups if each.source == "databases"}
    assert {each.backup_id: each.choice for each in drilled.values()} == {
        first.backup_id: "oldest-monthly",
        second.backup_id: "newest",
    }
    assert {each.backup_id for each in record.comparisons if each.rows == 5000} == set(drilled)
    assert record.rpo and record.rpo.data_timestamp == min(
        each.data_timestamp for each in record.backups if each.choice == "newest"
    )
    transfer = sum(each.milliseconds or 0 for each in record.phases if each.name in ("fetch", "restore"))
    assert transfer < sum(each.milliseconds for each in record.backups)
    # Proven this quarter: what is left of older ones is drawn, and damage in one of them turns the drill red.
    with dock.damaged(first), pytest.raises(DrillMissed, match="not-restored") as caught:
        drill("demo", policy=str(policy))
    assert caught.value.record and caught.value.record.rto and caught.value.record.rto.verdict is Verdict.MET
    assert {each.choice for each in caught.value.record.backups} == {"newest", "random"}
    assert dock.nothing_is_left()


def test_damaged_part_is_red_and_says_so(dock: Dock) -> None:
    newest = dock.harbour.ship.catalog().newest_good
    assert newest
    with dock.damaged(newest.manifest), pytest.raises(DrillMissed, match="not-restored") as caught:
        drill("demo", policy=dock.policy)
    assert caught.value.record and caught.value.record.verdict is Verdict.MISSED
    assert dock.nothing_is_left()


def test_missing_index_is_red_and_does_not_stop_the_other_source(dock: Dock) -> None:
    index = max(dock.store.glob("main-databases-*.index.age"))
    hidden = index.with_name("hidden")
    index.rename(hidden)
    try:
        with pytest.raises(DrillMissed, match="store-object-missing") as caught:
            drill("demo", policy=dock.policy)
        with pytest.raises(DrillMissed, match="Nothing of demo could be restored"):
            drill("demo", ["main/databases"], policy=dock.policy)
    finally:
        hidden.rename(index)
    assert caught.value.record
    assert [backup.source for backup in caught.value.record.backups] == ["documents"]
    assert dock.nothing_is_left()


@pytest.mark.parametrize(
    ("mischief", "code"),
    [
        ("DELETE FROM orders WHERE id = 7", "row-count"),
        ("UPDATE orders SET note = 'x' WHERE id = 7", "table-content"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "schema-missing"),
        ("CREATE VIEW v AS SELECT 1", "schema-additional"),
        ("CREATE ROLE stranger", "role-additional"),
        ("COMMENT ON DATABASE CURRENT_NAME IS 'x'", "database-property"),
        ("ALTER TABLE orders ADD COLUMN s serial; SELECT setval('orders_s_seq', 1)", "sequence-behind"),
    ],
)
def test_restored_data_that_is_not_what_was_saved_is_red(
    dock: Dock, monkeypatch: pytest.MonkeyPatch, mischief: str, code: str
) -> None:
    """The restore says all is well, and the database is changed behind its back."""
    from lifeboat.stages import restore_items

    original = restore_items.restore_database

    def restore_database(
        plan: object, wanted: object, loader: object, server: object, **more: object
    ) -> RestoredDatabase:
        done = original(plan, wanted, loader, server, **more)  # type: ignore[arg-type]
        if done.name == "shop":
            with server.connect(done.target) as session:  # type: ignore[attr-defined]
                session.execute(mischief.replace("CURRENT_NAME", f'"{done.target}"'))  # type: ignore[arg-type]
        return done

    monkeypatch.setattr(restore_items, "restore_database", restore_database)

    with pytest.raises(DrillMissed) as caught:
        drill("demo", ["main/databases"], policy=dock.policy)

    assert caught.value.record
    (comparison,) = caught.value.record.comparisons
    assert code in {difference.code for difference in comparison.differences}


def test_rows_in_another_order_are_equal(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifeboat.stages import restore_items

    original = restore_items.restore_database

    def restore_database(
        plan: object, wanted: object, loader: object, server: object, **more: object
    ) -> RestoredDatabase:
        done = original(plan, wanted, loader, server, **more)  # type: ignore[arg-type]
        if done.name == "shop":
            with server.connect(done.target) as session:  # type: ignore[attr-defined]
                session.execute(
                    "CREATE TEMP TABLE t AS TABLE orders; TRUNCATE orders; INSERT INTO orders SELECT * FROM t ORDER BY id DESC"
                )
        return done

    monkeypatch.setattr(restore_items, "restore_database", restore_database)

    assert drill("demo", policy=dock.policy).verdict is Verdict.MET


def test_file_that_changed_after_the_restore_is_red(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    original = drill_compare.verify_tree

    def verify_tree(index: object, target: object, *wanted: object, **more: object) -> object:
        (target.folder / "7.txt").write_text("forged")  # type: ignore[attr-defined]
        (target.folder / "8.txt").unlink()  # type: ignore[attr-defined]
        return original(index, target, *wanted, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(drill_compare, "verify_tree", verify_tree)

    with pytest.raises(DrillMissed) as caught:
        drill("demo", ["main/documents"], policy=dock.policy)

    assert caught.value.record
    codes = {each.code for comparison in caught.value.record.comparisons for each in comparison.differences}
    assert {"file-different", "file-missing"} <= codes


def test_sandbox_of_a_drill_that_died_is_destroyed_by_the_next(dock: Dock) -> None:
    dead = dock.sandboxes / "drill-20261101T000000Z-dead"
    dead.mkdir(parents=True)
    (dead / "drill.lock").touch()
    (dead / "restored rows").write_text("what production holds")

    drill("demo", policy=dock.policy)

    assert dock.nothing_is_left()


def test_incident_before_the_data_or_in_the_future_measures_nothing(dock: Dock) -> None:
    import datetime as dt

    for incident in (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2099, 1, 1, tzinfo=dt.UTC)):
        with pytest.raises(CouldNotMeasure, match="RPO"):
            drill("demo", ["main/documents"], incident=incident, policy=dock.policy)


def test_sandbox_without_room_is_told_with_the_numbers(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1)
    monkeypatch.setattr("lifeboat.adapters.sandbox.shutil.disk_usage", lambda _: usage)
    with pytest.raises(CouldNotMeasure, match="has 1 bytes free"):
        drill("demo", policy=dock.policy)
    assert dock.nothing_is_left()


def test_command_tells_ci_by_exit_code_json_and_junit(
    dock: Dock, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "drill.xml"
    command = ["drill", "demo", "--policy", dock.policy, "--junit", str(report), "--json"]
    capsys.readouterr()

    assert run(command) == 0

    assert json.loads(capsys.readouterr().out)["verdict"] == "met"
    suite = ElementTree.fromstring(report.read_bytes())
    assert suite.get("tests") == "4"
    assert not suite.findall(".//failure") and not suite.findall(".//error")
    assert run([*command, "--incident", "2020-01-01T00:00"]) == 2
    assert ElementTree.fromstring(report.read_bytes()).findall(".//error")
    policy = dock.harbour.folder / "hasty.yaml"
    policy.write_text(Path(dock.policy).read_text().replace("rto: 4h", "rto: 1m"))
    assert run([*command[:2], "--policy", str(policy), "--junit", str(report)]) == 1
    assert "RTO" in str(ElementTree.fromstring(report.read_bytes()).find(".//failure").get("message"))  # type: ignore[union-attr]


def test_key_drill_reads_headers_and_leaves_a_signed_record(
    dock: Dock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = str(dock.harbour.folder / "identity")
    capsys.readouterr()

    assert run(["key-drill", "demo", identity, "--policy", dock.policy, "--json"]) == 0

    record = DrillRecord.model_validate_json(capsys.readouterr().out)
    raw = (dock.store / record.file_name).read_bytes()
    assert dock.harbour.ship.keys.trusted.verify(raw, where="it")["drill_kind"] == "key"
    stranger = tmp_path / "stranger"
    write_private(stranger, new_identity().identity + "\n")
    assert run(["key-drill", "demo", str(stranger), "--policy", dock.policy]) == 1
    assert "does not open main-documents-" in capsys.readouterr().err


@pytest.mark.skipif(bool(missing_tools()), reason=f"recovery/restore.sh needs {', '.join(missing_tools())}")
def test_cold_drill_brings_all_back_by_standard_tools_alone(dock: Dock) -> None:
    record = drill("demo", cold=True, policy=dock.policy)

    assert (record.verdict, record.drill_kind) == (Verdict.MET, "cold")
    assert sum(each.rows for each in record.comparisons) == 5000
    assert sum(each.files for each in record.comparisons) == 20
    assert record.rto and record.rto.technical_milliseconds
    newest = dock.harbour.ship.catalog().newest_good
    assert newest
    with dock.damaged(newest.manifest), pytest.raises(DrillMissed, match="not-restored"):
        drill("demo", cold=True, policy=dock.policy)
    # Of a part of the environment it proves that it comes back, and tells no time for the whole.
    with pytest.raises(CouldNotMeasure, match="RTO: not measured"):
        drill("demo", ["main/documents"], cold=True, policy=dock.policy)
    assert dock.nothing_is_left()


def test_cold_drill_on_a_host_without_the_tools_measures_nothing_and_says_what_to_install(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifeboat.adapters.recovery_script.TOOLS", ("age-that-is-not-there",))
    with pytest.raises(CouldNotMeasure, match="apt-get install age-that-is-not-there"):
        drill("demo", cold=True, policy=dock.policy)


def test_file_drill_brings_some_files_back_alone(dock: Dock) -> None:
    record = drill("demo", files=3, seed=5, policy=dock.policy)

    assert (record.verdict, record.drill_kind, record.seed) == (Verdict.MET, "file", 5)
    assert [(each.files, each.rows) for each in record.comparisons] == [(3, 0)]
    assert (record.rto, record.rpo, record.phases) == (None, None, ())
    assert list(proven_backups(record)) == []
    # All there are, when there are fewer.
    assert [each.files for each in drill("demo", files=99, policy=dock.policy).comparisons] == [20]
    with pytest.raises(CouldNotMeasure, match="no good backup of files|has a good backup of files"):
        drill("demo", ["main/databases"], files=3, policy=dock.policy)
    index = max(dock.store.glob("main-documents-*.index.age"))
    hidden = index.with_name("hidden")
    index.rename(hidden)
    try:
        with pytest.raises(DrillMissed, match="No file came back"):
            drill("demo", files=3, policy=dock.policy)
    finally:
        hidden.rename(index)
    assert dock.nothing_is_left()


@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("jq")), reason="there is no openssl or no jq"
)
def test_record_verifies_offline_by_the_commands_of_the_documented_format(dock: Dock, tmp_path: Path) -> None:
    """Whoever doubts a drill needs nothing of ours: the record, the public key, and docs/format.md."""
    record = drill("demo", files=1, policy=dock.policy)
    (fence,) = re.findall(r"```sh\n(jq .*?)```", (ROOT / "docs/format.md").read_text(), re.DOTALL)
    (tmp_path / "signing.pub").write_text("".join(dock.harbour.ship.keys.trusted.pems().values()))
    raw = (dock.store / record.file_name).read_bytes()

    def verified(content: bytes) -> bool:
        (tmp_path / "record").write_bytes(content)
        environment = {"FILE": "record", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["sh", "-ec", fence], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        return done.returncode == 0

    assert verified(raw)
    assert not verified(raw.replace(b'"verdict":"met"', b'"verdict":"MET"'))

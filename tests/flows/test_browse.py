"""Looking into backups from the command line: tables, differences, and the backups of one run; real ones, indexes only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.anchorage import Anchorage, anchorage
from support.postgres import MAJORS

from cli.main import run
from lifeboat.adapters import store_local

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
ROWS = 2000


@pytest.fixture(scope="module")
def harbour(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    """Databases shop and fleet, and a tree, under one policy."""
    with (
        anchorage(tmp_path_factory.mktemp("harbour"), rows=ROWS) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        made.register()
        with made.cluster.server.connect() as session:
            session.execute("CREATE DATABASE fleet")
        with made.cluster.server.connect("fleet") as session:
            session.execute("CREATE SCHEMA yard")
            session.execute("CREATE TABLE yard.ships (id int)")
        documents = made.folder / "documents"
        documents.mkdir()
        for name in ("same", "edited", "removed", "touched"):
            (documents / name).write_text(name)
            os.utime(documents / name, (10**9, 10**9))
        source = {
            "kind": "files",
            "url": documents.as_uri(),
            "consistency": "crash",
            "classification": {"confidentiality": "high", "integrity": "high", "availability": "high"},
        }
        policy = made.policy(
            "browse",
            services__main__sources__documents=source,
            services__main__sources__databases__databases=["shop", "fleet"],
        )
        patch.setenv("LIFEBOAT_POLICY", policy)
        yield made


Told = Callable[..., Any]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command with ``--json``, compare its exit code, and return what it told."""

    def ask(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        found = run([*arguments, "--json"])
        out = capsys.readouterr().out
        assert found == code, out
        return json.loads(out)

    return ask


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command, and return what it printed for people: stdout, then stderr."""

    def ask(*arguments: str) -> str:
        capsys.readouterr()
        assert run(arguments) == 0
        printed = capsys.readouterr()
        return printed.out + printed.err

    return ask


def take_backup(harbour: Anchorage) -> dict[str, dict[str, Any]]:
    """The statements of the manifests that one run adds, by source."""
    store = Path(harbour.folder / "store")
    before = set(store.glob("*.manifest.json"))
    assert run(["backup", "demo"]) == 0
    statements = [
        json.loads(path.read_text())["statement"] for path in set(store.glob("*.manifest.json")) - before
    ]
    return {statement["source"]: statement for statement in statements}


Runs = tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def runs(harbour: Anchorage) -> Runs:
    """Two runs, with changes of every sort between them."""
    first = take_backup(harbour)
    server, documents = harbour.cluster.server, harbour.folder / "documents"
    with server.connect("shop") as session:
        session.execute("DELETE FROM orders WHERE id <= 10")
        session.execute("CREATE TABLE notes (text text)")
        session.execute("ALTER DATABASE shop SET app.token TO 'S3CRET-token'")
        session.execute("ALTER DATABASE shop SET work_mem TO '64MB'")
    with server.connect("fleet") as session:
        session.execute("DROP TABLE yard.ships")
    (documents / "edited").write_text("edited, and longer")
    (documents / "removed").unlink()
    (documents / "added").write_text("added")
    os.utime(documents / "touched", (10**9 + 1, 10**9 + 1))
    return first, take_backup(harbour)


def ids(runs: Runs, source: str) -> tuple[str, str]:
    first, second = (str(one[source]["backup_id"]) for one in runs)
    return first, second


@pytest.fixture
def only_indexes_are_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the age files that are read from the store from here on."""
    read: list[str] = []
    genuine = store_local.LocalStore.read

    def noted(self: Any, name: str, *more: Any) -> Any:
        read.extend([name] if name.endswith(".age") else [])
        return genuine(self, name, *more)

    monkeypatch.setattr(store_local.LocalStore, "read", noted)
    return read


def test_tables_lists_every_table_with_the_part_that_holds_it(
    runs: Runs, told: Told, only_indexes_are_read: list[str]
) -> None:
    backup_id, _ = ids(runs, "databases")

    found = told("tables", "demo", backup_id)

    assert [(each["database"], each["table"], each["rows"]) for each in found["tables"]] == [
        ("fleet", "yard.ships", 0),
        ("shop", "public.orders", ROWS),
    ]
    parts = {part["name"] for part in runs[0]["databases"]["parts"]}
    assert {each["part"] for each in found["tables"]} <= parts
    assert only_indexes_are_read == [f"{backup_id}.index.age"]


def test_tables_takes_patterns_and_names_those_that_mean_nothing(
    runs: Runs, told: Told, shown: Callable[..., str]
) -> None:
    backup_id, _ = ids(runs, "databases")

    found = told("tables", "demo", backup_id, "yard.*", "Public.*")

    assert [each["table"] for each in found["tables"]] == ["yard.ships"]
    assert found["unmatched"] == ["Public.*"]
    for_people = shown("tables", "demo", backup_id, "shop.*.*", "Public.*")
    assert "public.orders" in for_people and "yard.ships" not in for_people
    assert "No table of this backup is 'Public.*'." in for_people


def test_tables_of_a_backup_of_files_is_refused_and_says_what_lists_them(runs: Runs, told: Told) -> None:
    backup_id, _ = ids(runs, "documents")

    error = told("tables", "demo", backup_id, code=4)["error"]

    assert (error["kind"], error["hint"]) == ("Refused", f"`lifeboat files demo {backup_id}` lists them.")


def test_diff_of_databases_tells_every_change_and_no_secret(
    runs: Runs, told: Told, only_indexes_are_read: list[str]
) -> None:
    before, after = ids(runs, "databases")

    found = told("diff", "demo", before, after)

    assert (found["before"]["backup_id"], found["after"]["backup_id"]) == (before, after)
    diff = found["diff"]
    assert [
        (each["database"], each["table"], each["change"], each["differs"]) for each in diff["tables"]
    ] == [
        ("fleet", "yard.ships", "gone", []),
        ("shop", "public.notes", "added", []),
        ("shop", "public.orders", "changed", ["rows", "content"]),
    ]
    orders = diff["tables"][2]
    assert (orders["before"]["rows"], orders["after"]["rows"]) == (ROWS, ROWS - 10)
    (shop,) = diff["databases"]
    assert (shop["database"], shop["change"]) == ("shop", "changed")
    assert [(each["name"], each["before"], each["after"]) for each in shop["properties"]] == [
        ("setting app.token", None, "hidden"),
        ("setting work_mem", None, "64MB"),
    ]
    assert "S3CRET" not in json.dumps(found)
    assert sorted(only_indexes_are_read) == sorted([f"{before}.index.age", f"{after}.index.age"])


def test_diff_of_files_tells_every_change(runs: Runs, told: Told) -> None:
    diff = told("diff", "demo", *ids(runs, "documents"))["diff"]

    assert [(each["path"], each["change"], each["differs"]) for each in diff["changes"]] == [
        ("added", "added", []),
        ("edited", "changed", ["content", "size", "mtime"]),
        ("removed", "gone", []),
        ("touched", "changed", ["mtime"]),
    ]
    assert diff["files"] == {"before": 4, "added": 1, "gone": 1, "changed": 2, "after": 4}


def test_diff_for_people_counts_all_and_shows_as_many_as_the_limit_says(
    runs: Runs, shown: Callable[..., str]
) -> None:
    files = shown("diff", "demo", *ids(runs, "documents"), "--limit", "1")
    assert "added" in files and "touched" not in files
    assert "And 3 more" in files

    tables = shown("diff", "demo", *ids(runs, "databases"), "--limit", "2")
    assert "public.notes" in tables and "public.orders" not in tables
    assert "And 1 more" in tables
    assert "setting app.token" in tables and "S3CRET" not in tables


@pytest.mark.parametrize("source", ["databases", "documents"])
def test_backup_does_not_differ_from_itself(runs: Runs, shown: Callable[..., str], source: str) -> None:
    backup_id, _ = ids(runs, source)

    assert "Nothing that an index tells is different." in shown("diff", "demo", backup_id, backup_id)


def test_diff_of_two_sources_or_of_an_unknown_backup_is_refused(runs: Runs, told: Told) -> None:
    databases, documents = ids(runs, "databases")[0], ids(runs, "documents")[1]

    error = told("diff", "demo", databases, documents, code=4)["error"]
    assert error["hint"] == "Only two backups of one source can be compared."
    error = told("diff", "demo", databases, "main-databases-nosuch", code=4)["error"]
    assert "'main-databases-nosuch'" in error["message"]


def test_list_of_a_run_shows_its_backups_and_the_time_between_them(
    runs: Runs, told: Told, shown: Callable[..., str]
) -> None:
    run_id = runs[1]["databases"]["run_id"]

    found = told("list", "demo", "--run", run_id)

    listed = {backup["backup_id"] for source in found["sources"] for backup in source["backups"]}
    assert listed == {manifest["backup_id"] for manifest in runs[1].values()}
    assert len(listed) == found["run"]["backups"] == 2
    (point,) = found["run"]["recovery_points"]
    assert point["sources"] == ["databases", "documents"]
    assert point["skew"] == found["run"]["skew"]
    assert 0 <= point["skew"] < 30
    for_people = shown("list", "demo", "--run", run_id)
    assert f"{run_id}: 2 backups, data of " in for_people
    assert "main/databases, main/documents: one recovery point of " in for_people


def test_list_of_a_run_that_committed_nothing_is_refused(runs: Runs, told: Told) -> None:
    assert "'run-nosuch'" in told("list", "demo", "--run", "run-nosuch", code=4)["error"]["message"]

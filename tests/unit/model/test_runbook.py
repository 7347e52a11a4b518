"""The runbook: every name, number, contact and command that the day needs, and a word for what is not known."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lifeboat.adapters.policy_file import read_policy
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.manifest import Manifest
from lifeboat.model.policy import Policy
from lifeboat.model.runbook import BackupFacts, RunbookFacts, restore_order, runbook
from lifeboat.model.runbook_text import StorePlace, cell, code, fence

ROOT = Path(__file__).parents[3]
NOW = dt.datetime(2026, 11, 25, 9, 30, tzinfo=dt.UTC)
NAS = StorePlace(
    folder="/backups/it's production",
    host="nas.example",
    port=2222,
    user="upload",
    host_key="ssh-ed25519 AAAA",
)
PEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
RECIPIENT = "age1zg3u3u45crlw9lruu8rfdk8ack53nvfrh6sth790yc7xw66fqcqswfnyaw"
USAGE = subprocess.run(
    ["sh", ROOT / "recovery/restore.sh"], capture_output=True, text=True, check=False
).stderr


@pytest.fixture(scope="module")
def policy() -> Policy:
    return read_policy(Path("digital-automotive"))


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    example = re.findall(
        r"^```json\n(.*?)^```$", (ROOT / "docs/format.md").read_text(), re.MULTILINE | re.DOTALL
    )[0]
    return Manifest.model_validate_json(canonical_bytes(json.loads(example)["statement"]))


def pages(policy: Policy, environment: str = "production", **facts: object) -> dict[str, str]:
    values = {"printed": NOW, "offline": False, "store": NAS, **facts}
    return runbook(policy, policy.environment(environment), RunbookFacts(**values))  # type: ignore[arg-type]


def commands(page: str) -> list[list[str]]:
    """Every command of the page as a shell would split it."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("environment", ["production", "trial", "staging"])
def test_every_source_comes_back_by_commands_that_the_script_knows(policy: Policy, environment: str) -> None:
    found = pages(policy, environment)
    known = set(re.findall(r"^  ([a-z]+) ", USAGE, re.MULTILINE))
    assert {"fetch", "database", "tree"} <= known

    for name, service in policy.environment(environment).services.items():
        said = commands(found[name])
        scripted = [words[2:] for words in said if words[:2] == ["sh", "restore.sh"]]
        assert {words[0] for words in scripted} <= known
        for source in service.sources:
            label = f"{name}/{source}"
            assert ["fetch", label, "sftp://upload@nas.example:2222", NAS.folder] in scripted
            assert any(words[:2] in (["tree", label], ["database", label]) for words in scripted)


def test_databases_shares_and_definitions_go_back_under_their_real_names(policy: Policy) -> None:
    found = pages(policy)
    main, messaging = commands(found["main"]), commands(found["messaging"])

    databases = [words[4:] for words in main if words[2:4] == ["database", "main/databases"]]
    assert databases == [[name, name] for name in ("customers", "vehicles", "orders", "billing")]
    uploads = [words for words in main if words[:2] == ["az", "storage"]]
    assert [(words[5], words[7]) for words in uploads] == [
        ("daproduction", "documents"),
        ("daproduction", "images"),
    ]
    assert all(words[9].endswith(f"/production-main-documents-and-images/{words[7]}") for words in uploads)
    applied = [words[-1] for words in commands(found["platform"]) if words[0] == "kubectl"]
    assert [path.rpartition("production-platform-objects/")[2] for path in applied] == [
        "authentication/core/namespaces",
        "authentication",
        "messaging/core/namespaces",
        "messaging",
    ]
    (curl,) = (words for words in messaging if words[0] == "curl")
    assert curl[-1] == "https://rabbitmq.production.digital-automotive.example/api/definitions"
    assert curl[-2].endswith("/production-messaging-definitions/definitions.json")


def test_names_of_databases_are_quoted_for_the_shell(policy: Policy) -> None:
    odd = "it's; $(rm) `x` | \\ y"
    environment = policy.environment("production")
    main = environment.services["main"]
    source = main.sources["databases"].model_copy(update={"databases": (odd,)})
    service = main.model_copy(update={"sources": {"databases": source}})
    changed = environment.model_copy(update={"services": {"main": service}})

    page = runbook(policy, changed, RunbookFacts(printed=NOW, offline=True))["main"]

    assert ["sh", "restore.sh", "database", "main/databases", odd, odd] in commands(page)
    assert code(odd) in page


def test_overview_says_whom_to_call_where_copies_lie_who_opens_them_and_whose_signature_counts(
    policy: Policy,
) -> None:
    overview = pages(policy, signing_keys={"a031d443c5fdda05": PEM}, recipients=(RECIPIENT,))["overview"]

    for contact in policy.contacts:
        assert f"| {contact.name} |" in overview
        assert contact.phone in overview
    for rule in policy.environment("production").recipients:
        assert f"| `{rule.name}` | {rule.holder} |" in overview
    assert f"`{'037aeaeaf4bbf26d'}`" in overview or "Fingerprints of all recipients in force: `" in overview
    assert PEM in overview
    assert "`a031d443c5fdda05`" in overview
    assert "`nas.example` port 2222, folder `/backups/it's production`, account `upload`" in overview
    assert "main/databases: North Europe, and in a second region, 30d" in overview
    assert "**4 h**" in overview
    assert "**24 h**" in overview


def test_sizes_times_and_the_place_are_those_of_the_newest_backup(policy: Policy, manifest: Manifest) -> None:
    found = pages(policy, backups={"main-databases": BackupFacts(manifest, restore_seconds=754.2)})

    row = next(line for line in found["main"].splitlines() if line.startswith("| main/databases |"))
    assert f"| `{manifest.backup_id}`, place 42 | 2026-11-23 01:15 | 133.9 MiB | 1.1 GiB |" in row
    assert "11,482,903 rows" in row
    assert "| databases | 133.9 MiB: 2 s | 12 min 34 s |" in found["main"]
    assert (
        "| main/documents-and-images | Azure Files, account `daproduction`: `documents`, `images` | **none** |"
        in (found["main"])
    )
    assert "postgresql-client-15 " in found["main"]


def test_what_only_the_store_and_the_blocks_know_is_said_to_be_missing(policy: Policy) -> None:
    found = runbook(policy, policy.environment("production"), RunbookFacts(printed=NOW, offline=True))

    assert all("**Printed from the policy alone:**" in page for page in found.values())
    assert "**none**" not in "".join(found.values())
    assert "BEGIN PUBLIC KEY" not in found["overview"]
    assert "The public signing keys: not known when this was printed" in found["overview"]
    assert [
        "sh",
        "restore.sh",
        "fetch",
        "main/databases",
        "USER@NAS",
        "/FOLDER/OF/THE/ENVIRONMENT",
    ] in commands(found["main"])


def test_services_that_must_be_there_first_come_first(policy: Policy) -> None:
    environment = policy.environment("production")
    assert tuple(environment.services) == ("main", "authentication", "messaging", "platform")
    assert restore_order(environment) == ("authentication", "platform", "main", "messaging")
    assert list(pages(policy)) == ["overview", "authentication", "platform", "main", "messaging"]


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "a|b", "<b>*x*</b>", "[a](b)", "\\", "new\nline"])
def test_a_name_that_looks_like_markup_is_shown_as_it_is(text: str) -> None:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    shown = " ".join(text.split())
    html = parser.render(f"| a | b |\n|---|---|\n| {code(text)} | {cell(text)} |\n\n{fence(text, '')}\n")

    from html import unescape

    cells = re.findall(r"<td>(.*?)</td>", html, re.DOTALL)
    assert [unescape(re.sub(r"</?code>", "", found)) for found in cells] == [shown, shown]
    assert unescape(html[html.index("<pre><code>") :]) == f"<pre><code>{text}\n</code></pre>\n"


def test_commands_are_whole_for_a_shell(policy: Policy, tmp_path: Path) -> None:
    for environment in policy.environments:
        for name, page in pages(policy, environment).items():
            script = tmp_path / name
            script.write_text("".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)))
            done = subprocess.run(
                [shutil.which("sh") or "sh", "-n", script], capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr

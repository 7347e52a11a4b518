"""Documents that cannot drift: examples are checked against the code, commands run, links followed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lifeboat.model import manifest as naming
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.drill_record import DrillFacts, DrillRecord, parse_drill_name
from lifeboat.model.manifest import Manifest, Value
from lifeboat.model.phases import COUNTED
from lifeboat.model.prune_record import parse_record_name
from lifeboat.model.rpo import AchievedRpo
from lifeboat.model.rto import AchievedRto
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.upload import ATTEMPT

ROOT = Path(__file__).resolve().parents[2]
FORMAT = (ROOT / "docs/format.md").read_text()
EXAMPLE_SIGNER = Signer(
    Ed25519PrivateKey.from_private_bytes(sha256(b"the example of docs/format.md").digest())
)


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", FORMAT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def example() -> dict[str, Any]:
    text, _ = code_blocks("json")
    return dict(json.loads(text))


@pytest.fixture
def example_drill() -> dict[str, Any]:
    _, text = code_blocks("json")
    return dict(json.loads(text))


def test_example_manifest_is_one_that_the_model_would_write(example: dict[str, Any]) -> None:
    manifest = Manifest.model_validate_json(canonical_bytes(example["statement"]))
    assert manifest.model_dump(mode="json") == example["statement"]
    assert f"This is `{manifest.file_name}`" in FORMAT


def test_example_manifest_keeps_the_rules_that_the_document_states(example: dict[str, Any]) -> None:
    manifest = Manifest.model_validate_json(canonical_bytes(example["statement"]))
    assert manifest.backup_id == naming.new_backup_id(manifest.chain, manifest.data_timestamp, "k3v9qz")
    assert manifest.index.name == naming.index_name(manifest.backup_id)
    assert [part.name for part in manifest.parts] == [
        naming.part_name(manifest.backup_id, number) for number in (1, 2, 3 + ATTEMPT, 4)
    ]
    assert f"`n + {ATTEMPT} k`" in FORMAT
    assert manifest.totals.sealed_bytes == sum(part.size for part in manifest.parts)
    assert manifest.previous is not None
    assert manifest.previous.sequence < manifest.sequence


def test_example_signature_is_the_one_that_its_key_makes(example: dict[str, Any]) -> None:
    assert EXAMPLE_SIGNER.sign(example["statement"]) == canonical_bytes(example)
    assert EXAMPLE_SIGNER.public_pem in FORMAT


def test_example_altered_in_one_field_is_refused_by_the_documented_commands(
    example: dict[str, Any], tmp_path: Path
) -> None:
    missing = [tool for tool in ("jq", "openssl", "base64") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: apt-get install jq openssl)")
    (commands,) = (block for block in code_blocks("sh") if "openssl" in block)
    (tmp_path / "signing.pub").write_text(EXAMPLE_SIGNER.public_pem)

    def status(name: str, envelope: dict[str, Any]) -> int:
        (tmp_path / name).write_text(json.dumps(envelope, indent=2))
        environment = {"FILE": name, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        return subprocess.run(
            ["sh", "-euc", commands], cwd=tmp_path, env=environment, capture_output=True, check=False
        ).returncode

    assert status("genuine.json", example) == 0
    assert (
        status("altered.json", {**example, "statement": {**example["statement"], "environment": "trial"}})
        == 1
    )


def test_example_drill_record_is_one_that_the_model_would_write(example_drill: dict[str, Any]) -> None:
    record = DrillRecord.model_validate_json(canonical_bytes(example_drill))
    assert record.model_dump(mode="json") == example_drill
    assert f"The statement of `{record.file_name}`" in FORMAT
    assert record == DrillRecord.of(
        DrillFacts(**{name: getattr(record, name) for name in DrillFacts.model_fields})
    )
    assert sum(phase.milliseconds or 0 for phase in record.phases if phase.name in COUNTED) == (
        record.rto and record.rto.wall_milliseconds
    )


@pytest.mark.parametrize("model", [Manifest, DrillRecord, AchievedRto, AchievedRpo])
def test_every_field_of_a_statement_is_explained(model: type[Value]) -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", FORMAT, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(model.model_fields) - explained == set()


def test_key_id_of_the_example_is_derived_as_the_document_says(example: dict[str, Any]) -> None:
    trusted = TrustedKeys.from_pems(EXAMPLE_SIGNER.public_pem)
    assert list(trusted.keys) == [example["key"]]


def test_layout_names_are_names_that_the_code_reads() -> None:
    (layout,) = (block for block in code_blocks("") if block.startswith("production/"))
    names = re.findall(r"── (\S+)", layout)
    readers = (naming.parse_object_name, naming.parse_manifest_name, parse_drill_name, parse_record_name)
    assert [name for name in names if not any(read(name) for read in readers)] == []


def test_source_map_names_every_room() -> None:
    text = (ROOT / "docs/source-map.md").read_text()
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/__init__.py")} - {"lifeboat"}
    rooms |= {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("lifeboat/*/__init__.py")}
    assert {room for room in rooms if f"| `{room}/` |" not in text} == set()


def test_links_between_documents_lead_to_files_that_exist() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")]
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []

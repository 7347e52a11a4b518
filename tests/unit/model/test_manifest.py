"""The manifest: what it takes and refuses, and the names of everything on the store."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.examples import manifest, stored

from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.manifest import (
    ChainLink,
    Manifest,
    index_name,
    manifest_name,
    new_backup_id,
    parse_manifest_name,
    parse_object_name,
    part_name,
)

CHAINS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}-[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
MOMENTS = st.integers(946_684_800, 7_226_582_400).map(
    lambda seconds: dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
)


def test_manifest_survives_canonical_json() -> None:
    made = manifest(2, ChainLink(sequence=1, sha256="e" * 64), quality="suspect", doubts=("é",))

    assert Manifest.model_validate_json(canonical_bytes(made.model_dump(mode="json"))) == made


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"kind": "prune"},
        {"environment": "Production"},
        {"environment": "production\n"},
        {"service": ""},
        {"source": "-databases"},
        {"backup_id": "../other"},
        {"backup_id": "a/b"},
        {"sequence": 0},
        {"recipients": ("only-one",)},
        {"quality": "excellent"},
        {"consistency": "hopeful"},
        {"parts": (stored("x", 1).model_dump() | {"size": 0},)},
        {"parts": (stored("x", 1).model_dump() | {"sha256": "A" * 64},)},
        {"parts": (stored("x", 1).model_dump() | {"name": "a b"},)},
        {"novelty": 1},
    ],
)
def test_manifest_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        manifest(**change)


def test_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        manifest().quality = "suspect"  # type: ignore[misc]


def test_name_of_a_manifest_is_its_place_in_the_chain() -> None:
    assert (
        manifest(42, ChainLink(sequence=41, sha256="e" * 64)).file_name
        == "main-databases.00000042.manifest.json"
    )


@given(CHAINS, st.integers(1, 99_999_999))
def test_manifest_name_parses_back(chain: str, sequence: int) -> None:
    assert parse_manifest_name(manifest_name(chain, sequence)) == (chain, sequence)


@pytest.mark.parametrize(
    "name",
    [
        "main-databases.42.manifest.json",
        "main-databases.00000042.manifest.json\n",
        "main-databases.00000042.manifest.json.tmp",
        "main-databases.100000000.manifest.json",
        "Main.00000042.manifest.json",
        ".00000042.manifest.json",
        "prune.00000001.record.json",
        "a/main.00000042.manifest.json",
        "main-databases.-0000042.manifest.json",
    ],
)
def test_other_names_are_no_manifests(name: str) -> None:
    assert parse_manifest_name(name) is None


def test_name_with_foreign_digits_is_no_manifest() -> None:
    assert parse_manifest_name("main-databases.٠٠٠٠٠٠٤٢.manifest.json") is None


@given(CHAINS, MOMENTS, st.integers(1, 999_999))
def test_object_names_parse_back_to_backup_and_moment(chain: str, moment: dt.datetime, number: int) -> None:
    backup_id = new_backup_id(chain, moment, "k3v9qz")

    assert parse_object_name(part_name(backup_id, number)) == (backup_id, moment)
    assert parse_object_name(index_name(backup_id)) == (backup_id, moment)


def test_backup_id_is_in_utc_whatever_the_zone_of_the_moment() -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))

    backup_id = new_backup_id("main-databases", dt.datetime(2026, 11, 23, 2, 15, 3, tzinfo=berlin), "k3v9qz")

    assert backup_id == "main-databases-20261123T011503Z-k3v9qz"


@pytest.mark.parametrize(
    "name",
    [
        "main-databases.00000042.manifest.json",
        "prune.00000007.record.json",
        "main-databases-20261123T011503Z-k3v9qz.0001.age.partial",
        "main-databases-20261123T011503Z-k3v9qz.1.age",
        "main-databases-20261123T011503Z-K3.0001.age",
        "main-databases-20261123-k3v9qz.0001.age",
        "notes.age",
        "",
    ],
)
def test_other_names_are_no_objects(name: str) -> None:
    assert parse_object_name(name) is None


@pytest.mark.parametrize("stamp", ["20261399T011503Z", "20260230T000000Z", "00000000T999999Z"])
def test_name_with_an_impossible_moment_is_no_object(stamp: str) -> None:
    assert parse_object_name(f"main-databases-{stamp}-k3v9qz.0001.age") is None

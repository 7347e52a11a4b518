"""Prune records: the newest that can be believed, and a sequence that is never used twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.examples import STRANGER, TRUSTED, manifest, prune_record, signed

from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.prune_record import PruneRecord, newest_record, parse_record_name, record_name


def files(*sequences: int, **changes: Any) -> dict[str, bytes]:
    return {record_name(sequence): signed(prune_record(sequence), **changes) for sequence in sequences}


def newest(found: dict[str, bytes]) -> tuple[int | None, int]:
    record, free = newest_record("production", found, TRUSTED)
    return record.sequence if record else None, free


def test_record_survives_canonical_json() -> None:
    made = prune_record(3, pruned={"main-databases": ((1, 4), (6, 6)), "main-files": ()})

    assert PruneRecord.model_validate_json(canonical_bytes(made.model_dump(mode="json"))) == made


def test_folder_without_records_starts_with_the_first() -> None:
    assert newest({}) == (None, 1)


def test_newest_of_many_records_is_taken_whatever_their_order() -> None:
    assert newest(files(3, 12, 7)) == (12, 13)


def test_torn_newest_record_is_passed_over_and_its_sequence_is_burned() -> None:
    found = files(1, 2, 3)
    found[record_name(3)] = found[record_name(3)][:200]

    assert newest(found) == (2, 4)


def test_folder_with_torn_records_only_has_none_but_burned_sequences() -> None:
    assert newest({record_name(1): b"", record_name(2): b"{"}) == (None, 3)


def test_record_of_another_environment_is_passed_over() -> None:
    assert newest(files(1) | {record_name(2): signed(prune_record(2, environment="trial"))}) == (1, 3)


def test_record_under_another_name_is_passed_over() -> None:
    assert (
        newest(files(1) | {record_name(2): signed(prune_record(1)), record_name(9): signed(prune_record(1))})[
            0
        ]
        == 1
    )


def test_record_signed_by_a_stranger_is_passed_over() -> None:
    assert newest(files(1) | {record_name(2): signed(prune_record(2), signer=STRANGER)}) == (1, 3)


def test_manifest_under_the_name_of_a_record_is_passed_over() -> None:
    assert newest(files(1) | {record_name(2): signed(manifest(2))}) == (1, 3)


def test_record_of_a_newer_format_is_passed_over() -> None:
    assert newest(files(1) | {record_name(2): signed(prune_record(2), format=2)}) == (1, 3)


def test_other_files_do_not_count() -> None:
    assert newest(
        files(1) | {"prune.2.record.json": b"x", "notes.txt": b"x", "main.00000009.manifest.json": b"x"}
    ) == (1, 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["whole", "torn"]), max_size=8))
def test_sequences_are_never_used_twice_in_any_history(history: list[str]) -> None:
    found: dict[str, bytes] = {}
    believed = None
    for step in history:
        _, free = newest(found)
        assert record_name(free) not in found
        raw = signed(prune_record(free))
        found[record_name(free)] = raw if step == "whole" else raw[: len(raw) // 2]
        believed = free if step == "whole" else believed

        assert newest(found)[0] == believed


def test_garbage_far_ahead_does_not_move_the_sequence_out_of_reach() -> None:
    _, free = newest(files(1) | {record_name(99_999_999): b"garbage"})

    assert parse_record_name(record_name(free)) == free


@pytest.mark.parametrize(
    "name", ["prune.00000001.record.json\n", "prune.1.record.json", "prune.000000001.record.json"]
)
def test_other_names_are_no_records(name: str) -> None:
    assert parse_record_name(name) is None


@pytest.mark.parametrize(
    "change",
    [{"sequence": 0}, {"kind": "backup"}, {"run_id": "a/b"}, {"novelty": 1}, {"pruned": {"x": ((1,),)}}],
)
def test_record_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        prune_record(1, **change)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "*"])
def test_record_names_plain_objects_only(name: str) -> None:
    doomed = prune_record(1).backups[0].model_dump() | {"objects": (name,)}

    with pytest.raises(ValidationError):
        prune_record(1, backups=(doomed,))

"""The drill record: what it takes and refuses, its verdict, its name, and that no name of a customer's is in it."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.drills import BACKUP_ID, CLOCK, HOUR, STARTED, facts, phases, rpo, rto
from support.examples import SIGNER, TRUSTED

from lifeboat.errors import SignatureInvalid
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.drill_record import (
    CountedCode,
    DrillFacts,
    DrillRecord,
    drill_name,
    new_drill_id,
    parse_drill_name,
)
from lifeboat.model.manifest import parse_manifest_name, parse_object_name
from lifeboat.model.objectives import Verdict
from lifeboat.model.prune_record import parse_record_name
from lifeboat.model.rto import judge_rto

MET = DrillRecord.of(facts())


def verdict(**changes: Any) -> tuple[Verdict, tuple[str, ...]]:
    record = DrillRecord.of(facts(**changes))
    return record.verdict, record.reasons


def test_drill_in_which_all_holds_is_met() -> None:
    assert verdict() == (Verdict.MET, ())


def test_record_survives_being_signed_and_read() -> None:
    for record in (MET, DrillRecord.of(facts(rto=None, rpo=None, failures=({"code": "restore-failed"},)))):
        raw = SIGNER.sign(record.model_dump(mode="json"))
        statement = TRUSTED.verify(raw, where=record.file_name)
        assert DrillRecord.model_validate_json(canonical_bytes(statement)) == record


def test_record_altered_after_signing_is_refused() -> None:
    raw = SIGNER.sign(MET.model_dump(mode="json"))
    with pytest.raises(SignatureInvalid):
        TRUSTED.verify(raw.replace(b'"rows":30', b'"rows":31'), where=MET.file_name)


@pytest.mark.parametrize(
    ("changes", "worst", "reason"),
    [
        (
            {"rto": rto(over=True)},
            Verdict.MISSED,
            "RTO: working time of 5 h 10 min, 1 h 10 min more than the RTO of 4 h",
        ),
        ({"rto": rto(missing="verify")}, Verdict.UNMEASURED, "RTO: verify was not measured to its end"),
        ({"rto": None}, Verdict.UNMEASURED, "RTO: not measured"),
        ({"rpo": rpo(hours=30)}, Verdict.MISSED, "RPO: lost data of 30 h, 6 h more than the RPO of 24 h"),
        ({"rpo": None}, Verdict.UNMEASURED, "RPO: not measured"),
        ({"comparisons": ()}, Verdict.UNMEASURED, f"{BACKUP_ID}: nothing was compared"),
        (
            {"comparisons": ({"backup_id": BACKUP_ID},)},
            Verdict.UNMEASURED,
            f"{BACKUP_ID}: nothing was compared",
        ),
        (
            {
                "comparisons": (
                    {
                        "backup_id": BACKUP_ID,
                        "tables": 2,
                        "differences": ({"code": "table-differs", "count": 2},),
                    },
                )
            },
            Verdict.MISSED,
            f"{BACKUP_ID}: 2 × table-differs",
        ),
        (
            {"probes": ({"service": "main", "source": "databases", "name": "orders", "verdict": "missed"},)},
            Verdict.MISSED,
            "probe main/databases orders: missed",
        ),
        (
            {
                "probes": (
                    {"service": "main", "source": "databases", "name": "orders", "verdict": "unmeasured"},
                )
            },
            Verdict.UNMEASURED,
            "probe main/databases orders: unmeasured",
        ),
        ({"failures": ({"code": "restore-failed"},)}, Verdict.MISSED, "the drill failed: 1 × restore-failed"),
        (
            {"sandbox": {"kind": "folder", "settings": {}, "destroyed_at": None}},
            Verdict.MISSED,
            "the sandbox was not destroyed: data that was restored may still be there",
        ),
        (
            {"drill_kind": "partial"},
            Verdict.UNMEASURED,
            "RTO: what a sample took says nothing about the whole",
        ),
    ],
)
def test_one_shortcoming_decides_with_its_reason_and_cannot_be_recorded_as_met(
    changes: dict[str, Any], worst: Verdict, reason: str
) -> None:
    assert verdict(**changes) == (worst, (reason,))
    with pytest.raises(ValidationError, match="contradicted"):
        DrillRecord(**facts(**changes).model_dump(), verdict=Verdict.MET, reasons=())


def test_worst_of_several_shortcomings_is_the_verdict_and_all_are_told() -> None:
    worst, reasons = verdict(
        rpo=None, probes=({"service": "main", "source": "databases", "name": "orders", "verdict": "missed"},)
    )
    assert worst is Verdict.MISSED
    assert reasons == ("RPO: not measured", "probe main/databases orders: missed")


def test_partial_drill_with_an_extrapolated_time_can_be_met() -> None:
    assert verdict(drill_kind="partial", rto=rto(extrapolated=True)) == (Verdict.MET, ())


def test_drill_of_files_has_no_objectives_but_compares() -> None:
    assert verdict(drill_kind="file", rto=None, rpo=None) == (Verdict.MET, ())
    assert verdict(drill_kind="file", rto=None, rpo=None, comparisons=())[0] is Verdict.UNMEASURED


def test_drill_of_keys_compares_nothing_but_has_tried_an_identity() -> None:
    assert verdict(drill_kind="key", rto=None, rpo=None, comparisons=()) == (Verdict.MET, ())
    nothing = verdict(drill_kind="key", rto=None, rpo=None, comparisons=(), probes=())
    assert nothing == (Verdict.UNMEASURED, ("no identity was tried",))


def test_interrupted_drill_is_never_green() -> None:
    assert verdict(interrupted=True)[0] is Verdict.UNMEASURED


@pytest.mark.parametrize("changed", [{"verdict": "missed"}, {"reasons": ("but",)}])
def test_verdict_goes_with_its_reasons(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="reasons go with"):
        DrillRecord(**(MET.model_dump() | changed))


BACKUP = facts().backups[0].model_dump()


@pytest.mark.parametrize(
    "change",
    [
        {"environment": "Production"},
        {"drill_id": "run-20261125T090000Z-7mfx2c"},
        {"drill_id": "drill-20261125T090000Z-7mfx2c\n"},
        {"drill_kind": "thorough"},
        {"backups": ()},
        {"backups": (BACKUP | {"choice": "best"},)},
        {"backups": (BACKUP | {"choice": "random"},)},
        {"backups": (BACKUP | {"backup_id": "../x"},)},
        {"seed": -1},
        {"seed": 2**53},
        {"started_at": dt.datetime.fromisoformat("2026-11-25T09:00:00")},
        {"ended_at": dt.datetime(2026, 11, 25, 8, tzinfo=dt.UTC)},
        {"sandbox": {"kind": "cluster", "settings": {}, "destroyed_at": None}},
        {"sandbox": {"kind": "folder", "postgresql": 15, "settings": {}, "destroyed_at": None}},
        {"sandbox": {"kind": "folder", "settings": {}}},
        {"comparisons": ({"backup_id": "main-files-20261125T001503Z-k3v9qz", "files": 3},)},
        {"comparisons": ({"backup_id": BACKUP_ID, "tables": -1},)},
        {"probes": ({"name": "Every order has a customer", "verdict": "met"},)},
        {"novelty": 1},
    ],
)
def test_drill_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        facts(**change)


@pytest.mark.parametrize("change", [{"format": 2}, {"kind": "backup"}])
def test_record_of_another_format_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DrillRecord(**(MET.model_dump() | change))


def test_choice_at_random_with_its_seed_is_taken() -> None:
    assert facts(backups=(BACKUP | {"choice": "random"},), seed=2**53 - 1).seed == 2**53 - 1


def test_instants_are_written_in_utc_whatever_zone_they_came_in() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    judged = judge_rto(phases(), detected_at=STARTED.astimezone(berlin), objective=4 * HOUR, clock=CLOCK)
    moved = facts(started_at=STARTED.astimezone(berlin), rto=judged)
    assert DrillRecord.of(moved).model_dump_json() == MET.model_dump_json()


@pytest.mark.parametrize("code", ["table public.customers", "Müller", "a/b", "orders.csv", ""])
def test_code_of_a_difference_with_a_qualified_name_or_a_path_in_it_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        CountedCode(code=code)


def test_record_has_no_free_text_but_settings_tools_owners_and_reasons_of_its_own() -> None:
    """Every other text field is a slug, an id, a hash, a time or a word of a list."""
    definitions = DrillRecord.model_json_schema()
    free = {
        f"{name}.{field}"
        for name, schema in {"DrillRecord": definitions, **definitions["$defs"]}.items()
        for field, rules in schema.get("properties", {}).items()
        if is_free_text(rules)
    }
    assert free == {
        "DrillRecord.reasons",
        "DrillRecord.tools",
        "AchievedRpo.reasons",
        "AchievedRto.reasons",
        "AchievedRto.notes",
        "Extrapolation.formula",
        "Phase.owner",
        "PolicyReference.name",
        "PolicyReference.version",
        "Sandbox.settings",
    }


def is_free_text(rules: dict[str, Any]) -> bool:
    inner = rules.get("items") or rules.get("additionalProperties")
    if isinstance(inner, dict):
        return is_free_text(inner)
    return rules.get("type") == "string" and not {"pattern", "format", "enum", "const"} & set(rules)


# Names


def test_name_of_a_record_is_the_drill_s_id() -> None:
    assert MET.file_name == "drill-20261125T090000Z-7mfx2c.drill.json"


@given(
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2199, 1, 1)),  # noqa: DTZ001 - made aware below
    st.from_regex("[a-z0-9]{6}", fullmatch=True),
)
def test_drill_name_parses_back(moment: dt.datetime, suffix: str) -> None:
    drill_id = new_drill_id(moment.replace(tzinfo=dt.UTC), suffix)
    assert parse_drill_name(drill_name(drill_id)) == drill_id
    assert facts(drill_id=drill_id).drill_id == drill_id


def test_drill_id_is_in_utc_whatever_the_zone_of_the_moment() -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))
    assert (
        new_drill_id(dt.datetime(2026, 11, 25, 4, 15, tzinfo=berlin), "k3v9qz")
        == "drill-20261125T031500Z-k3v9qz"
    )


@pytest.mark.parametrize(
    "name",
    [
        "drill-20261125T031500Z-k3v9qz.drill.json\n",
        "drill-20261125T031500Z-k3v9qz.drill.json.tmp",
        "drill-20261125T031500Z-.drill.json",
        "drill-2026-k3v9qz.drill.json",
        "drill-٢٠٢٦1125T031500Z-k3v9qz.drill.json",
        "Drill-20261125T031500Z-k3v9qz.drill.json",
        "main-databases.00000042.manifest.json",
        "a/drill-20261125T031500Z-k3v9qz.drill.json",
        "",
    ],
)
def test_other_names_are_no_drill_records(name: str) -> None:
    assert parse_drill_name(name) is None


def test_name_of_a_drill_record_is_nothing_else() -> None:
    assert [
        parse(MET.file_name) for parse in (parse_manifest_name, parse_object_name, parse_record_name)
    ] == [None] * 3


def test_facts_and_record_hold_the_same() -> None:
    assert set(DrillRecord.model_fields) - set(DrillFacts.model_fields) == {
        "format",
        "kind",
        "verdict",
        "reasons",
    }

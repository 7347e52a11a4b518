from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeboat.model.policy_values import (
    format_duration,
    format_size,
    nearest,
    parse_duration,
    parse_months,
    parse_size,
    parse_time_of_day,
    shown,
    spoken_duration,
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30d", dt.timedelta(days=30)),
        ("24h", dt.timedelta(hours=24)),
        ("45m", dt.timedelta(minutes=45)),
        ("60s", dt.timedelta(seconds=60)),
        ("1h 30m", dt.timedelta(minutes=90)),
        ("1h30m", dt.timedelta(minutes=90)),
        ("90m", dt.timedelta(minutes=90)),
    ],
)
def test_duration_in_an_accepted_form_is_its_length(text: str, duration: dt.timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", " ", "30", "30 dayz", "0h", "-5m", "1.5h", "30m 1h", "h", None, True, ["1h"]]
)
def test_duration_in_any_other_form_is_refused_with_the_accepted_ones(text: object) -> None:
    with pytest.raises(ValueError, match="30d"):
        parse_duration(text)


def test_duration_that_is_a_bare_number_is_asked_for_its_unit() -> None:
    with pytest.raises(ValueError, match="say 30 of what: 30d, 30h, 30m or 30s"):
        parse_duration(30)


def test_duration_in_months_is_refused_because_months_differ_in_length() -> None:
    with pytest.raises(ValueError, match="months differ in length"):
        parse_duration("6 months")


@given(st.integers(min_value=1, max_value=99_999 * 86_400))
def test_duration_written_and_read_back_is_the_same(seconds: int) -> None:
    duration = dt.timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


def test_duration_of_one_day_is_written_as_the_clauses_say_it() -> None:
    assert format_duration(dt.timedelta(days=1)) == "24h"
    assert format_duration(dt.timedelta(days=30)) == "30d"


def test_duration_spoken_keeps_minutes_where_a_sum_needs_them() -> None:
    assert spoken_duration(dt.timedelta(hours=24), minutes=True) == "24 h 00 min"
    assert spoken_duration(dt.timedelta(hours=24)) == "24 h"
    assert spoken_duration(dt.timedelta(hours=24, minutes=45)) == "24 h 45 min"
    assert spoken_duration(dt.timedelta(minutes=45)) == "45 min"
    assert spoken_duration(dt.timedelta(seconds=90)) == "1 min 30 s"
    assert spoken_duration(dt.timedelta(seconds=9)) == "9 s"


@pytest.mark.parametrize(
    ("text", "size"), [("20 GiB", 20 * 2**30), ("500MiB", 500 * 2**20), ("1 TiB", 2**40), ("4096 B", 4096)]
)
def test_size_in_an_accepted_form_is_its_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["20", 20, "20 GB", "20 gib", "-1 GiB", "1.5 GiB", "", None, True])
def test_size_in_any_other_form_is_refused_with_the_accepted_ones(text: object) -> None:
    with pytest.raises(ValueError, match="20 GiB"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**9 - 1), st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB"]))
def test_size_written_and_read_back_is_the_same(count: int, unit: str) -> None:
    size = parse_size(f"{count} {unit}")
    if size < 10**9 * 2**40:
        assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["6", "six months", "0 months", "6 Months", "6 weeks", None, True])
def test_months_in_another_form_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="6 months"):
        parse_months(text)


def test_months_are_counted_in_calendar_months() -> None:
    assert (parse_months("6 months"), parse_months("1 month"), parse_months(6)) == (6, 1, 6)


@pytest.mark.parametrize("text", ["24:00", "7:15", "12:60", 735, "0015", None])
def test_time_of_day_in_another_form_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="00:15"):
        parse_time_of_day(text)


def test_value_that_looks_like_a_secret_is_never_shown() -> None:
    for secret in ("AGE-SECRET-KEY-1QQQ", "sftp://me:hunter2@nas", "-----BEGIN OPENSSH PRIVATE KEY-----"):
        assert secret not in shown(secret)
    assert shown("x" * 200) == repr("x" * 200)[:57] + "…"


def test_nearest_word_is_found_whatever_its_case() -> None:
    assert nearest("europe/berlim", ["Europe/Berlin", "Europe/Paris"]) == "Europe/Berlin"
    assert nearest("xyz", ["schedule"]) is None

"""The line through past drills: known numbers, and what must hold for any drills."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.extrapolation import Extrapolation, Measurement, extrapolate, student_quantile

MIB = 2**20


def drills(*times: tuple[int, int], rows: int = 0) -> list[Measurement]:
    """Of (MiB, milliseconds)."""
    return [Measurement(size * MIB, rows, time) for size, time in times]


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 6.3138),
        (2, 2.9200),
        (3, 2.3534),
        (4, 2.1318),
        (5, 2.0150),
        (10, 1.8125),
        (30, 1.6973),
        (120, 1.6577),
    ],
)
def test_quantile_is_that_of_the_printed_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=0.00005)


def test_quantile_two_sided_95_percent_is_that_of_the_printed_tables() -> None:
    assert student_quantile(1, 0.975) == pytest.approx(12.7062, abs=0.00005)
    assert student_quantile(2, 0.975) == pytest.approx(4.3027, abs=0.00005)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8])
def test_quantile_leaves_five_percent_above_by_numerical_integration(freedom: int) -> None:
    constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    steps, x = 20_000, student_quantile(freedom)
    density = [
        constant * (1 + (x * step / steps) ** 2 / freedom) ** (-(freedom + 1) / 2)
        for step in range(steps + 1)
    ]
    area = x / steps * (sum(density) - (density[0] + density[-1]) / 2)
    assert 0.5 + area == pytest.approx(0.95, abs=1e-6)


def test_drills_on_one_line_give_that_line_and_no_spread() -> None:
    found = extrapolate(drills((100, 1500), (200, 2500), (400, 4500)), plain_bytes=800 * MIB, rows=0)
    assert found == Extrapolation(
        formula="t = 500 ms + 10.000 ms per MiB",
        drills=3,
        smallest_bytes=100 * MIB,
        largest_bytes=400 * MIB,
        plain_bytes=800 * MIB,
        rows=0,
        r_squared="1.0000",
        residual_milliseconds=0,
        estimate_milliseconds=8500,
        bound_milliseconds=8500,
    )
    assert found.label == "extrapolated"


def test_bound_of_scattered_drills_is_the_one_worked_out_by_hand() -> None:
    """x̄ = 2, Sxx = 2, ȳ = 2200, b = 1100, a = 0; residuals -100, 200, -100: s² = 60000 / 1.

    At x = 4: 4400 + 6.3138 · √60000 · √(1 + 1/3 + 4/2) = 4400 + 2823.6
    """
    found = extrapolate(drills((1, 1000), (2, 2400), (3, 3200)), plain_bytes=4 * MIB, rows=0)
    assert found.formula == "t = 0 ms + 1100.000 ms per MiB"
    assert found.residual_milliseconds == 245
    assert found.estimate_milliseconds == 4400
    assert found.bound_milliseconds == pytest.approx(
        4400 + 6.313752 * math.sqrt(60_000 * (1 + 1 / 3 + 2)), abs=1
    )
    assert found.r_squared == "0.9758"  # 1 - 60000 / 2480000


def test_fit_agrees_with_the_standard_library() -> None:
    points = drills((10, 700), (20, 1450), (40, 2600), (80, 5900))
    slope, intercept = statistics.linear_regression([10, 20, 40, 80], [700, 1450, 2600, 5900])
    found = extrapolate(points, plain_bytes=100 * MIB, rows=0)
    assert found.estimate_milliseconds == round(intercept + 100 * slope)


def test_rows_are_counted_once_there_are_five_drills() -> None:
    points = [
        Measurement(size * MIB, rows, 1000 + 20 * size + rows // 100)
        for size, rows in [(100, 5000), (100, 90_000), (200, 10_000), (300, 200_000), (400, 50_000)]
    ]
    found = extrapolate(points, plain_bytes=500 * MIB, rows=300_000)
    assert found.formula == "t = 1000 ms + 20.000 ms per MiB + 10.000 ms per 1000 rows"
    assert found.bound_milliseconds == 1000 + 20 * 500 + 3000
    assert "rows" not in extrapolate(points[1:], plain_bytes=500 * MIB, rows=300_000).formula


def test_rows_that_follow_from_the_bytes_are_left_out() -> None:
    points = [Measurement(size * MIB, size * 10, 10 * size + 5 * (size % 3)) for size in (10, 20, 30, 40, 50)]
    assert "rows" not in extrapolate(points, plain_bytes=60 * MIB, rows=600).formula


def test_rows_that_seem_to_save_time_are_left_out() -> None:
    points = [
        Measurement(size * MIB, rows, 1000 + 20 * size - rows // 1000)
        for size, rows in [(100, 5000), (100, 90_000), (200, 10_000), (300, 200_000), (400, 50_000)]
    ]
    assert "rows" not in extrapolate(points, plain_bytes=500 * MIB, rows=100_000).formula


def test_rows_beyond_the_drills_are_refused() -> None:
    points = [
        Measurement(size * MIB, rows, 1000 + 20 * size + rows // 100)
        for size, rows in [(100, 5000), (100, 90_000), (200, 10_000), (300, 200_000), (400, 50_000)]
    ]
    with pytest.raises(CouldNotMeasure, match="400,001 rows is beyond"):
        extrapolate(points, plain_bytes=500 * MIB, rows=400_001)


@pytest.mark.parametrize(
    "few",
    [
        [],
        drills((1, 10)),
        drills((1, 10), (2, 20)),
        drills((1, 10), (2, 20), (2, 21), (1, 11), (1, 12), (2, 24)),
    ],
)
def test_fewer_than_three_sizes_make_no_line(few: list[Measurement]) -> None:
    with pytest.raises(CouldNotMeasure, match="too few"):
        extrapolate(few, plain_bytes=MIB, rows=0)


@pytest.mark.parametrize(("size", "refused"), [(49, True), (50, False), (800, False), (801, True)])
def test_size_beyond_twice_the_drills_is_refused(size: int, refused: bool) -> None:
    points = drills((100, 1500), (200, 2500), (400, 4500))
    if not refused:
        assert extrapolate(points, plain_bytes=size * MIB, rows=0).plain_bytes == size * MIB
        return
    with pytest.raises(CouldNotMeasure, match="beyond") as told:
        extrapolate(points, plain_bytes=size * MIB, rows=0)
    assert told.value.hint == "A full drill is due."


def test_drills_in_which_more_data_took_less_time_are_refused() -> None:
    with pytest.raises(CouldNotMeasure, match="more data took less time"):
        extrapolate(drills((100, 9000), (200, 5000), (400, 3000)), plain_bytes=500 * MIB, rows=0)


points = st.lists(
    st.builds(
        Measurement, st.integers(10 * MIB, 1000 * MIB), st.integers(0, 10**6), st.integers(1000, 10**7)
    ),
    min_size=3,
    max_size=9,
)


@settings(max_examples=200, deadline=None)
@given(points=points, size=st.integers(10 * MIB, 1000 * MIB), rows=st.integers(0, 10**6))
def test_bound_of_any_drills_is_above_the_estimate_and_can_be_signed(
    points: list[Measurement], size: int, rows: int
) -> None:
    try:
        found = extrapolate(points, plain_bytes=size, rows=rows)
    except CouldNotMeasure:
        assume(False)
    assert found.bound_milliseconds >= found.estimate_milliseconds > 0
    assert Extrapolation.model_validate_json(canonical_bytes(found.model_dump(mode="json"))) == found


@settings(max_examples=100, deadline=None)
@given(
    start=st.integers(0, 100_000),
    per_mib=st.integers(1, 1000),
    sizes=st.sets(st.integers(10, 1000), min_size=3, max_size=8),
)
def test_drills_on_any_line_are_continued_exactly(start: int, per_mib: int, sizes: set[int]) -> None:
    points = drills(*((size, start + per_mib * size) for size in sizes))
    target = max(sizes) + min(sizes)
    found = extrapolate(points, plain_bytes=target * MIB, rows=0)
    assert found.bound_milliseconds == start + per_mib * target
    assert found.r_squared == "1.0000"


def test_bound_holds_for_nineteen_of_twenty_restores() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(1000):
        points = drills(
            *((size, round(5000 + 50 * size + chance.gauss(0, 400))) for size in (50, 100, 200, 400))
        )
        bound = extrapolate(points, plain_bytes=500 * MIB, rows=0).bound_milliseconds
        held += bound >= 5000 + 50 * 500 + chance.gauss(0, 400)
    assert 930 <= held <= 970  # 950, give or take three standard deviations

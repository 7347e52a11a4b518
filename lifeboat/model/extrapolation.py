"""How long would the whole have taken? A line through past drills, and how far above it the truth may lie.

Time against bytes, and against rows too once there are drills enough, by least squares. A restore is judged on the
upper 95 % prediction bound, never on the line (reliability §6.4). The sums are exact: a few drills of nearly one size
are just where floating point would invent a slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import Field

from lifeboat.errors import CouldNotMeasure
from lifeboat.model.manifest import Value
from lifeboat.model.outcome import human_bytes

FEWEST_SIZES: Final = 3
"""Drills of that many different sizes, or there is no line."""
FEWEST_FOR_ROWS: Final = 5
"""Drills before rows are looked at too: one more unknown leaves fewer drills to tell how well the line fits."""
REACH: Final = 2
"""How many times larger than the largest drill, or smaller than the smallest, the line is believed: a full drill is due
when the size has doubled (reliability §6.4)."""
CONFIDENCE: Final = 0.95
"""One-sided: of a hundred restores, five may take longer."""

_MIB: Final = 2**20
_Count = Annotated[int, Field(ge=0)]
_Vector = list[Fraction]


@dataclass(frozen=True)
class Measurement:
    """What one drill, or one phase of it, took for how much."""

    plain_bytes: int
    rows: int
    milliseconds: int


class Extrapolation(Value):
    """A time that was never measured. ``r_squared`` has four decimals, rounded down; ``residual_milliseconds`` is the
    standard error of the fit; ``bound_milliseconds`` is what counts."""

    label: Literal["extrapolated"] = "extrapolated"
    formula: str
    drills: _Count
    smallest_bytes: _Count
    largest_bytes: _Count
    plain_bytes: _Count
    rows: _Count
    r_squared: Annotated[str, Field(pattern=r"^[01]\.[0-9]{4}$")]
    residual_milliseconds: _Count
    estimate_milliseconds: _Count
    bound_milliseconds: _Count


def extrapolate(drills: Sequence[Measurement], *, plain_bytes: int, rows: int) -> Extrapolation:
    """The time for ``plain_bytes`` and ``rows`` by the line through ``drills``.

    Raises ``CouldNotMeasure`` for too few sizes, for a target beyond ``REACH``, and when the drills do not look like
    one machine doing one thing: more bytes in less time.
    """
    _check_sizes(drills, plain_bytes)
    line = _with_rows(drills, rows) or _with_bytes(drills)
    target = line.row(plain_bytes, rows)
    estimate = float(_product(line.costs, target))
    if line.costs[1] < 0 or estimate <= 0:
        raise CouldNotMeasure(
            f"By the {len(drills)} drills more data took less time ({line}).",
            hint="Drill in full; leave out the drills of another machine.",
        )
    residual = math.sqrt(line.square_error / line.freedom)
    spread = residual * math.sqrt(1 + _product(target, _solved(line.normal, target)))
    sizes = [drill.plain_bytes for drill in drills]
    return Extrapolation(
        formula=str(line),
        drills=len(drills),
        smallest_bytes=min(sizes),
        largest_bytes=max(sizes),
        plain_bytes=plain_bytes,
        rows=rows,
        r_squared=f"{math.floor(line.r_squared * 10_000) / 10_000:.4f}",
        residual_milliseconds=math.ceil(residual),
        estimate_milliseconds=round(estimate),
        bound_milliseconds=math.ceil(estimate + student_quantile(line.freedom) * spread),
    )


def student_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """What Student's t with ``freedom`` degrees exceeds with a chance of 1 - ``confidence``; one-sided, above 0.5.

    Halving the angle: for whole degrees the probability is a finite sum (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    within = 2 * confidence - 1
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < within else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """The chance that t lies between -x and x, with x = √freedom · tan(angle)."""
    odd = freedom % 2
    square, term = math.cos(angle) ** 2, math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(freedom // 2):
        total += term
        term *= square * (2 * step + 1 + odd) / (2 * step + 2 + odd)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


def _check_sizes(drills: Sequence[Measurement], plain_bytes: int) -> None:
    sizes = {drill.plain_bytes for drill in drills}
    if len(sizes) < FEWEST_SIZES:
        raise CouldNotMeasure(
            f"Drills of {len(sizes)} different sizes are too few for a line; it takes {FEWEST_SIZES}.",
            hint="Drill in full, or drill samples of other sizes first.",
        )
    _check_reach(sizes, plain_bytes, human_bytes(plain_bytes))


def _check_reach(known: set[int], asked: int, spoken: str) -> None:
    if not min(known) <= asked * REACH or not asked <= max(known) * REACH:
        raise CouldNotMeasure(
            f"{spoken} is beyond what the drills can tell: more than {REACH} times off the nearest of them.",
            hint="A full drill is due.",
        )


@dataclass(frozen=True)
class _Line:
    """``costs``: milliseconds at the start, per byte, and per row where rows are looked at."""

    costs: _Vector
    normal: list[_Vector]
    square_error: Fraction
    freedom: int
    r_squared: Fraction

    def row(self, plain_bytes: int, rows: int) -> _Vector:
        return _row(plain_bytes, rows, len(self.costs))

    def __str__(self) -> str:
        start, per_byte, *per_row = map(float, self.costs)
        tail = "".join(f" + {cost * 1000:.3f} ms per 1000 rows" for cost in per_row)
        return f"t = {start:.0f} ms + {per_byte * _MIB:.3f} ms per MiB{tail}"


def _with_bytes(drills: Sequence[Measurement]) -> _Line:
    line = _fitted(drills, 2)
    assert line is not None, "three sizes make a line"
    return line


def _with_rows(drills: Sequence[Measurement], rows: int) -> _Line | None:
    """The line over bytes and rows; None when the drills cannot tell the cost of one from that of the other."""
    line = _fitted(drills, 3) if len(drills) >= FEWEST_FOR_ROWS else None
    if line is None or min(line.costs[1:]) < 0:
        return None
    _check_reach({drill.rows for drill in drills}, rows, f"{rows:,} rows")
    return line


def _fitted(drills: Sequence[Measurement], unknowns: int) -> _Line | None:
    matrix = [_row(drill.plain_bytes, drill.rows, unknowns) for drill in drills]
    times = [Fraction(drill.milliseconds) for drill in drills]
    columns = list(zip(*matrix, strict=True))
    normal = [[_product(one, two) for two in columns] for one in columns]
    try:
        costs = _solved(normal, [_product(column, times) for column in columns])
    except ZeroDivisionError:
        return None
    mean = sum(times, Fraction(0)) / len(times)
    error = sum(((t - _product(costs, row)) ** 2 for t, row in zip(times, matrix, strict=True)), Fraction(0))
    total = sum(((t - mean) ** 2 for t in times), Fraction(0))
    return _Line(costs, normal, error, len(drills) - unknowns, 1 - error / total if total else Fraction(1))


def _row(plain_bytes: int, rows: int, unknowns: int) -> _Vector:
    return [Fraction(1), Fraction(plain_bytes), Fraction(rows)][:unknowns]


def _product(one: Sequence[Fraction], two: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(one, two, strict=True)), Fraction(0))


def _solved(matrix: list[_Vector], right: Sequence[Fraction]) -> _Vector:
    """The solution of a system of equations, exact (Gauss-Jordan). ``ZeroDivisionError`` when there is no single one;
    a matrix of least squares needs no pivoting."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for place, pivot in enumerate(rows):
        pivot[:] = [value / pivot[place] for value in pivot]
        for row in rows:
            if row is not pivot:
                factor = row[place]
                row[:] = [value - factor * other for value, other in zip(row, pivot, strict=True)]
    return [row[-1] for row in rows]

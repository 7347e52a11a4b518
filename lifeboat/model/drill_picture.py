"""The pictures of a drill, as SVG that needs nothing else: its phases one after the other, and past drills in a row.

Numbers and names of phases only: what may hold anything is in the page's text, escaped there.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lifeboat.model.objectives import Verdict
from lifeboat.model.phases import Phase
from lifeboat.model.restore_estimate import spoken_time

WIDTH: Final = 720
_LABELS: Final = 90
_TIMES: Final = 90
_ROW: Final = 26
_HEIGHT: Final = 150
_MARGIN: Final = 14
_MARKS: Final = {Verdict.MET: "met", Verdict.UNMEASURED: "unmeasured", Verdict.MISSED: "missed"}


@dataclass(frozen=True)
class Dot:
    """One drill of a trend: ``milliseconds`` is None where nothing was measured."""

    day: str
    milliseconds: int | None
    verdict: Verdict


def phases_picture(phases: Sequence[Phase]) -> str:
    """A bar for each phase, beginning where the one before ends; a phase that was not measured has none."""
    total = sum(phase.milliseconds or 0 for phase in phases) or 1
    room = WIDTH - _LABELS - _TIMES
    drawn, before = [], 0
    for row, phase in enumerate(phases):
        time = phase.milliseconds or 0
        left, width = _LABELS + before * room / total, max(time * room / total, 2.0)
        middle = row * _ROW + 17
        drawn.append(f'<text x="0" y="{middle}">{phase.name}</text>')
        if phase.milliseconds is None:
            drawn.append(f'<text x="{left + 6:.1f}" y="{middle}" class="faint">not measured</text>')
        else:
            drawn.append(
                f'<rect x="{left:.1f}" y="{row * _ROW + 4}" width="{width:.1f}" height="18" rx="3" '
                f'class="{phase.basis}"/>'
                f'<text x="{left + width + 6:.1f}" y="{middle}">{spoken_time(time)}</text>'
            )
        before += time
    return _svg(len(phases) * _ROW + 4, "The phases of the recovery, one after the other", drawn)


def trend_picture(name: str, dots: Sequence[Dot], objective: int) -> str:
    """Past drills from left to right against the objective, a dashed line. Empty for fewer than two."""
    if len(dots) < 2:
        return ""
    top = max([objective, *(dot.milliseconds or 0 for dot in dots)]) * 1.15
    floor = _HEIGHT - 26

    def height(milliseconds: int) -> float:
        return floor - milliseconds * (floor - _MARGIN) / top

    step = (WIDTH - 2 * _MARGIN - _TIMES) / (len(dots) - 1)
    places = [_MARGIN + number * step for number in range(len(dots))]
    line = height(objective)
    known = [
        (x, height(dot.milliseconds))
        for x, dot in zip(places, dots, strict=True)
        if dot.milliseconds is not None
    ]
    drawn = [
        f'<line x1="0" y1="{floor}" x2="{WIDTH}" y2="{floor}" class="axis"/>',
        f'<line x1="0" y1="{line:.1f}" x2="{WIDTH}" y2="{line:.1f}" class="objective"/>',
        f'<text x="{WIDTH}" y="{line - 5:.1f}" text-anchor="end" class="faint">{name} {spoken_time(objective)}</text>',
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in known)}" class="trend"/>',
    ]
    for x, dot in zip(places, dots, strict=True):
        told = "not measured" if dot.milliseconds is None else spoken_time(dot.milliseconds)
        drawn.append(
            f'<circle cx="{x:.1f}" cy="{height(dot.milliseconds or 0):.1f}" r="4.5" class="{_MARKS[dot.verdict]}">'
            f"<title>{html.escape(dot.day)}: {told}, {dot.verdict}</title></circle>"
        )
    for x, dot, anchor in ((places[0], dots[0], "start"), (places[-1], dots[-1], "middle")):
        drawn.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}" class="faint">{html.escape(dot.day)}</text>'
        )
    return _svg(_HEIGHT, f"{name} of past drills", drawn)


def _svg(height: int, title: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">'
        f'<defs><pattern id="declared" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="6" class="hatch"/></pattern></defs>'
        f"{''.join(drawn)}</svg>"
    )

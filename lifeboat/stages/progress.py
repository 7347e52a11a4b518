"""How far the dump of a source is: every part says how many bytes it gave so far, whoever watches sees the whole.

What is expected is what the tables take on the server. Their rows as text may be more or less, so a part counts
with the share of its own size, never with more than that, and with all of it once it is sealed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lifeboat.model.outcome import human_bytes
from lifeboat.model.parts import PlannedPart

ROUNDING = 1e-6
"""The shares of all parts add up to a little less than 1, or more."""


@dataclass(frozen=True)
class Standing:
    """``fraction`` goes from 0 to 1; ``dumped`` are bytes of the dump, ``expected`` bytes on the server, of what is
    frozen so far."""

    fraction: float
    dumped: int
    expected: int

    @property
    def percent(self) -> int:
        """Whole percent, rounded down: 100 means all."""
        return int(self.fraction * 100 + ROUNDING)

    def __str__(self) -> str:
        return f"{human_bytes(self.dumped)} dumped of about {human_bytes(self.expected)}"


Watch = Callable[[Standing], None]


class Progress:
    """The parts of one voyage. Called from all threads of a run; ``watch`` must return at once."""

    def __init__(self, watch: Watch = lambda _: None) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._expected = 0
        self._weights: dict[int, float] = {}
        self._shares: dict[int, float] = {}
        self._dumped: dict[int, int] = {}

    def expect(self, parts: Sequence[PlannedPart], *, turns: int) -> None:
        """These are the parts of the next of so many turns, each of which counts the same."""
        with self._lock:
            total = sum(_size(part) for part in parts)
            self._expected += total
            self._weights |= {part.number: _size(part) / total / turns for part in parts}
            self._watch(self._standing())

    def grown(self, part: PlannedPart, plain_bytes: int) -> None:
        """The part holds so many bytes, and is being dumped."""
        self._note(part, plain_bytes, min(1.0, plain_bytes / _size(part)))

    def sealed(self, part: PlannedPart, plain_bytes: int) -> None:
        """The part is complete."""
        self._note(part, plain_bytes, 1.0)

    def _note(self, part: PlannedPart, plain_bytes: int, share: float) -> None:
        # Watched inside the lock: told one after the other, nobody sees a bar that shrinks.
        with self._lock:
            self._shares[part.number], self._dumped[part.number] = share, plain_bytes
            self._watch(self._standing())

    def _standing(self) -> Standing:
        fraction = sum(self._weights[number] * share for number, share in self._shares.items())
        return Standing(fraction, sum(self._dumped.values()), self._expected)


def _size(part: PlannedPart) -> int:
    return max(part.size, 1)

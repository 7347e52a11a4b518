"""A command before the files are read and one after: LVM, ZFS, btrfs snapshots, ``fsfreeze`` over ssh.

The release must not hang on this process. A *keeper*, a small process in a session of its own, runs both
commands; it holds the read end of a pipe from here, and releases as soon as the pipe closes: when the block is
left, and just as well when this process was ended, killed or cancelled (as ``children`` ends its children).

Should the keeper itself be killed, or the machine fail, the *marker* is left behind: a file that lies there from
before the first command until after the last. Whoever finds it releases first. Its lock tells a keeper that
still works from one that is gone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeboat import clock
from lifeboat.adapters.tree import FrozenView, TreeTarget
from lifeboat.errors import ConfigurationError, Refused, SourceError, TimeLimitExceeded

_KINDS = {kind.__name__: kind for kind in (ConfigurationError, Refused, SourceError, TimeLimitExceeded)}


@dataclass(frozen=True)
class Hooks:
    """Argument lists, no shell; each may take ``limit`` seconds. ``marker`` is a path on this worker that belongs to
    this source alone."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    limit: float
    marker: Path


@dataclass(frozen=True)
class HookedTree:
    """A tree that a command freezes before it is read; ``target`` is what there is then."""

    target: TreeTarget
    hooks: Hooks

    @property
    def label(self) -> str:
        return self.target.label

    @contextmanager
    def frozen(self) -> Iterator[FrozenView]:
        """As of before the first command, by this worker's clock: the files are that new at least.

        Raises as ``frozen_by``.
        """
        moment = clock.utc_now()
        with frozen_by(self.hooks, label=self.label):
            yield FrozenView(self.target, moment)


@contextmanager
def frozen_by(hooks: Hooks, *, label: str) -> Iterator[None]:
    """Run ``before``, then the block, then ``after``, whatever happens in between.

    ``label`` names the source in messages. ``after`` also runs when ``before`` failed, and when an earlier run
    left its marker; how it ends counts only after a ``before`` that worked or had to be ended.

    Raises ``SourceError`` with the command's output when one fails, ``TimeLimitExceeded`` when one takes too long,
    ``ConfigurationError`` when it does not exist, ``Refused`` while another run holds the marker. An error of
    ``after`` goes before that of the block, which is its context: a frozen source is the more urgent news.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-m", "lifeboat.adapters.hooks_keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        job = {
            "before": [*hooks.before],
            "after": [*hooks.after],
            "timeout": hooks.limit,
            "marker": str(hooks.marker),
            "label": label,
        }
        _tell(keeper, json.dumps(job).encode() + b"\n")
        _expect(keeper, "frozen", label)
        try:
            yield
        finally:
            _let_go(keeper)
            _expect(keeper, "released", label)
    finally:
        _let_go(keeper)
        with keeper:
            pass  # closes its output and waits: nothing of ours is left running


def _tell(keeper: subprocess.Popen[bytes], line: bytes) -> None:
    assert keeper.stdin is not None
    with suppress(BrokenPipeError):  # its silence says more, in a moment
        keeper.stdin.write(line)
        keeper.stdin.flush()


def _let_go(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    with suppress(BrokenPipeError):
        keeper.stdin.close()


def _expect(keeper: subprocess.Popen[bytes], event: str, label: str) -> None:
    """Wait for the keeper's next line; it limits its commands itself, and its end ends the wait."""
    assert keeper.stdout is not None
    line = keeper.stdout.readline()
    if not line:
        raise SourceError(
            f"{label}: the process that keeps its hooks ended before it had {event} the source.",
            hint="The next run releases first. To release at once, run the 'after' command by hand.",
        )
    said: dict[str, Any] = json.loads(line)
    if said["event"] != event:
        raise _KINDS[said["kind"]](said["message"], hint=said["hint"])

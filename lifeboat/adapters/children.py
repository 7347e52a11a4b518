"""Child processes that never outlive the run.

Each child leads a process group of its own, together with what it starts (pg_dump, pg_dumpall), and holds the
read end of a *lifeline*: its standard input. One signal ends the whole group at a time limit; and when the run
dies, in whatever way, the lifeline closes and the child ends its group itself (decision D3; F1, F2).

Parent and child speak JSON lines: one job down the lifeline, events back on standard output. Secrets travel
inside the job, never in arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from lifeboat import clock, errors
from lifeboat.adapters.child_side import decoded
from lifeboat.adapters.memory import return_large_blocks
from lifeboat.errors import Cancelled, LifeboatError, TimeLimitExceeded

Event = dict[str, Any]
GRACE = 5.0
"""Seconds a child has to end by itself after its last event."""


def failure_of(event: Event) -> LifeboatError:
    """The error of ours that a child met and told (``child_side.carry_out``)."""
    kind = getattr(errors, event["kind"])
    error: LifeboatError = kind(event["message"], hint=event["hint"])
    return error


TRANSFERS_AT_ONCE: Final = 2
"""Large batches that a run moves at once: two keep two processors busy, and every child takes 50 MiB."""


class Crew:
    """All children of one run. Leaving the ``with`` block ends every one of them.

    ``transfers`` admits those who move a large batch, however many wait.
    """

    def __init__(self) -> None:
        self.transfers = threading.Semaphore(TRANSFERS_AT_ONCE)
        self._children: set[Child] = set()
        self._at_rest: dict[str, list[Child]] = {}
        self._lock = threading.Lock()
        self._dismissed = False

    def __enter__(self) -> Crew:
        return_large_blocks()
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def hire(self, module: str, job: dict[str, Any], *, label: str, deadline: clock.Deadline) -> Child:
        """Give a job to a child that runs ``module``: one at rest, or a new ``python -m module``.

        Raises ``Cancelled`` when the run is already ending.
        """
        with self._lock:
            resting = self._at_rest.get(module)
            child = resting.pop() if resting else self._enlist(module, label)
        child.begin(job, label=label, deadline=deadline)
        return child

    def make_ready(self, module: str, count: int) -> None:
        """Start children ahead of their first job, so that their imports cost nobody's time."""
        with self._lock:
            resting = self._at_rest.setdefault(module, [])
            resting += [self._enlist(module, module) for _ in range(count - len(resting))]

    def _enlist(self, module: str, label: str) -> Child:
        if self._dismissed:
            raise Cancelled(f"{label}: not started, the run is ending")
        child = Child(self, module)
        self._children.add(child)
        return child

    def dismiss(self) -> None:
        """End every child at once; later ``hire`` calls are refused."""
        with self._lock:
            self._dismissed = True
            children = list(self._children)
        for child in children:
            child.end()

    def rest(self, child: Child) -> None:
        """Keep a child whose job is done for the next one of its kind."""
        with self._lock:
            self._at_rest.setdefault(child.module, []).append(child)

    def discharge(self, child: Child) -> None:
        with self._lock:
            self._children.discard(child)

    @property
    def dismissed(self) -> bool:
        return self._dismissed


class Child:
    """One child process; use as a context manager, and iterate ``events()`` to its end.

    An event ``done`` or ``failed`` ends a job. After ``done`` the child rests until the crew has another for it.
    """

    def __init__(self, crew: Crew, module: str) -> None:
        self._crew = crew
        self.module = module
        self._job_done = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
        )
        self._ending = threading.Lock()
        self._complaints = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None and self._job_done:
            self._crew.rest(self)
            return
        if kind is None:
            self._linger()
        self.end()
        self._close()
        self._crew.discharge(self)

    def begin(self, job: dict[str, Any], *, label: str, deadline: clock.Deadline) -> None:
        """Hand over a job; ``label`` and ``deadline`` are those of this job."""
        self.label, self.deadline, self._job_done = label, deadline, False
        self.send(job)

    def send(self, message: dict[str, Any]) -> None:
        """Write one line down the lifeline. A child that is gone says so through ``events()``."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def events(self) -> Iterator[Event]:
        """Events until the job is over or the child closes its output.

        Raises ``TimeLimitExceeded`` after ending the group, ``Cancelled`` when the run ends, and
        ``LifeboatError`` when the child dies without having said why.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # select itself knows no descriptor above 1023
        poll.register(descriptor)
        buffer = b""
        while True:
            readable = poll.poll(1000 * min(1.0, self.deadline.remaining()))
            if self._crew.dismissed:
                raise Cancelled(f"{self.label}: ended with the run")
            if readable:
                block = os.read(descriptor, 2**16)
                if not block:
                    break
                *lines, buffer = (buffer + block).split(b"\n")
                for event in map(decoded, lines):
                    self._job_done = event["event"] == "done"
                    yield event
                    if event["event"] in ("done", "failed"):
                        return
            elif self.deadline.passed():
                self.end()
                raise TimeLimitExceeded(
                    f"{self.label}: ended after the limit of {self.deadline.limit:.0f} s ({self.deadline.name})",
                    hint=f"Look for a blocked or overloaded source, or raise {self.deadline.name} in the policy.",
                )
        self._ended_well()

    def _ended_well(self) -> None:
        self._linger()
        self.end()
        status = self._process.returncode
        if self._crew.dismissed:
            raise Cancelled(f"{self.label}: ended with the run")
        if status != 0:
            self._listener.join(1.0)
            last = self._complaints.decode("utf-8", "replace").strip().splitlines()[-1:]
            cause = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise LifeboatError(f"{self.label}: the child process ended by {cause}: {''.join(last)}")

    def end(self) -> None:
        """End the whole group now, also what outlived its leader."""
        with self._ending:
            # A leader that nobody waited for keeps its number, dead or alive: the group is still ours.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _linger(self) -> None:
        """Give the leader ``GRACE`` seconds to end by itself, without waiting for it in the system's sense."""
        grace = clock.Deadline.after(GRACE)
        while not self._leader_ended() and not grace.passed():
            clock.sleep(0.005)

    def _leader_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _close(self) -> None:
        """Only by whoever reads the events: a descriptor closed under a reader may be another file by then."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream, contextlib.suppress(ValueError, OSError):
            for line in stream:
                self._complaints = (self._complaints + line)[-8192:]

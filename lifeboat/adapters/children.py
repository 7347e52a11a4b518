"""Child processes that never outlive the run.

Each child leads a process group of its own, together with what it starts (pg_dump, psql), and holds the
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
from typing import Any

from lifeboat import clock
from lifeboat.errors import Cancelled, LifeboatError, TimeLimitExceeded

Event = dict[str, Any]
GRACE = 5.0
"""Seconds a child has to end by itself after its last event."""


class Crew:
    """All children of one run. Leaving the ``with`` block ends every one of them."""

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._lock = threading.Lock()
        self._dismissed = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def hire(self, module: str, job: dict[str, Any], *, label: str, deadline: clock.Deadline) -> Child:
        """Start ``python -m module`` on a job. Raises ``Cancelled`` when the run is already ending."""
        child = self.enlist(module, label=label, deadline=deadline)
        child.send(job)
        return child

    def enlist(self, module: str, *, label: str, deadline: clock.Deadline) -> Child:
        """Start ``python -m module`` ahead of its first job, so that its imports cost nobody's time."""
        with self._lock:
            if self._dismissed:
                raise Cancelled(f"{label}: not started, the run is ending")
            child = Child(self, module, label=label, deadline=deadline)
            self._children.add(child)
        return child

    def dismiss(self) -> None:
        """End every child at once; later ``hire`` calls are refused."""
        with self._lock:
            self._dismissed = True
            children = list(self._children)
        for child in children:
            child.end()

    def discharge(self, child: Child) -> None:
        with self._lock:
            self._children.discard(child)

    @property
    def dismissed(self) -> bool:
        return self._dismissed


class Child:
    """One child process; use as a context manager, and iterate ``events()`` to its end."""

    def __init__(self, crew: Crew, module: str, *, label: str, deadline: clock.Deadline) -> None:
        self._crew = crew
        self.label = label
        self.deadline = deadline
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
        if kind is None:
            self._linger()
        self.end()
        self._close()
        self._crew.discharge(self)

    def send(self, message: dict[str, Any]) -> None:
        """Write one line down the lifeline. A child that is gone says so through ``events()``."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def events(self) -> Iterator[Event]:
        """Events until the child closes its output.

        Raises ``TimeLimitExceeded`` after ending the group, ``Cancelled`` when the run ends, and
        ``LifeboatError`` when the child dies without having said why.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        buffer = b""
        while True:
            readable, _, _ = select.select([descriptor], [], [], min(1.0, self.deadline.remaining()))
            if self._crew.dismissed:
                raise Cancelled(f"{self.label}: ended with the run")
            if readable:
                block = os.read(descriptor, 2**16)
                if not block:
                    break
                *lines, buffer = (buffer + block).split(b"\n")
                for line in lines:
                    yield json.loads(line)
            elif self.deadline.passed():
                self.end()
                raise TimeLimitExceeded(
                    f"{self.label}: ended after the limit of {self.deadline.limit:.0f} s",
                    hint="Look for a blocked or overloaded source, or raise limits.source in the policy.",
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

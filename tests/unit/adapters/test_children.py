"""Children and their crew: jobs in, events out, and nobody left behind."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lifeboat import clock
from lifeboat.adapters import children
from lifeboat.adapters.children import Child, Crew, Event
from lifeboat.errors import Cancelled, LifeboatError, TimeLimitExceeded

# Modules that a child runs: the real child's side, each with another fate.
FATES = {
    "echo": "tell('echo', job=job)",
    "silent_end": "",
    "many": "for number in range(5000): tell('count', number=number, filler='é' * 100)",
    "no_line_feed": 'import os; os.write(1, b\'{"event": "torn\')',
    "raises": "raise RuntimeError('the last words')",
    "exits": "import sys; print('to standard error', file=sys.stderr); sys.exit(7)",
    "killed": "import os; tell('begun'); os.kill(os.getpid(), 9)",
    "hangs": "import time; tell('begun'); time.sleep(1000)",
    "closes_and_hangs": "import os, time; tell('begun'); os.close(1); time.sleep(1000)",
    "asks": "tell('want'); lifeline.wait_for_grant(); tell('granted')",
    "grandchild": (
        "import os, subprocess; sleeper = subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL);"
        " tell('begun', sleeper=sleeper.pid); os.kill(os.getpid(), 9)"
    ),
    "grandchild_and_ends": (
        "import subprocess; sleeper = subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL);"
        " tell('begun', sleeper=sleeper.pid)"
    ),
    "failed": "tell('failed'); import time; time.sleep(1000)",
    "works_on": (
        "import os\nwhile True:\n    tell('done', pid=os.getpid(), label=job['label']); job = lifeline.job()"
    ),
    "environment": "import os; tell('environment', names=sorted(os.environ), argv=open('/proc/self/cmdline').read())",
}


@pytest.fixture
def fates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in FATES.items():
        (tmp_path / f"fate_{name}.py").write_text(
            "from lifeboat.adapters.child_side import Lifeline, tell\n"
            f"lifeline = Lifeline()\njob = lifeline.job()\n{body}\n"
        )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")


pytestmark = pytest.mark.usefixtures("fates")


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew() as crew:
        yield crew


def hire(crew: Crew, fate: str, *, limit: float = 20, **job: object) -> Child:
    return crew.hire(f"fate_{fate}", job, label=f"the {fate}", deadline=clock.Deadline.after(limit))


def events_of(child: Child) -> list[Event]:
    with child:
        return list(child.events())


def waits_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    ends = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < ends:
        time.sleep(0.02)
    return met


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def own_children() -> list[psutil.Process]:
    """Children that carry the job of a test here; the suite's servers are children of this process, too."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any("fate_" in word for word in child.cmdline()):
                found.append(child)
    return found


def test_job_arrives_whole_and_comes_back(crew: Crew) -> None:
    job: dict[str, Any] = {"text": "é\n'\"" * 200_000, "numbers": list(range(100))}

    assert events_of(hire(crew, "echo", **job)) == [{"event": "echo", "job": job}]


def test_name_that_is_no_utf_8_goes_there_and_comes_back(crew: Crew) -> None:
    job: dict[str, Any] = {"name": os.fsdecode(b"caf\xe9"), "é": [1, None]}

    assert events_of(hire(crew, "echo", **job)) == [{"event": "echo", "job": job}]


def test_events_arrive_in_order_and_none_is_lost(crew: Crew) -> None:
    numbers = [event["number"] for event in events_of(hire(crew, "many"))]

    assert numbers == list(range(5000))


def test_child_without_events_ends_well(crew: Crew) -> None:
    assert events_of(hire(crew, "silent_end")) == []
    assert own_children() == []


def test_half_an_event_is_none(crew: Crew) -> None:
    assert events_of(hire(crew, "no_line_feed")) == []


def test_child_that_raises_says_its_last_line(crew: Crew) -> None:
    with pytest.raises(
        LifeboatError, match="the raises: the child process ended by exit status 1: RuntimeError: the last"
    ):
        events_of(hire(crew, "raises"))


def test_child_that_exits_says_its_status_and_its_complaint(crew: Crew) -> None:
    with pytest.raises(LifeboatError, match="exit status 7: to standard error"):
        events_of(hire(crew, "exits"))


def test_killed_child_says_its_signal(crew: Crew) -> None:
    with pytest.raises(LifeboatError, match="ended by signal 9"):
        events_of(hire(crew, "killed"))


def test_grant_reaches_the_child(crew: Crew) -> None:
    seen = []
    with hire(crew, "asks") as child:
        for event in child.events():
            seen.append(event["event"])
            if event["event"] == "want":
                child.send({"go": True})

    assert seen == ["want", "granted"]


def test_child_that_is_done_gets_the_next_job_of_its_kind(crew: Crew) -> None:
    first = events_of(hire(crew, "works_on", label="one"))
    second = events_of(hire(crew, "works_on", label="two"))

    assert [event["label"] for event in first + second] == ["one", "two"]
    assert first[0]["pid"] == second[0]["pid"]
    assert len(own_children()) == 1


def test_next_job_has_a_limit_of_its_own(crew: Crew) -> None:
    events_of(hire(crew, "works_on", limit=0.3, label="one"))
    time.sleep(0.4)

    assert events_of(hire(crew, "works_on", limit=20, label="two"))[0]["label"] == "two"


def test_two_jobs_at_a_time_have_a_child_each(crew: Crew) -> None:
    with hire(crew, "works_on", label="one") as one, hire(crew, "works_on", label="two") as two:
        pids = {next(one.events())["pid"], next(two.events())["pid"]}

    assert len(pids) == 2


def test_child_that_failed_gets_no_second_job(crew: Crew) -> None:
    assert [event["event"] for event in events_of(hire(crew, "failed"))] == ["failed"]

    assert own_children() == []


def test_child_that_is_made_ready_takes_the_first_job(crew: Crew) -> None:
    crew.make_ready("fate_works_on", 2)
    waiting = {child.pid for child in own_children()}

    assert events_of(hire(crew, "works_on", label="one"))[0]["pid"] in waiting
    assert len(waiting) == 2


def test_child_that_died_at_rest_says_so_at_its_next_job(crew: Crew) -> None:
    (event,) = events_of(hire(crew, "works_on", label="one"))
    os.kill(event["pid"], 9)

    with pytest.raises(LifeboatError, match="ended by signal 9"):
        events_of(hire(crew, "works_on", label="two"))


def test_time_limit_ends_a_hanging_child_and_says_the_limit(crew: Crew) -> None:
    started = time.monotonic()

    with pytest.raises(TimeLimitExceeded, match="the hangs: ended after the limit of 1 s"):
        events_of(hire(crew, "hangs", limit=0.8))

    assert time.monotonic() - started < 2
    assert own_children() == []


def test_child_that_closes_its_output_but_stays_is_ended(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "GRACE", 0.2)

    with pytest.raises(LifeboatError, match="ended by signal 9"):
        events_of(hire(crew, "closes_and_hangs"))

    assert own_children() == []


@pytest.mark.parametrize("fate", ["grandchild", "grandchild_and_ends"])
def test_whatever_outlives_its_leader_is_ended_with_the_group(crew: Crew, fate: str) -> None:
    """A child that the kernel killed cannot end its pg_dump; the run does."""
    sleepers = []
    with contextlib.suppress(LifeboatError), hire(crew, fate) as child:
        for event in child.events():
            sleepers.append(event["sleeper"])

    assert len(sleepers) == 1
    assert waits_until(lambda: not alive(sleepers[0]))


def test_error_inside_the_block_ends_the_child_at_once(crew: Crew) -> None:
    started = time.monotonic()

    with pytest.raises(ZeroDivisionError), hire(crew, "hangs"):
        raise ZeroDivisionError

    assert time.monotonic() - started < 1
    assert own_children() == []


def test_dismissed_crew_ends_every_child_and_all_who_listen(crew: Crew) -> None:
    caught: list[type[BaseException]] = []

    def listen() -> None:
        try:
            events_of(hire(crew, "hangs"))
        except LifeboatError as error:
            caught.append(type(error))

    listeners = [threading.Thread(target=listen) for _ in range(4)]
    for listener in listeners:
        listener.start()
    assert waits_until(lambda: len(own_children()) == 4)
    time.sleep(0.2)
    started = time.monotonic()

    crew.dismiss()
    for listener in listeners:
        listener.join(5)

    assert time.monotonic() - started < 1
    assert caught == [Cancelled] * 4
    assert own_children() == []


def test_child_whose_crew_was_dismissed_while_its_listener_was_busy_is_cancelled(crew: Crew) -> None:
    """The descriptor must not be closed, and so be another file's by then, under a listener that comes back."""
    with hire(crew, "hangs") as child:
        events = child.events()
        assert next(events)["event"] == "begun"
        crew.dismiss()
        child.send({"go": True})
        with pytest.raises(Cancelled, match="the hangs: ended with the run"):
            next(events)


def test_hiring_after_the_crew_was_dismissed_is_refused(crew: Crew) -> None:
    crew.dismiss()

    with pytest.raises(Cancelled, match="the echo: not started"):
        hire(crew, "echo")
    assert own_children() == []


def test_leaving_the_crew_ends_a_child_that_nobody_listens_to() -> None:
    with Crew() as crew:
        hire(crew, "hangs")
        assert len(own_children()) == 1

    assert own_children() == []


def test_child_that_closes_itself_leaves_no_descriptor_open(crew: Crew) -> None:
    events_of(hire(crew, "echo"))
    before = psutil.Process().num_fds()

    for _ in range(5):
        events_of(hire(crew, "echo"))

    assert waits_until(lambda: psutil.Process().num_fds() <= before)


def test_job_shows_in_no_argument_and_postgres_variables_stay_out(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "S3CRET-canary")
    monkeypatch.setenv("PGSERVICE", "x")

    (event,) = events_of(hire(crew, "environment", password="S3CRET-canary"))

    assert "S3CRET" not in event["argv"]
    assert "PATH" in event["names"]
    assert [name for name in event["names"] if name.startswith("PG")] == []


def test_each_child_leads_a_group_of_its_own(crew: Crew) -> None:
    with hire(crew, "hangs") as child:
        next(child.events())
        (process,) = own_children()
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
        crew.dismiss()

"""Whole runs over a real sshd whose line dies or crawls (F16, F17), and with a worker's clock that is wrong (F35)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.variables import Variable
from support.anchorage import Anchorage, anchorage, python
from support.postgres import MAJORS
from support.proxy import FaultProxy, fault_proxy
from support.sshd import SSHD, account, running_sshd

from flows.backup import backup_environment
from lifeboat import clock
from lifeboat.errors import SourceError
from lifeboat.model.manifest import Manifest

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


# The store


@pytest.fixture(scope="module")
def nas(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    """A store behind an sshd, with one good backup."""
    if not SSHD:
        pytest.skip("no sshd is installed")
    with (
        account() as user,
        running_sshd(user) as sshd,
        anchorage(tmp_path_factory.mktemp("nas"), rows=50_000) as made,
    ):
        made.ship = dataclasses.replace(made.ship, store=sshd.target())
        made.register()
        backup_environment("demo", policy=sftp_policy(made))
        yield made


@pytest.fixture
def line(nas: Anchorage) -> Iterator[FaultProxy]:
    """What the runs' connections to the NAS go through."""
    with fault_proxy(nas.ship.store.port) as proxy:
        nas.register(store_port=proxy.port)
        try:
            yield proxy
        finally:
            nas.register()


def sftp_policy(nas: Anchorage, **limits: str) -> str:
    store = {"kind": "sftp", "host_key": "block", "reserve": "1 MiB"}
    return nas.policy("-".join(["sftp", *limits.values()]), store=store, limits={"source": "1h", **limits})


def prove_the_next_run_is_good(harbour: Anchorage, policy: str) -> None:
    (outcome,) = backup_environment("demo", policy=policy)
    assert outcome.state == "committed"
    assert harbour.committed()[-1] == outcome.backup_id
    harbour.prove(str(outcome.backup_id))
    assert not list((harbour.folder / "spool").iterdir())


HALF = 800 * 2**10
"""Bytes on the way to the NAS after which the upload of the table is surely under way, and not over."""


@pytest.mark.sshd
def test_a_line_that_goes_dead_in_mid_upload_is_noticed_and_the_upload_repeated(
    nas: Anchorage, line: FaultProxy
) -> None:
    """F16: nobody says goodbye; the line is good again for the next connection."""
    nas.rewrite()
    before, committed = nas.digests(), nas.committed()
    line.up.set(hold_after=HALF)
    threading.Thread(target=_mend_once_dead, args=(line,), daemon=True).start()

    (outcome,) = backup_environment("demo", policy=sftp_policy(nas, stall="1s"))

    assert outcome.state == "committed"
    assert nas.committed() == [*committed, outcome.backup_id]
    assert before.items() <= nas.digests().items()
    # The torn object stays, under a name that no manifest has.
    (manifest,) = [
        e.manifest for e in nas.ship.catalog().entries if e.manifest.backup_id == outcome.backup_id
    ]
    named = {part.name for part in (manifest.index, *manifest.parts)}
    torn = [name for name in nas.digests() if name.startswith(str(outcome.backup_id)) and name not in named]
    assert torn
    nas.prove(str(outcome.backup_id))


def _mend_once_dead(line: FaultProxy) -> None:
    while line.up.passed < HALF // 2:
        clock.sleep(0.05)
    clock.sleep(0.5)
    line.up.set()


@pytest.mark.sshd
def test_a_line_that_stays_dead_turns_the_run_red_at_its_limit_and_commits_nothing(
    nas: Anchorage, line: FaultProxy
) -> None:
    """F16: repeated within the limit, and not once more after it."""
    nas.rewrite()
    before, committed = nas.digests(), nas.committed()
    line.up.set(hold_after=HALF)
    watch = clock.Stopwatch()

    with pytest.raises(SourceError, match="not finished within the limit of 3 s"):
        backup_environment("demo", policy=sftp_policy(nas, source="3s", stall="1s"))

    assert watch.seconds() < 60
    assert nas.committed() == committed
    assert before.items() <= nas.digests().items()
    nas.register()
    prove_the_next_run_is_good(nas, sftp_policy(nas))


@pytest.mark.sshd
def test_a_store_too_slow_for_its_window_turns_the_run_red_at_its_limit(
    nas: Anchorage, line: FaultProxy
) -> None:
    """F17: bytes move all the time, so nothing stalls; the total time decides."""
    nas.rewrite()
    before, committed = nas.digests(), nas.committed()
    line.up.bytes_per_second = 100 * 2**10
    watch = clock.Stopwatch()

    with pytest.raises(SourceError, match="not finished within the limit of 4 s") as caught:
        backup_environment("demo", policy=sftp_policy(nas, source="4s", stall="3s"))

    assert "The store is too slow for its window" in str(caught.value)
    assert watch.seconds() < 60
    assert nas.committed() == committed
    assert before.items() <= nas.digests().items()
    nas.register()
    prove_the_next_run_is_good(nas, sftp_policy(nas))


# The clock


@pytest.fixture(scope="module")
def bay(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    """A local store with three good backups of today, of which a prune by the right clock deletes none."""
    if not FAKETIME:
        pytest.skip("libfaketime is not installed")
    with anchorage(tmp_path_factory.mktemp("bay"), rows=50_000) as made:
        yield made


@pytest.fixture
def fleet(bay: Anchorage) -> Anchorage:
    """The bay with an empty store and chain of its own for each test, and three backups by the right clock."""
    shutil.rmtree(bay.folder / "store")
    (bay.folder / "store").mkdir()
    forget_chain_head()
    bay.register()
    for _ in range(3):
        backup_environment("demo", policy=greedy(bay))
    return bay


def forget_chain_head() -> None:
    Variable.unset("lifeboat-head-demo-main-databases")


def greedy(bay: Anchorage) -> str:
    """A policy that deletes as soon as it may: a clock that is believed would cost backups at once."""
    rules = {"daily": "1d", "monthly": {"anchor": "1st", "keep": "1 months"}, "floor": 1, "deletion_cap": 4}
    return bay.policy("greedy", retention=rules)


def run_by_another_clock(bay: Anchorage, offset: str, *, jump: str | None = None) -> str:
    """A run by a worker's clock that is ``offset`` off, or jumps to ``jump`` while it dumps; what it told.

    The monotonic clock stays true, as it does when NTP or a person sets the other one.
    """
    setting = bay.folder / "clock"
    setting.write_text(offset + "\n")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(bay.folder / "prefect"),
    }
    trouble = f"clock={jump or offset} {setting}"
    done = subprocess.run(
        python("-m", "support.troubled_run", "dump", trouble, greedy(bay)),
        env=bay.environment(**faked),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert bay.leftovers() == []
    return done.stderr


def new_manifest(bay: Anchorage, before: list[str]) -> Manifest:
    (new,) = [
        entry.manifest for entry in bay.ship.catalog().entries if entry.manifest.backup_id not in before
    ]
    return new


# Ahead of time libfaketime sometimes breaks what waits for a child process; that a run by a clock in the future prunes
# nothing is tested with the stages (test_prune) and with the plan (test_retention).
@pytest.mark.parametrize(("offset", "off"), [("-400d", -400)])
def test_a_run_by_a_worker_whose_clock_is_a_year_off_commits_and_prunes_nothing(
    fleet: Anchorage, offset: str, off: int
) -> None:
    before, committed = fleet.digests(), fleet.committed()

    told = run_by_another_clock(fleet, offset)

    assert "nothing was pruned" in told
    assert "clock is" in told
    assert before.items() <= fleet.digests().items()
    manifest = new_manifest(fleet, committed)
    age = clock.utc_now() - manifest.data_timestamp
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=2), "the data is dated by the database's clock"
    assert manifest.day == fleet.ship.catalog().entries[0].manifest.day
    assert abs((manifest.committed_at - manifest.data_timestamp).days - off) <= 1
    assert 0 <= manifest.timings["data_path"] < 60_000
    assert "clock-skew" in {finding.code for finding in manifest.findings}
    fleet.prove(manifest.backup_id)


def test_the_run_after_one_by_a_slow_clock_is_good_and_green(fleet: Anchorage) -> None:
    run_by_another_clock(fleet, "-400d")

    prove_the_next_run_is_good(fleet, greedy(fleet))


def test_a_clock_that_jumps_back_while_a_run_dumps_costs_no_backup(fleet: Anchorage) -> None:
    before, committed = fleet.digests(), fleet.committed()

    told = run_by_another_clock(fleet, "+0", jump="-1h")

    assert "nothing was pruned" in told
    assert "dated in the future" in told
    assert before.items() <= fleet.digests().items()
    manifest = new_manifest(fleet, committed)
    assert manifest.committed_at < manifest.data_timestamp
    assert 0 <= manifest.timings["data_path"] < 60_000
    prove_the_next_run_is_good(fleet, greedy(fleet))

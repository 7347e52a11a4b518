"""Trees of files: Lifeboat against restic, borg, and tar by hand, to the same OpenSSH server, in one run.

``python -m benchmarks.files [--case small]``; prints a table and writes ``.benchmark/files-<case>.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import trees
from benchmarks.file_sailor import Orders
from benchmarks.measure import Command, CommandFailed, Measured, idle_memory, measure
from benchmarks.nas import HOST, Nas, running_nas
from lifeboat import clock
from lifeboat.adapters.postgres_cluster import free_port
from lifeboat.stages.keygen import AgeKeyPair, new_identity, new_signing_key

STEPS = ("first", "second", "restore", "one folder")
_SSH = f'ssh -F "$SSH_CONFIG" {HOST}'
_RESTIC = f'restic --quiet --option sftp.command="ssh -F $SSH_CONFIG {HOST} -s sftp"'
_TAR = 'tar --create --directory="$TREE" . | zstd -1 --quiet | age -r "$OPERATIONS" -r "$ESCROW" | '
_UNTAR = (
    f'mkdir "$INTO"; {_SSH} "cat \'$FOLDER/tree.age\'" | age --decrypt -i "$IDENTITY" | zstd -d --quiet '
    '| tar --extract --directory="$INTO"'
)

BY_HAND = {
    "restic": {
        "prepare": f"{_RESTIC} init",
        # --read-concurrency and compression as they come
        "first": f'cd "$TREE"; {_RESTIC} backup .',
        "second": f'cd "$TREE"; {_RESTIC} backup .',
        "restore": f'{_RESTIC} restore latest --target "$INTO"',
        "one folder": f'{_RESTIC} restore latest --include "/$ONE" --target "$INTO"',
    },
    "borg": {
        "prepare": 'borg init --encryption=repokey-blake2 "$BORG_REPO"',
        "first": 'cd "$TREE"; borg create --compression zstd,1 ::first .',
        "second": 'cd "$TREE"; borg create --compression zstd,1 ::second .',
        "restore": 'mkdir "$INTO"; cd "$INTO"; borg extract ::second',
        "one folder": 'mkdir "$INTO"; cd "$INTO"; borg extract ::second "$ONE"',
    },
    "tar | zstd -1 | age | ssh": {
        "first": _TAR + f"{_SSH} \"cat > '$FOLDER/tree.age'\"",
        "second": _TAR + f"{_SSH} \"cat > '$FOLDER/tree.age'\"",
        "restore": _UNTAR,
        "one folder": _UNTAR + ' "./$ONE"',
    },
}
LIFEBOAT = "Lifeboat"
SETTLING = 3
"""Seconds between the last change and the first contestant: Lifeboat sends files of the last two seconds once more."""


@dataclass(frozen=True)
class Trial:
    """One step of one contestant; bytes as the relay counted them, 0 where there was none; ``stored`` what its folder
    then holds."""

    contestant: str
    step: str
    seconds: float
    processor: float
    sent: int
    received: int
    stored: int
    memory: dict[str, int]


@dataclass(frozen=True)
class Course:
    """One tree, one store, the same recipients for all who use age.

    What is sent is counted by a relay in front of the store. It costs a fifteenth of the processor time of a contestant
    that reads back all it sent, so nobody is timed through it.
    """

    case: trees.Case
    scale: float
    scratch: Path
    nas: Nas
    relay: subprocess.Popen[str]
    ports: tuple[int, int]
    """Of the relay, and of the store itself."""
    operations: AgeKeyPair = field(default_factory=new_identity, repr=False)
    escrow: AgeKeyPair = field(default_factory=new_identity, repr=False)
    index: AgeKeyPair = field(default_factory=new_identity, repr=False)
    signing_key: str = field(default_factory=lambda: new_signing_key().private_pem, repr=False)

    @property
    def tree(self) -> Path:
        return self.scratch / "tree"

    def go_through_relay(self, relay: bool) -> None:
        self.nas.port = self.ports[0] if relay else self.ports[1]
        self.nas.write_files()

    def round(self, number: int, contestants: list[str]) -> Iterator[Trial]:
        """Everybody's first backup, then a day of changes, then the rest; each round begins with another contestant."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir()
        trees.make(self.case, self.tree, self.scale)
        clock.sleep(SETTLING)
        turn = contestants[number % len(contestants) :] + contestants[: number % len(contestants)]
        folders = {name: self.nas.new_folder(f"{place}-{number}") for place, name in enumerate(turn)}
        for name in turn:
            if prepare := BY_HAND.get(name, {}).get("prepare"):
                measure(self.by_hand(prepare, folders[name]))
        for step in STEPS:
            if step == "second":
                trees.a_day(self.case, self.tree, self.scale)
                clock.sleep(SETTLING)
            for name in turn:
                yield self.trial(name, step, folders[name])
        shutil.rmtree(self.nas.folder)

    def trial(self, name: str, step: str, folder: Path) -> Trial:
        into = self.scratch / "into"
        shutil.rmtree(into, ignore_errors=True)
        os.sync()
        command = self.sail(step, folder) if name == LIFEBOAT else self.by_hand(BY_HAND[name][step], folder)
        before = self.counted()
        measured = measure(command)
        after = self.counted()
        if step in STEPS[2:]:
            self.compare(name, into, trees.one_folder(self.tree) if step == "one folder" else self.tree)
        seconds = _own_seconds(measured)
        print(f"  {step}, {name}: {seconds:.1f} s", flush=True)
        stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return Trial(
            contestant=name,
            step=step,
            seconds=seconds,
            processor=measured.processor,
            sent=after[0] - before[0],
            received=after[1] - before[1],
            stored=stored,
            memory=measured.memory,
        )

    def counted(self) -> tuple[int, int]:
        assert self.relay.stdin is not None
        assert self.relay.stdout is not None
        self.relay.stdin.write("\n")
        self.relay.stdin.flush()
        sent, received = self.relay.stdout.readline().split()
        return int(sent), int(received)

    def compare(self, name: str, into: Path, original: Path) -> None:
        """What came back is what there is; raises ``CommandFailed`` when a name or a size is not."""
        restored = into / original.name if original != self.tree else into
        pairs = filecmp.dircmp(original, restored)
        wrong = [*pairs.left_only, *pairs.right_only, *pairs.funny_files]
        for below in pairs.subdirs.values():
            wrong += [*below.left_only, *below.right_only, *below.diff_files]
        if wrong or pairs.diff_files:
            raise CommandFailed(f"{name} did not bring everything back: {wrong[:5]}")

    def by_hand(self, line: str, folder: Path) -> Command:
        environment = {
            "TREE": str(self.tree),
            "INTO": str(self.scratch / "into"),
            "ONE": trees.one_folder(self.tree).name,
            "FOLDER": str(folder),
            "SSH_CONFIG": str(self.nas.ssh_config),
            "OPERATIONS": self.operations.recipient,
            "ESCROW": self.escrow.recipient,
            "IDENTITY": str(self.scratch / "identity"),
            "RESTIC_REPOSITORY": f"sftp:{HOST}:{folder}/repository",
            "RESTIC_PASSWORD": self.escrow.identity,
            "RESTIC_CACHE_DIR": str(self.scratch / "restic-cache"),
            "BORG_REPO": f"ssh://{HOST}{folder}/repository",
            "BORG_RSH": f"ssh -F {self.nas.ssh_config}",
            "BORG_PASSPHRASE": self.escrow.identity,
            "BORG_BASE_DIR": str(self.scratch / "borg"),
        }
        return Command(("bash", "-c", f"set -euo pipefail; {line}"), environment)

    def sail(self, step: str, folder: Path) -> Command:
        orders = Orders(
            tree=str(self.tree),
            folder=str(self.scratch),
            into=str(self.scratch / "into"),
            only=trees.one_folder(self.tree).name if step == "one folder" else "",
            store=self.nas.settings(folder),
            signing_key=self.signing_key,
            recipients=[self.operations.recipient, self.escrow.recipient],
            identity=self.operations.identity,
            index_recipient=self.index.recipient,
            index_identity=self.index.identity,
        )
        verb = "restore" if step in STEPS[2:] else "backup"
        return Command(
            (sys.executable, "-m", "benchmarks.file_sailor", verb),
            text=json.dumps(dataclasses.asdict(orders)),
        )


def _own_seconds(measured: Measured) -> float:
    """Lifeboat's worker is already running when a backup is due: what counts is the time of its stages."""
    if measured.output.startswith("{"):
        return float(json.loads(measured.output)["stages"])
    return measured.seconds


@contextmanager
def _course(case: trees.Case, scale: float, scratch: Path | None) -> Iterator[Course]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeboat-files-", dir=scratch)))
        folder.chmod(0o755)
        nas = stack.enter_context(running_nas(folder / "nas"))
        ports = free_port(), nas.port
        relay = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.relay", *map(str, ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert relay.stdout is not None
        relay.stdout.readline()
        stack.callback(relay.wait)
        stack.callback(relay.terminate)
        course = Course(case, scale, folder, nas, relay, ports)
        (folder / "identity").touch(mode=0o600)
        (folder / "identity").write_text(course.operations.identity + "\n")
        yield course


def _trials(course: Course, rounds: int, contestants: list[str]) -> Iterator[Trial]:
    """Of ``rounds`` rounds straight to the store, with the bytes of one before them through the relay."""
    print("counting bytes, not timed", flush=True)
    course.go_through_relay(True)
    counted = {(trial.contestant, trial.step): trial for trial in course.round(rounds, contestants)}
    course.go_through_relay(False)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        for trial in course.round(number, contestants):
            bytes_of = counted[trial.contestant, trial.step]
            yield dataclasses.replace(trial, sent=bytes_of.sent, received=bytes_of.received)


def report(trials: list[Trial], idle: dict[str, int]) -> None:
    """Best time of each step, and its ratio to restic's."""
    console = Console(width=max(Console().width, 110), highlight=False)
    for step in STEPS:
        table = Table(title=f"{step}; ratio = time / restic's")
        for heading in (
            "",
            "min s",
            "ratio",
            "CPU s",
            "sent MB",
            "received MB",
            "stored MB",
            "largest process",
        ):
            table.add_column(heading, justify="left" if heading in ("", "largest process") else "right")
        best = _best(trials, step)
        for name, trial in best.items():
            program, peak = max(trial.memory.items(), key=lambda item: item[1], default=("", 0))
            ratio = f"{trial.seconds / best['restic'].seconds:.2f}" if "restic" in best else "–"
            table.add_row(
                name,
                f"{trial.seconds:.2f}",
                ratio,
                f"{trial.processor:.1f}",
                *(f"{count / 1e6:.1f}" for count in (trial.sent, trial.received, trial.stored)),
                f"{program} {peak / 2**20:.0f} MiB",
            )
        console.print(table)
    for name, size in idle.items():
        peak = max((trial.memory.get(name, 0) for trial in trials), default=0)
        console.print(
            f"{name}: {size / 2**20:.0f} MiB with its imports, at most {peak / 2**20:.0f} MiB at work"
        )


def _best(trials: list[Trial], step: str) -> dict[str, Trial]:
    of_step = sorted((trial for trial in trials if trial.step == step), key=lambda trial: -trial.seconds)
    return {trial.contestant: trial for trial in of_step}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__)
    parser.add_argument("--case", choices=trees.CASES, default="documents")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 1.9 GB, or 200,000 files")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--scratch", type=Path, help="where tree, store and spool lie; needs about 12 GB at scale 1"
    )
    parser.add_argument(
        "--only", action="append", choices=[LIFEBOAT, *BY_HAND], help="these contestants alone"
    )
    parser.add_argument("--output", type=Path, default=Path(".benchmark"), help="folder of the JSON file")
    choice = parser.parse_args()
    there = [name for name in BY_HAND if shutil.which(name.split()[0])]
    with _course(trees.CASES[choice.case], choice.scale, choice.scratch) as course:
        trials = list(_trials(course, choice.rounds, choice.only or [LIFEBOAT, *there]))
    modules = (
        "benchmarks.file_sailor",
        *(f"lifeboat.adapters.{name}_child" for name in ("sealing", "transfer", "loading")),
    )
    idle = {f"python -m {module}": idle_memory(module) for module in modules}
    choice.output.mkdir(parents=True, exist_ok=True)
    told = {
        "case": choice.case,
        "scale": choice.scale,
        "idle": idle,
        "trials": [dataclasses.asdict(t) for t in trials],
    }
    (choice.output / f"files-{choice.case}.json").write_text(json.dumps(told, indent=2) + "\n")
    report(trials, idle)


if __name__ == "__main__":
    main()

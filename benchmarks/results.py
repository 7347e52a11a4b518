"""From trials to a table: medians, minima, ratios, and what the numbers were taken on."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured
from lifeboat.adapters.postgres import find_program


@dataclass(frozen=True)
class Trial:
    """One contestant's backup or restore. ``own`` is what it measured itself, in seconds; ``stored`` in bytes."""

    kind: str
    key: str
    label: str
    measured: Measured
    own: dict[str, float] = field(default_factory=dict)
    stored: int = 0

    def times(self) -> dict[str, float]:
        """Seconds by label. Lifeboat's worker is already running when a backup is due, so what compares with a
        shell line is the time of its stages; the process with its imports is shown as well."""
        if not self.own:
            return {self.label: self.measured.seconds}
        data_path = {f"{self.label}, data path": self.own["data_path"]} if "data_path" in self.own else {}
        return {
            **data_path,
            f"{self.label}, all stages": self.own["stages"],
            f"{self.label}, process": self.measured.seconds,
        }


def summary(trials: Sequence[Trial], idle: Mapping[str, int]) -> list[dict[str, Any]]:
    """A row for each kind and label; ``ratio`` is its median over the median of Lifeboat's stages."""
    rows = []
    for kind in ("backup", "restore"):
        of_kind = [trial for trial in trials if trial.kind == kind]
        first = {trial.key: trial for trial in of_kind}
        medians: dict[str, float] = {}
        for key, example in first.items():
            same = [trial for trial in of_kind if trial.key == key]
            for label in example.times():
                seconds = [round(trial.times()[label], 3) for trial in same]
                medians[label] = statistics.median(seconds)
                rows.append(
                    {"kind": kind, "label": label, "key": key, "seconds": seconds, **_shared(same, idle)}
                )
        reference = next(median for label, median in medians.items() if label.endswith(", all stages"))
        for row in rows:
            if row["kind"] == kind:
                row["median"] = medians[row["label"]]
                row["minimum"] = min(row["seconds"])
                row["ratio"] = round(row["median"] / reference, 3)
    return rows


def _shared(same: Sequence[Trial], idle: Mapping[str, int]) -> dict[str, Any]:
    """What all rows of one contestant have in common."""
    programs = {name for trial in same for name in trial.measured.memory}
    memory = {name: max(trial.measured.memory.get(name, 0) for trial in same) for name in sorted(programs)}
    beyond = {name: peak - idle[name] for name, peak in memory.items() if name in idle}
    return {
        "stored_bytes": statistics.median_low([trial.stored for trial in same]),
        "processor_seconds": round(statistics.median([trial.measured.processor for trial in same]), 2),
        "peak_memory": memory,
        "peak_memory_beyond_imports": beyond,
    }


def machine(folder: Path, settings: Mapping[str, str], major: int) -> dict[str, Any]:
    """What the numbers were taken on; ``load_average`` tells whether the machine was quiet."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "filesystem": _filesystem(folder),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "tools": _tools(major),
        "postgresql_settings": dict(settings),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _filesystem(folder: Path) -> str:
    """The type of the file system that holds everything: where the folder's longest mount point says it is."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _tools(major: int) -> dict[str, str]:
    commands = {
        "postgresql": [find_program("postgres", major), "--version"],
        "age": ["age", "--version"],
        "zstd": ["zstd", "--version"],
        "restic": ["restic", "version"],
        "ssh": ["ssh", "-V"],
    }
    found = {name: _first_line(argv) for name, argv in commands.items() if shutil.which(argv[0])}
    return {"python": platform.python_version(), **found}


def _first_line(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def report(found: Mapping[str, Any]) -> None:
    """What a reader wants first; everything else is in the JSON file."""
    console = Console(width=max(Console().width, 110), highlight=False)
    host = found["machine"]
    console.print(
        f"\n{host['processor']}, {host['cores']} cores, {host['memory_bytes'] / 2**30:.0f} GiB, "
        f"{host['filesystem']}, load {host['load_average'][0]} at the start; {host['tools']['postgresql']}"
    )
    for kind in ("backup", "restore"):
        table = Table(
            title=f"{kind}: {found['case']}, scale {found['scale']:g}, {found['rounds']} rounds; "
            "ratio = median / median of Lifeboat's stages"
        )
        for heading in ("", "median s", "min s", "ratio", "CPU s", "stored MB", "largest process"):
            left = heading in ("", "largest process")
            table.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for row in found["results"]:
            if row["kind"] == kind:
                table.add_row(*_cells(row))
        console.print(table)
    for name, peak in found["idle_memory"].items():
        beyond = [row["peak_memory_beyond_imports"].get(name, 0) for row in found["results"]]
        console.print(
            f"{name}: {peak / 2**20:.0f} MiB of imports, at most {max(beyond) / 2**20:.0f} MiB beyond"
        )


def _cells(row: Mapping[str, Any]) -> list[str]:
    program, peak = max(row["peak_memory"].items(), key=lambda item: item[1], default=("", 0))
    return [
        row["label"],
        f"{row['median']:.2f}",
        f"{row['minimum']:.2f}",
        f"{row['ratio']:.2f}",
        f"{row['processor_seconds']:.1f}",
        f"{row['stored_bytes'] / 1e6:.2f}" if row["stored_bytes"] else "",
        f"{program.rpartition('.')[2]} {peak / 2**20:.0f} MiB",
    ]

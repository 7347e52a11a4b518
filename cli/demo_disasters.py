"""What goes wrong in the demo, and how it is brought back: a table, a folder, everything elsewhere, and without us."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from cli.demo_data import DATABASES
from cli.demo_files import difference
from cli.demo_told import console, say, show_command, type_command
from lifeboat import clock
from lifeboat.adapters.postgres import PostgresServer, conninfo
from lifeboat.adapters.recovery_script import missing_tools, recovery_script
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_outcome import RestoreOutcome

MAJOR = 18
ELSEWHERE = "demo-elsewhere"
"""The postgres-server block of another server, with nothing on it."""
TABLE = 'sales."Order lines; -- all"'
FOLDER = "customer-07"
SHOWN = 12
"""Digits of a SHA-256 on the screen; all are compared."""


@dataclass(frozen=True)
class Coast:
    """Where the demo lives. ``trees`` are the live folders by source; what comes back goes below ``folder``."""

    live: PostgresServer
    elsewhere: PostgresServer
    trees: dict[str, Path]
    keys: Path
    store: Path
    folder: Path
    policy: str

    @property
    def documents(self) -> Path:
        return self.trees["main/documents"]


def all_disasters(coast: Coast) -> None:
    """Raises ``RestoreFailed`` when anything that came back is not what it was."""
    before = {name: logical_dump(coast.live, name) for name in DATABASES}
    dropped_table(coast, before["shop"])
    deleted_folder(coast)
    everything_elsewhere(coast, before)
    without_lifeboat(coast, before["fleet"])


def dropped_table(coast: Coast, before: str) -> None:
    """The table comes back into a database of its own; from there its owner takes it."""
    with coast.live.connect("shop") as session:
        session.execute(f"DROP TABLE {TABLE}".encode())
    say(f"Somebody dropped the table {TABLE} of shop. It comes back beside the live database:")
    type_command(
        "restore", "demo", "main/databases", "--target", "demo-main-databases", "--database", "shop",
        "--table", "sales.Order lines; -- all", "--as", "lost table", "--yes",
    )  # fmt: skip
    _copy_table(coast.live, "lost table", "shop")
    if logical_dump(coast.live, "shop") != before:
        raise RestoreFailed("shop is not what it was before its table was dropped.")
    say("Copied into shop with pg_dump and pg_restore: its dump is what it was before, to the byte.")


def _copy_table(server: PostgresServer, source: str, target: str) -> None:
    environment = server.environment()
    dump = [server.program("pg_dump", MAJOR), "--format=custom", f"--table={TABLE}"]
    load = [server.program("pg_restore", MAJOR), "--exit-on-error"]
    archive = subprocess.run(
        [*dump, f"--dbname={conninfo(source)}"], env=environment, stdout=subprocess.PIPE, check=True
    ).stdout
    subprocess.run([*load, f"--dbname={conninfo(target)}"], env=environment, input=archive, check=True)


def deleted_folder(coast: Coast) -> None:
    """The folder comes back beside the live ones, is looked at, and moved to its place."""
    lost, kept = coast.documents / FOLDER, coast.folder / "kept aside"
    lost.rename(kept)  # the demo compares with it; the live tree has lost it
    say(f"Somebody deleted the folder {FOLDER} of the documents. It comes back into a folder of its own:")
    target = coast.folder / "lost folder"
    type_command("restore", "demo", "main/documents", "--path", f"{FOLDER}/**", "--to", str(target), "--yes")
    shutil.move(target / FOLDER, lost)
    if unlike := difference(kept, lost, but=".tmp"):
        raise RestoreFailed(f"Restored files differ from their originals: {', '.join(unlike)}")
    shutil.rmtree(kept)
    say("Moved to its place: contents, names to the byte, modes, times and links are what they were.")


def everything_elsewhere(coast: Coast, before: dict[str, str]) -> None:
    """Databases with their roles on another server, files in another folder, all of one recovery point."""
    from flows.restore import restore

    say("The building burns. One recovery point of the whole environment, on another server and disk:")
    target = coast.folder / "elsewhere"
    outcomes = restore("demo", server=ELSEWHERE, folder=str(target), with_roles=True, policy=coast.policy)
    table = Table("object", "restored as", "the original", "the restored", "verdict")
    equal = True
    for outcome in outcomes:
        found, wanted = _digests(coast, outcome, before)
        equal = equal and found == wanted
        verdict = "equal" if found == wanted else "DIFFERENT"
        table.add_row(outcome.what, Path(outcome.target).name, wanted[:SHOWN], found[:SHOWN], verdict)
    console.print(table)
    if not equal:
        raise RestoreFailed("What was restored elsewhere differs from its original.")
    say(f"{len(outcomes)} objects in {sum(outcome.seconds for outcome in outcomes):.1f} s.")


def without_lifeboat(coast: Coast, before: str) -> None:
    """A database by recovery/restore.sh: standard tools, the copy and the keys from escrow; nothing of ours."""
    if missing := missing_tools():
        say(f"Without Lifeboat: not shown, since this machine has no {', '.join(missing)}.")
        return
    say("Lifeboat itself is gone. recovery/restore.sh and the identity from escrow bring fleet back:")
    server = coast.elsewhere
    programs = Path(server.program("psql", MAJOR)).parent
    command = ["sh", str(recovery_script()), "database", "main/databases", "fleet", "fleet"]
    show_command(*command)
    environment = server.environment() | {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "LIFEBOAT_FOLDER": str(coast.store),
        "LIFEBOAT_ENVIRONMENT": "demo",
        "LIFEBOAT_PUBLIC_KEYS": str(coast.keys / "signing.pem"),
        "LIFEBOAT_IDENTITY_FILE": str(coast.keys / "escrow.identity"),
    }
    watch = clock.Stopwatch()
    subprocess.run(command, env=environment, check=True)
    if logical_dump(server, "fleet") != before:
        raise RestoreFailed("fleet differs from its original after it was restored without Lifeboat.")
    say(
        f"Equal to the byte, in {watch.seconds():.1f} s, by age, zstd, jq, openssl, psql and pg_restore alone."
    )


def logical_dump(server: PostgresServer, database: str) -> str:
    """SHA-256 of everything pg_dump says about a database: schema, rows, owners, grants, large objects."""
    argv = [server.program("pg_dump", MAJOR), "--no-password", f"--dbname={conninfo(database)}"]
    dump = subprocess.run(
        [*argv, "--restrict-key=demo"], env=server.environment(), stdout=subprocess.PIPE, check=True
    ).stdout
    return hashlib.sha256(dump).hexdigest()


def _digests(coast: Coast, outcome: RestoreOutcome, before: dict[str, str]) -> tuple[str, str]:
    """What came back, and what it was; files as how many differ."""
    if outcome.what in before:
        return logical_dump(coast.elsewhere, outcome.target), before[outcome.what]
    original = coast.trees[outcome.source]
    unlike = difference(original, Path(outcome.target), but=".tmp")
    files = f"{outcome.files} files"
    return (f"{len(unlike)} of them differ" if unlike else files), files

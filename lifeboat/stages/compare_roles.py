"""Compare: are a sandbox's roles, their attributes and their memberships those of the backup (P7)?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.model.index import Index
from lifeboat.model.roles_script import role_statements
from lifeboat.stages.compare import Difference, run_program
from lifeboat.stages.dump import globals_command
from lifeboat.stages.private_folder import private_folder

_OWN: Final = "postgres"
"""The bootstrap role of a sandbox's server; what the source says of one of that name was left out."""
_CODES: Final = {"CREATE": "role", "GRANT": "membership"}


def compare_roles(index: Index, loader: Loader, server: PostgresServer) -> list[Difference]:
    """Every statement about a role that pg_dumpall says of one and not of the other. Raises ``SourceError``."""
    with private_folder() as folder:
        path = folder / "roles.sql"
        loader.file(index.part(index.globals_part), path)
        expected = _statements(path.read_text(), index.bootstrap_role)
    dumped = run_program(globals_command(server, index.server_major), server)
    found = _statements(dumped.decode(errors="surrogateescape"), _OWN)
    return [*_told(expected - found, "missing"), *_told(found - expected, "additional")]


def _statements(script: str, bootstrap: str) -> set[str]:
    wanted, _ = role_statements(script, existing={_OWN}, bootstrap=bootstrap)
    return {statement.text for statement in wanted}


def _told(statements: set[str], what: str) -> Iterator[Difference]:
    for text in sorted(statements):
        code = _CODES.get(text.split(" ", 1)[0], "role-attribute")
        yield Difference(f"{code}-{what}", text)

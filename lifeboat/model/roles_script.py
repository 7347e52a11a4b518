"""The roles of a server, as pg_dumpall wrote them: cut into statements, and fitted to another server.

Never given to psql (F54): each statement is sent by itself, so that a role which exists already is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""--[^\n]*                     # comment
      | \\(?:un)?restrict\b[^\n]*    # psql's own, never inside quotes
      | E'(?:[^'\\]|\\.|'')*'        # string with escapes
      | '(?:[^']|'')*'               # string
      | "(?:[^"]|"")*"               # identifier
      | ;
      | [^-'";E\\]+ | .""",
    re.VERBOSE | re.DOTALL,
)
_IDENTIFIER = r'("(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'


@dataclass(frozen=True)
class RoleStatement:
    """One SQL statement and the role it is about (empty when it is about none)."""

    text: str
    role: str


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, without comments and without psql's own ``\\restrict`` lines."""
    statement = ""
    for match in _TOKEN.finditer(script):
        piece = match[0]
        if piece == ";":
            if statement.strip():
                yield statement.strip()
            statement = ""
        elif not piece.startswith(("--", "\\")):
            statement += piece


def role_statements(
    script: str, *, existing: Collection[str], bootstrap: str
) -> tuple[list[RoleStatement], list[str]]:
    """The statements to run on a server that has the ``existing`` roles, and the roles that are left as they are.

    Roles that exist keep their attributes and settings: a restore must not change who may do what on a server
    that lives. Memberships are granted by whoever restores: ``GRANTED BY`` needs the old server's bootstrap
    role (sources §4.2).
    """
    wanted, left = [], []
    for text in split_statements(script):
        role = _role_of(text)
        if role is None or re.match(r"SET\b", text):
            continue
        if role in existing or role == bootstrap:
            left.append(role)
        else:
            wanted.append(RoleStatement(re.sub(rf"\s+GRANTED BY {_IDENTIFIER}$", "", text), role))
    return wanted, sorted(set(left))


_ATTRIBUTES = re.compile(
    rf"(?P<head>ALTER ROLE {_IDENTIFIER} WITH )(?P<words>[A-Z ]+)(?P<rest>.*)", re.DOTALL
)
_SUPERUSERS = ("SUPERUSER", "REPLICATION", "BYPASSRLS")


def without_superuser(statement: RoleStatement) -> tuple[RoleStatement, list[str]]:
    """The statement as somebody may run it who is no superuser, and the attributes that it gives no more.

    A managed server has no superuser, and refuses even to hear that a new role is none (sources §4.2).
    """
    match = _ATTRIBUTES.fullmatch(statement.text)
    if match is None:
        return statement, []
    words = match["words"].split()
    lost = [word for word in words if word in _SUPERUSERS]
    refused = {*_SUPERUSERS, *(f"NO{word}" for word in _SUPERUSERS)}
    kept = " ".join(word for word in words if word not in refused)
    text = f"{match['head']}{kept} {match['rest']}".rstrip()
    return RoleStatement(text, statement.role), lost


def _role_of(text: str) -> str | None:
    for pattern in (
        rf"(?:CREATE|ALTER) ROLE {_IDENTIFIER}",
        rf"COMMENT ON ROLE {_IDENTIFIER}",
        rf"GRANT {_IDENTIFIER} TO {_IDENTIFIER}",
        rf"GRANT [A-Z, ]+ ON PARAMETER {_IDENTIFIER} TO (?!PUBLIC\b){_IDENTIFIER}",
    ):
        if match := re.match(pattern, text):
            return _unquoted(match[match.lastindex or 1])
    return None


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name

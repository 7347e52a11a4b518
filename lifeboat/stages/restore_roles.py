"""Restore of roles: those of the backup that the server lacks; existing ones are left as they are."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql

from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer, Session
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_plan import RestorePlan
from lifeboat.model.roles_script import RoleStatement, role_statements, without_superuser
from lifeboat.stages.private_folder import private_folder


def restore_roles(plan: RestorePlan, loader: Loader, server: PostgresServer) -> list[str]:
    """Create the roles of the backup that the server lacks, so that this account may give them what is theirs.

    Returns findings, among them what a server without superusers does not allow; raises ``RestoreFailed``.
    """
    part = plan.index.part(plan.index.globals_part)
    with private_folder() as folder, server.connect() as session:
        path = folder / "roles.sql"
        loader.file(part, path)
        existing = {str(row[0]) for row in session.execute("SELECT rolname FROM pg_roles").fetchall()}
        wanted, left = role_statements(
            path.read_text(), existing=existing, bootstrap=plan.index.bootstrap_role
        )
        created = sorted({statement.role for statement in wanted} - existing)
        findings = list(_run_all(session, wanted))
        if not _is_superuser(session):
            _join(session, created)
    findings += [f"role {name!r} was created without a password: issue a new one" for name in created]
    return findings + ([f"roles that existed were left as they are: {', '.join(left)}"] if left else [])


def _is_superuser(session: Session) -> bool:
    row = session.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(row and row[0])


def _run_all(session: Session, statements: list[RoleStatement]) -> Iterator[str]:
    """Run them; yields what could not be done without a superuser."""
    superuser = _is_superuser(session)
    for statement in statements:
        fitted, lost = (statement, list[str]()) if superuser else without_superuser(statement)
        if lost:
            yield f"role {statement.role!r} is not {' and '.join(lost)} here: that takes a superuser"
        try:
            session.execute(fitted.text.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            if superuser or statement.text.startswith("CREATE ROLE"):
                raise _failed(statement, error) from None
            yield f"role {statement.role!r}: {' '.join(str(error).split())}"
        except psycopg.Error as error:
            raise _failed(statement, error) from None


def _failed(statement: RoleStatement, error: psycopg.Error) -> RestoreFailed:
    return RestoreFailed(f"Role {statement.role!r}: {' '.join(str(error).split())}")


def _join(session: Session, created: list[str]) -> None:
    """Become a member of what was created: only members may give an object to a role.

    From PostgreSQL 16 on, whoever creates a role may administer it, and is no member by that.
    """
    options = " WITH INHERIT TRUE, SET TRUE" if session.info.server_version >= 160_000 else ""
    for name in created:
        try:
            session.execute(
                sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(name)) + sql.SQL(options)
            )
        except psycopg.Error as error:
            raise RestoreFailed(f"Role {name!r}: {' '.join(str(error).split())}") from None

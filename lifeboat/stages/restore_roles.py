"""Restore of roles: those of the backup that the server lacks; existing ones are left as they are."""

from __future__ import annotations

import psycopg

from lifeboat.adapters.loading import Loader
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.errors import RestoreFailed
from lifeboat.model.restore_plan import RestorePlan
from lifeboat.model.roles_script import role_statements
from lifeboat.stages.private_folder import private_folder


def restore_roles(plan: RestorePlan, loader: Loader, server: PostgresServer) -> list[str]:
    """Create the roles of the backup that the server lacks. Returns findings; raises ``RestoreFailed``."""
    part = plan.index.part(plan.index.globals_part)
    with private_folder() as folder, server.connect() as session:
        path = folder / "roles.sql"
        loader.file(part, path)
        existing = {str(row[0]) for row in session.execute("SELECT rolname FROM pg_roles").fetchall()}
        wanted, left = role_statements(
            path.read_text(), existing=existing, bootstrap=plan.index.bootstrap_role
        )
        for statement in wanted:
            try:
                session.execute(statement.text.encode())
            except psycopg.Error as error:
                raise RestoreFailed(f"Role {statement.role!r}: {' '.join(str(error).split())}") from None
    created = sorted({statement.role for statement in wanted} - existing)
    findings = [f"role {name!r} was created without a password: issue a new one" for name in created]
    return findings + ([f"roles that existed were left as they are: {', '.join(left)}"] if left else [])

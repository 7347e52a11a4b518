"""A drill's eye for roles: who there is, what each may do, and whose member each is (P7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.harbour import NEWEST, Harbour, make_ship, run
from support.postgres import MAJORS
from support.sailing import Ship
from support.servers import FixedPassword

from lifeboat.stages.compare_roles import compare_roles

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not NEWEST, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module", params=MAJORS)
def ship(
    request: pytest.FixtureRequest, harbour: Harbour, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ship]:
    server = FixedPassword.of(harbour.cluster(request.param))
    run(
        server,
        "postgres",
        """CREATE ROLE office NOLOGIN; CREATE ROLE clerk LOGIN IN ROLE office; CREATE ROLE "head of; all" CREATEDB;
           GRANT office TO "head of; all" WITH ADMIN OPTION; COMMENT ON ROLE clerk IS 'works';
           ALTER ROLE clerk SET work_mem = '8MB'""",
    )
    run(server, "postgres", "CREATE DATABASE shop OWNER clerk")
    run(server, "shop", "CREATE TABLE t AS SELECT 1 AS n")
    made = make_ship(server, tmp_path_factory.mktemp("roles"), "shop")
    made.backup()
    yield made
    harbour.clean()


@pytest.mark.parametrize(
    ("done", "undone", "codes"),
    [
        ("SELECT 1", "SELECT 1", []),
        ("CREATE ROLE stranger", "DROP ROLE stranger", ["role-additional", "role-attribute-additional"]),
        ("REVOKE office FROM clerk", "GRANT office TO clerk", ["membership-missing"]),
        (
            'GRANT "head of; all" TO clerk',
            'REVOKE "head of; all" FROM clerk',
            ["membership-additional"],
        ),
        (
            'REVOKE ADMIN OPTION FOR office FROM "head of; all"',
            'GRANT office TO "head of; all" WITH ADMIN OPTION',
            ["membership-additional", "membership-missing"],
        ),
        (
            'ALTER ROLE "head of; all" NOCREATEDB',
            'ALTER ROLE "head of; all" CREATEDB',
            ["role-attribute-additional", "role-attribute-missing"],
        ),
        ("ALTER ROLE clerk RESET work_mem", "ALTER ROLE clerk SET work_mem = '8MB'", ["role-attribute-missing"]),
        ("COMMENT ON ROLE clerk IS NULL", "COMMENT ON ROLE clerk IS 'works'", ["role-attribute-missing"]),
    ],
)  # fmt: skip
def test_whatever_a_role_is_or_may_is_told_apart(
    ship: Ship, done: str, undone: str, codes: list[str]
) -> None:
    run(ship.server, "postgres", done)
    try:
        with ship.loader() as loader:
            found = compare_roles(ship.open(), loader, ship.server)
    finally:
        run(ship.server, "postgres", undone)
    assert sorted({difference.code for difference in found}) == codes, found

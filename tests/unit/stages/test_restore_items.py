"""What a restore says of itself before anything is done."""

from __future__ import annotations

from typing import Any

import pytest
from support.examples import database, index, manifest, table

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.model.restore_plan import plan_restore
from lifeboat.stages.restore_items import ServerItem

INDEX = index(
    database("shop", table("orders", 4), table("items", 5), schema_part=2, rest_part=3),
    database("fleet", table("ships", 8), schema_part=6, rest_part=7),
)


@pytest.mark.parametrize("wishes", [{}, {"databases": ["shop"], "tables": ["public.items"]}])
def test_plan_tells_all_that_will_be_fetched(wishes: dict[str, Any]) -> None:
    plan = plan_restore(manifest(1), INDEX, **wishes)
    server = PostgresServer(host="127.0.0.1", port=1, user="nobody", password=str)

    described = ServerItem("main/databases", plan, server, replace=False, notes=()).described()

    assert sum(each.fetch_bytes for each in described) == plan.fetch_bytes

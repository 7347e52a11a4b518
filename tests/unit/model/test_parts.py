"""The plan of parts, lanes and batches: every table once, lanes in balance, batches few."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeboat.model.parts import (
    BATCHES,
    LARGE_TABLE,
    PARTS_PER_BATCH,
    SHARED_PART,
    TABLES_PER_PART,
    PartKind,
    PlannedPart,
    TableSize,
    plan_lanes,
    plan_parts,
)

MIB = 2**20
SIZES = st.integers(0, 200 * MIB) | st.sampled_from([0, 8192, LARGE_TABLE - 1, LARGE_TABLE, LARGE_TABLE + 1])
SERVERS = st.dictionaries(
    st.text(min_size=1, max_size=6),
    st.lists(SIZES, max_size=30).map(lambda sizes: [TableSize(n, size) for n, size in enumerate(sizes)]),
    max_size=6,
)


def tables(*sizes: int) -> list[TableSize]:
    return [TableSize(position, size) for position, size in enumerate(sizes)]


def of_kind(parts: list[PlannedPart], kind: PartKind) -> list[PlannedPart]:
    return [part for part in parts if part.kind is kind]


def test_server_without_databases_has_its_roles_only() -> None:
    assert [part.kind for part in plan_parts({})] == [PartKind.GLOBALS]
    assert plan_parts({}, with_globals=False) == []


def test_database_without_tables_has_schema_and_rest() -> None:
    parts = plan_parts({"empty": []})

    assert [part.kind for part in parts] == [PartKind.GLOBALS, PartKind.SCHEMA, PartKind.REST]
    assert [part.database for part in parts] == ["", "empty", "empty"]


def test_large_table_is_a_part_of_its_own_and_small_ones_share() -> None:
    parts = of_kind(
        plan_parts({"shop": tables(10, LARGE_TABLE, 20, LARGE_TABLE - 1, 3 * LARGE_TABLE)}), PartKind.TABLES
    )

    assert [part.tables for part in parts] == [(1,), (4,), (0, 2, 3)]


def test_shared_part_is_full_at_its_size() -> None:
    half = SHARED_PART // 2 - MIB
    parts = of_kind(plan_parts({"shop": tables(half, half, 2 * MIB, 1)}), PartKind.TABLES)

    assert [part.tables for part in parts] == [(0, 1, 2), (3,)]
    assert parts[0].size == SHARED_PART


def test_shared_part_is_full_at_its_number_of_tables() -> None:
    parts = of_kind(plan_parts({"shop": tables(*[0] * (2 * TABLES_PER_PART + 1))}), PartKind.TABLES)

    assert [len(part.tables) for part in parts] == [TABLES_PER_PART, TABLES_PER_PART, 1]


def test_tables_of_two_databases_never_share_a_part() -> None:
    parts = of_kind(plan_parts({"shop": tables(1, 2), "fleet": tables(3)}), PartKind.TABLES)

    assert [(part.database, part.tables) for part in parts] == [("shop", (0, 1)), ("fleet", (0,))]


@given(SERVERS, st.integers(1, 5000), st.booleans())
def test_every_table_is_in_exactly_one_part_and_every_number_used_once(
    server: dict[str, list[TableSize]], first: int, with_globals: bool
) -> None:
    parts = plan_parts(server, first=first, with_globals=with_globals)

    held = Counter((part.database, position) for part in parts for position in part.tables)
    assert held == Counter((name, table.position) for name, found in server.items() for table in found)
    assert [part.number for part in parts] == list(range(first, first + len(parts)))
    assert len(of_kind(parts, PartKind.GLOBALS)) == with_globals
    for name, found in server.items():
        mine = [part for part in parts if part.database == name]
        assert [part.kind for part in mine[:2]] == [PartKind.SCHEMA, PartKind.REST]
        assert sum(part.size for part in mine[2:]) == sum(table.size for table in found)


@given(SERVERS)
def test_shared_parts_stay_within_their_bounds(server: dict[str, list[TableSize]]) -> None:
    for part in of_kind(plan_parts(server), PartKind.TABLES):
        assert 1 <= len(part.tables) <= TABLES_PER_PART
        assert len(part.tables) == 1 or part.size <= SHARED_PART


@settings(max_examples=150)
@given(SERVERS, st.integers(1, 12), st.integers(1, 50))
def test_lanes_hold_every_part_once_in_few_batches_of_about_equal_load(
    server: dict[str, list[TableSize]], streams: int, batches: int
) -> None:
    parts = plan_parts(server)

    lanes = plan_lanes(parts, streams=streams, batches=batches)

    every = [batch for lane in lanes for batch in lane]
    assert Counter(part.number for batch in every for part in batch.parts) == Counter(p.number for p in parts)
    assert len(lanes) == min(streams, len(parts))
    assert all(batch.parts for batch in every) and all(lanes), "no lane and no batch is empty"
    assert [batch.number for batch in every] == list(range(1, len(every) + 1))
    assert len(every) <= max(batches, len(lanes))
    loads = [sum(batch.size for batch in lane) for lane in lanes]
    assert max(loads) - min(loads) <= max(part.size for part in parts)


def test_lanes_take_their_largest_parts_first() -> None:
    lanes = plan_lanes(plan_parts({"shop": tables(*[n * LARGE_TABLE for n in range(1, 9)])}), streams=2)

    for lane in lanes:
        sizes = [part.size for batch in lane for part in batch.parts]
        assert sizes == sorted(sizes, reverse=True)


def test_empty_tables_spread_over_all_lanes() -> None:
    parts = plan_parts({"shop": tables(*[0] * (9 * TABLES_PER_PART))}, with_globals=False)[2:]

    assert [len(lane[0].parts) for lane in plan_lanes(parts, streams=3)] == [3, 3, 3]


def test_thousand_databases_cost_no_more_batches_than_agreed() -> None:
    parts = plan_parts({f"tenant_{number}": tables(MIB, LARGE_TABLE) for number in range(1000)})

    lanes = plan_lanes(parts, streams=4)

    assert sum(len(lane) for lane in lanes) <= BATCHES
    assert len(parts) == 4001


def test_small_server_keeps_small_batches() -> None:
    lanes = plan_lanes(plan_parts({f"db_{n}": tables(MIB) for n in range(40)}), streams=1)

    assert max(len(batch.parts) for batch in lanes[0]) == PARTS_PER_BATCH


def test_nothing_to_do_has_no_lanes() -> None:
    assert plan_lanes([], streams=3) == []


@pytest.mark.parametrize(
    ("databases", "label"),
    [
        ([""], "roles (1 part)"),
        (["shop"], "shop (1 part)"),
        (["shop", "shop", ""], "shop (3 parts)"),
        (["shop", "fleet"], "shop, fleet (2 parts)"),
        (["shop", "fleet", "a", "b"], "shop, fleet +2 (4 parts)"),
    ],
)
def test_label_of_a_batch_names_at_most_two_databases(databases: list[str], label: str) -> None:
    parts = [PlannedPart(n, PartKind.REST, database, (), 1) for n, database in enumerate(databases, 1)]

    ((batch,),) = plan_lanes(parts, streams=1)
    assert batch.label == label

"""What a restore will do, and what it refuses before it touches anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import database, index, manifest, table

from lifeboat.errors import RestoreRefused
from lifeboat.model.index import Index
from lifeboat.model.restore_plan import NAME_LIMIT, RestorePlan, default_name, incomplete_name, plan_restore

SHOP = database("shop", table("orders", 4), table("items", 5), table("lines", 5), schema_part=2, rest_part=3)
FLEET = database("fleet", table("ships", 8), schema_part=6, rest_part=7)
INDEX = index(SHOP, FLEET)


def plan(of: Index = INDEX, **wishes: Any) -> RestorePlan:
    return plan_restore(manifest(1), of, **wishes)


def numbers(made: RestorePlan) -> list[int]:
    return [part.number for part in made.parts]


def test_whole_backup_is_restored_beside_what_lives() -> None:
    made = plan(present={"shop", "fleet", "postgres"})

    assert [restore.target for restore in made.databases] == [
        "shop-restored-20261123",
        "fleet-restored-20261123",
    ]
    assert not any(restore.partial for restore in made.databases)
    assert numbers(made) == [2, 3, 4, 5, 6, 7, 8]


def test_roles_are_fetched_when_they_are_asked_for() -> None:
    assert numbers(plan(with_roles=True))[0] == INDEX.globals_part
    assert numbers(plan(databases=["fleet"], with_roles=True)) == [1, 6, 7, 8]


def test_one_database_needs_its_own_parts_only() -> None:
    made = plan(databases=["shop"], new_name="shop2")

    assert [(restore.source.name, restore.target) for restore in made.databases] == [("shop", "shop2")]
    assert numbers(made) == [2, 3, 4, 5]
    assert made.fetch_bytes == 14_000


def test_one_table_needs_its_part_and_the_schema_but_not_the_rest() -> None:
    made = plan(databases=["shop"], tables=["public.items"])

    assert [found.name for found in made.databases[0].tables] == ["items"]
    assert made.databases[0].partial
    assert numbers(made) == [2, 5]


@pytest.mark.parametrize("pattern", ["public.*", "shop.public.*", "publi[c].*s"])
def test_tables_are_chosen_by_pattern_and_make_a_partial_restore(pattern: str) -> None:
    made = plan(databases=["shop"], tables=[pattern])

    assert [found.name for found in made.databases[0].tables] == ["orders", "items", "lines"]
    assert made.databases[0].partial
    assert numbers(made) == [2, 4, 5]


def test_table_called_like_a_pattern_is_restored_alone() -> None:
    odd = database("shop", table("o*", 4), table("orders", 5), schema_part=2, rest_part=3)

    assert numbers(plan(index(odd), tables=["public.o*"])) == [2, 4]


def test_pattern_that_means_nothing_is_refused_by_name_although_others_mean_something() -> None:
    with pytest.raises(RestoreRefused, match=r"'shop' of this backup has no table 'Public\.\*'\.") as caught:
        plan(databases=["shop"], tables=["public.*", "Public.*"])

    assert "lifeboat tables" in caught.value.hint


def test_pattern_of_another_database_is_refused() -> None:
    with pytest.raises(RestoreRefused, match=r"no table 'fleet\.public\.ships'"):
        plan(databases=["shop"], tables=["fleet.public.ships"])


def test_backup_of_one_database_needs_no_choice_for_a_table() -> None:
    assert numbers(plan(index(FLEET), tables=["public.ships"])) == [6, 8]


def test_database_without_tables_is_restored_all_the_same() -> None:
    assert numbers(plan(index(database("empty", schema_part=2, rest_part=3)))) == [2, 3]


def test_unknown_database_is_refused_with_those_there_are() -> None:
    with pytest.raises(RestoreRefused, match="has no database 'shoop'") as caught:
        plan(databases=["shoop"])

    assert "'shop', 'fleet'" in caught.value.hint


def test_unknown_tables_are_refused_all_at_once() -> None:
    with pytest.raises(RestoreRefused, match=r"no table 'orders', 'public\.nothing'"):
        plan(databases=["shop"], tables=["orders", "public.items", "public.nothing"])


@pytest.mark.parametrize("wish", [{"tables": ["public.items"]}, {"new_name": "x"}])
def test_table_or_name_without_one_database_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(RestoreRefused, match="needs exactly one database") as caught:
        plan(**wish)

    assert "shop, fleet" in caught.value.hint


@pytest.mark.parametrize(
    ("wish", "present"),
    [
        ({"databases": ["shop"], "new_name": "shop"}, {"shop"}),
        ({}, {"fleet-restored-20261123"}),
    ],
)
def test_target_that_exists_is_refused(wish: dict[str, Any], present: set[str]) -> None:
    """F52: a restore only ever creates databases."""
    with pytest.raises(RestoreRefused, match="only ever creates"):
        plan(**wish, present=present)


def test_table_named_twice_is_restored_once() -> None:
    made = plan(databases=["shop"], tables=["public.items", "public.items"])

    assert [found.name for found in made.databases[0].tables] == ["items"]


def test_database_named_twice_has_no_two_restores_to_one_target() -> None:
    targets = [restore.target for restore in plan(databases=["shop", "shop"]).databases]

    assert len(targets) == len(set(targets))


def test_databases_whose_targets_would_be_one_are_refused_beforehand() -> None:
    alike = [database("d" * 60 + end, schema_part=n, rest_part=n + 1) for n, end in ((2, "a"), (4, "b"))]

    with pytest.raises(RestoreRefused):
        plan(index(*alike))


def test_new_name_that_postgresql_would_shorten_is_refused() -> None:
    with pytest.raises(RestoreRefused):
        plan(databases=["shop"], new_name="n" * (NAME_LIMIT + 1), present={"n" * NAME_LIMIT})


def test_label_that_means_two_tables_is_refused() -> None:
    twins = database(
        "shop", table("b.c", 4, schema="a"), table("c", 5, schema="a.b"), schema_part=2, rest_part=3
    )

    with pytest.raises(RestoreRefused, match=r"several tables 'a\.b\.c'") as caught:
        plan(index(twins), tables=["a.b.c"])

    assert "a[.]b.c" in caught.value.hint
    assert numbers(plan(index(twins), tables=["a[.]b.c"])) == [2, 5]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=63))
def test_names_fit_into_what_postgresql_keeps_and_show_what_they_are(name: str) -> None:
    default, incomplete = default_name(name, manifest(1)), incomplete_name(name, "k3v9qz")

    for made, ending in ((default, "-restored-20261123"), (incomplete, ".incomplete-k3v9qz")):
        assert made.endswith(ending)
        assert len(made.encode()) <= NAME_LIMIT
        assert name.startswith(made.removesuffix(ending))
        assert len(name.encode()) + len(ending) > NAME_LIMIT or made == name + ending

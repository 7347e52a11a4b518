"""Names and patterns of tables: an exact name means itself, a glob stays within a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import database, table

from lifeboat.model.index import Database
from lifeboat.model.table_patterns import ChosenTables, choose_tables

SHOP = database(
    "shop",
    table("orders", 4),
    table("items", 4),
    table("items", 4, schema="Archive"),
    table("o*", 4, schema="odd"),
    table("or", 4, schema="odd"),
    table("[x]", 4, schema="odd"),
    table("x", 4, schema="odd"),
    schema_part=2,
    rest_part=3,
)
FLEET = database("fleet", table("ships", 8), table("items", 8), schema_part=6, rest_part=7)
PUBLIC = database("public", table("secret", 11, schema="private"), schema_part=9, rest_part=10)
EVERY = [SHOP, FLEET, PUBLIC]


def labels(chosen: ChosenTables) -> list[str]:
    return [f"{database.name}.{table.label}" for database, table in chosen.tables]


def test_everything_is_chosen_without_a_pattern() -> None:
    assert len(labels(choose_tables(EVERY, []))) == 10


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("public.orders", ["shop.public.orders"]),
        ("shop.public.orders", ["shop.public.orders"]),
        ("public.items", ["shop.public.items", "fleet.public.items"]),
        ("fleet.public.items", ["fleet.public.items"]),
        ("public.[no]*", ["shop.public.orders"]),
        ("public.item?", ["shop.public.items", "fleet.public.items"]),
        ("*.[!a-o]hips", ["fleet.public.ships"]),
        ("archive.*", []),
        ("[Aa]rchive.*", ["shop.Archive.items"]),
        # The schema of that name, not everything of the database of that name.
        ("public.*", ["shop.public.orders", "shop.public.items", "fleet.public.ships", "fleet.public.items"]),
        ("public.*.*", ["public.private.secret"]),
        ("f*.*.*", ["fleet.public.ships", "fleet.public.items"]),
        ("*rders", []),
        ("orders", []),
        ("", []),
        ("public.", []),
    ],
)
def test_pattern_means_the_tables_whose_names_it_matches(pattern: str, meant: list[str]) -> None:
    chosen = choose_tables(EVERY, [pattern])

    assert labels(chosen) == meant
    assert chosen.unmatched == (() if meant else (pattern,))


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("odd.o*", ["shop.odd.o*"]),
        ("shop.odd.o*", ["shop.odd.o*"]),
        ("odd.o[*r]", ["shop.odd.o*", "shop.odd.or"]),
        ("odd.[x]", ["shop.odd.[x]"]),
        ("odd.[x-x]", ["shop.odd.x"]),
    ],
)
def test_exact_name_that_looks_like_a_glob_means_itself_only(pattern: str, meant: list[str]) -> None:
    assert labels(choose_tables(EVERY, [pattern])) == meant


def test_tables_stand_in_the_order_of_the_index_and_each_once() -> None:
    chosen = choose_tables(EVERY, ["public.items", "public.orders", "public.*", "public.items"])

    assert labels(chosen) == [
        "shop.public.orders",
        "shop.public.items",
        "fleet.public.ships",
        "fleet.public.items",
    ]


def test_patterns_that_mean_nothing_are_named_each_once() -> None:
    chosen = choose_tables(EVERY, ["public.orders", "nosuch.*", "none", "nosuch.*"])

    assert (labels(chosen), chosen.unmatched) == (["shop.public.orders"], ("nosuch.*", "none"))


TWINS = database("shop", table("b.c", 4, schema="a"), table("c", 5, schema="a.b"), schema_part=2, rest_part=3)


def test_name_of_two_tables_of_a_database_is_ambiguous() -> None:
    chosen = choose_tables([TWINS], ["a.b.c"])

    assert (len(chosen.tables), chosen.ambiguous) == (2, ("a.b.c",))


@pytest.mark.parametrize(("pattern", "schema"), [("a[.]b.c", "a.b"), ("a.b[.]c", "a")])
def test_dot_in_brackets_is_inside_a_name(pattern: str, schema: str) -> None:
    chosen = choose_tables([TWINS], [pattern])

    assert [table.schema_name for _, table in chosen.tables] == [schema]
    assert chosen.ambiguous == ()


def test_one_name_in_two_databases_is_not_ambiguous() -> None:
    assert choose_tables(EVERY, ["public.items"]).ambiguous == ()


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00") | st.sampled_from("*?[]!.-"),
    min_size=1,
    max_size=8,
)


@given(NAMES, NAMES, NAMES, st.lists(st.tuples(NAMES, NAMES), max_size=5))
def test_any_name_as_it_stands_means_that_table(
    within: str, schema: str, name: str, others: list[tuple[str, str]]
) -> None:
    named = [*others, (schema, name)]
    made = database(
        within,
        *(table(one, 4, schema=schema_name) for schema_name, one in dict.fromkeys(named)),
        schema_part=2,
        rest_part=3,
    )

    for pattern in (f"{schema}.{name}", f"{within}.{schema}.{name}"):
        chosen = choose_tables([made], [pattern])
        assert (schema, name) in {(found.schema_name, found.name) for _, found in chosen.tables}
        assert len(chosen.tables) == 1 or chosen.ambiguous == (pattern,)


@given(NAMES, st.lists(st.sampled_from(EVERY), max_size=3, unique_by=lambda one: one.name))
def test_any_text_is_a_pattern_that_means_something_or_is_named(
    pattern: str, databases: list[Database]
) -> None:
    chosen = choose_tables(databases, [pattern])

    assert bool(chosen.tables) != bool(chosen.unmatched)

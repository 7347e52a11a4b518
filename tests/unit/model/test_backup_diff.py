"""What changed between two backups of a server: nothing is missed, nothing is made up, counts add up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import database, index, manifest, table

from lifeboat.errors import Refused
from lifeboat.model.backup_diff import (
    HIDDEN,
    Change,
    DatabasesDiff,
    PropertyChange,
    diff_databases,
    refuse_incomparable,
)
from lifeboat.model.index import Database, DatabaseProperties, DatabaseSetting, Grant, Index, Table

SHOP = database("shop", table("items", 4), table("orders", 5), schema_part=2, rest_part=3)
FLEET = database("fleet", table("ships", 8, rows=7), schema_part=6, rest_part=7)
BEFORE = index(SHOP, FLEET)


def shop(*tables: Table, **properties: Any) -> Database:
    """``SHOP`` with other tables or properties."""
    changed = SHOP.properties.model_copy(update=properties)
    return SHOP.model_copy(update={"tables": tables or SHOP.tables, "properties": changed})


def diff(*after: Database, **changes: Any) -> DatabasesDiff:
    return diff_databases(BEFORE, index(*after, **changes))


def properties(*before_and_after: dict[str, Any]) -> tuple[PropertyChange, ...]:
    """What differs when only these properties of ``shop`` do."""
    found = diff_databases(*(index(shop(**one)) for one in before_and_after))
    assert (found.server, found.tables) == ((), ())
    return tuple(one for change in found.databases for one in change.properties)


def test_tables_added_gone_and_changed_are_named_with_what_they_were_and_are() -> None:
    items, new = table("items", 4, rows=12), table("new", 5, rows=3)

    found = diff(shop(items, new), FLEET)

    assert [(one.table, one.change, one.differs) for one in found.tables] == [
        ("public.items", Change.CHANGED, ("rows", "content")),
        ("public.new", Change.ADDED, ()),
        ("public.orders", Change.GONE, ()),
    ]
    before, after = found.tables[0].before, found.tables[0].after
    assert before and after
    assert (before.rows, after.rows, before.bytes, after.bytes) == (10, 12, 20, 24)
    assert (found.tables[1].before, found.tables[2].after) == (None, None)
    assert found.databases == ()
    assert (found.before.rows, found.after.rows) == (27, 22)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"columns": ("id", "note")}, ("columns",)),
        ({"columns": ("note", "id")}, ("columns",)),
        ({"rows": 11}, ("rows",)),
        ({"sha256": "d" * 64}, ("content",)),
        ({"length": 21}, ("content",)),
        # Where the rows lie says nothing about them.
        ({"part": 9, "offset": 7}, ()),
    ],
)
def test_table_is_changed_by_its_columns_rows_and_content_only(
    changes: dict[str, Any], differs: tuple[str, ...]
) -> None:
    items, orders = SHOP.tables

    found = diff(shop(items.model_copy(update=changes), orders), FLEET)

    assert [one.differs for one in found.tables] == ([differs] if differs else [])
    assert found.empty is not bool(differs)


def test_database_that_is_added_or_gone_brings_or_takes_each_of_its_tables() -> None:
    found = diff(SHOP, database("news", table("posts", 9), schema_part=6, rest_part=7))

    assert [(one.database, one.change) for one in found.databases] == [
        ("fleet", Change.GONE),
        ("news", Change.ADDED),
    ]
    assert [(one.database, one.table, one.change) for one in found.tables] == [
        ("fleet", "public.ships", Change.GONE),
        ("news", "public.posts", Change.ADDED),
    ]


def test_tables_whose_labels_are_one_are_told_apart() -> None:
    one, other = table("b.c", 4, schema="a"), table("c", 5, schema="a.b")

    found = diff_databases(index(shop(one, other)), index(shop(one)))

    assert [(change.table, change.change) for change in found.tables] == [("a.b.c", Change.GONE)]


def test_server_that_was_upgraded_is_told() -> None:
    found = diff(SHOP, FLEET, server_version="16.4", server_version_number=160_004)

    assert found.server == (PropertyChange("server version", "15.18", "16.4"),)
    assert not found.empty


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"owner": "app"}, {"owner": "eve"}, PropertyChange("owner", "app", "eve")),
        ({"comment": None}, {"comment": "x"}, PropertyChange("comment", None, "x")),
        (
            {"extensions": {"pgcrypto": "1.3"}},
            {"extensions": {"pgcrypto": "1.4"}},
            PropertyChange("extension pgcrypto", "1.3", "1.4"),
        ),
        (
            {"extensions": {"pgcrypto": "1.3"}},
            {"extensions": {}},
            PropertyChange("extension pgcrypto", "1.3", None),
        ),
        (
            {"grants": None},
            {"grants": (Grant(grantee="", privilege="CONNECT", grantable=False),)},
            PropertyChange("privileges", "default", "PUBLIC: CONNECT"),
        ),
        (
            {"grants": (Grant(grantee="app", privilege="CREATE", grantable=True),)},
            {"grants": ()},
            PropertyChange("privileges", "app: CREATE with grant option", "none"),
        ),
        (
            {"settings": ()},
            {"settings": (DatabaseSetting(role="app", name="work_mem", value="64MB"),)},
            PropertyChange("setting work_mem of role app", None, "64MB"),
        ),
    ],
)
def test_property_that_differs_is_told_with_both_values(
    before: dict[str, Any], after: dict[str, Any], told: PropertyChange
) -> None:
    assert properties(before, after) == (told,)


def test_order_of_grants_is_no_difference() -> None:
    one, other = (Grant(grantee=name, privilege="CONNECT", grantable=False) for name in ("a", "b"))

    assert properties({"grants": (one, other)}, {"grants": (other, one)}) == ()


def test_value_of_an_applications_own_setting_is_compared_and_never_told() -> None:
    before, after = (
        {"settings": (DatabaseSetting(role=None, name="app.jwt_secret", value=value),)}
        for value in ("S3CRET-1", "S3CRET-2")
    )

    found = diff_databases(index(shop(**before)), index(shop(**after)))

    (change,) = found.databases
    assert change.properties == (PropertyChange("setting app.jwt_secret", HIDDEN, HIDDEN),)
    assert "S3CRET" not in repr(found)


OTHER_VALUES: dict[str, Any] = {
    "connection_limit": 5,
    "grants": (),
    "settings": (DatabaseSetting(role=None, name="work_mem", value="64MB"),),
    "extensions": {"pgcrypto": "1.3"},
}


@pytest.mark.parametrize("name", sorted(DatabaseProperties.model_fields.keys() - {"size"}))
def test_no_property_of_a_database_is_forgotten(name: str) -> None:
    assert len(properties({}, {name: OTHER_VALUES.get(name, "another")})) == 1


def test_size_of_a_database_on_its_server_is_no_difference() -> None:
    assert properties({"size": 1}, {"size": 2}) == ()


@pytest.mark.parametrize("changes", [{"source": "archive"}, {"service": "other"}, {"source_kind": "tree"}])
def test_backups_of_two_sources_are_not_compared(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"is a backup of main/databases \(postgres\)"):
        refuse_incomparable(manifest(1), manifest(2, **changes))


def test_backups_of_one_source_are_compared_in_either_order() -> None:
    refuse_incomparable(manifest(1), manifest(2))
    refuse_incomparable(manifest(2), manifest(1))


# Properties

TABLES = st.builds(
    lambda schema, name, rows, digest: table(name, 4, schema=schema, rows=rows).model_copy(
        update={"sha256": digest * 64}
    ),
    st.sampled_from(["public", "a", "a.b"]),
    st.sampled_from(["b.c", "c", "d", "e"]),
    st.integers(0, 3),
    st.sampled_from("ab"),
)
DATABASES = st.builds(
    lambda name, owner, tables: database(name, *tables, schema_part=2, rest_part=3).model_copy(
        update={"properties": SHOP.properties.model_copy(update={"owner": owner})}
    ),
    st.sampled_from(["shop", "fleet", "news"]),
    st.sampled_from(["app", "eve"]),
    st.lists(TABLES, max_size=6, unique_by=lambda one: (one.schema_name, one.name)),
)
INDEXES = st.lists(DATABASES, max_size=3, unique_by=lambda one: one.name).map(lambda some: index(*some))


@given(INDEXES)
def test_backup_does_not_differ_from_itself(one: Index) -> None:
    found = diff_databases(one, one)

    assert found.empty
    assert found.before == found.after


@given(INDEXES, INDEXES)
def test_changes_applied_to_the_counts_before_give_those_after(before: Index, after: Index) -> None:
    found = diff_databases(before, after)

    changes = [one.change for one in found.tables]
    assert (
        found.before.tables + changes.count(Change.ADDED) - changes.count(Change.GONE) == found.after.tables
    )
    databases = [one.change for one in found.databases]
    assert (
        found.before.databases + databases.count(Change.ADDED) - databases.count(Change.GONE)
        == found.after.databases
    )
    for what in ("rows", "bytes"):
        grown = sum(
            (getattr(one.after, what) if one.after else 0) - (getattr(one.before, what) if one.before else 0)
            for one in found.tables
        )
        assert getattr(found.before, what) + grown == getattr(found.after, what)


@given(INDEXES, INDEXES)
def test_the_other_way_round_what_was_added_is_gone(one: Index, other: Index) -> None:
    there, back = diff_databases(one, other), diff_databases(other, one)

    reverse = {Change.ADDED: Change.GONE, Change.GONE: Change.ADDED, Change.CHANGED: Change.CHANGED}
    assert [(c.database, c.table, reverse[c.change], c.after, c.before, c.differs) for c in there.tables] == [
        (c.database, c.table, c.change, c.before, c.after, c.differs) for c in back.tables
    ]
    assert (there.before, there.after) == (back.after, back.before)


@given(INDEXES, INDEXES)
def test_indexes_without_a_difference_hold_the_same_tables(one: Index, other: Index) -> None:
    def held(of: Index) -> set[tuple[str, str, frozenset[Table]]]:
        return {(each.name, each.properties.owner, frozenset(each.tables)) for each in of.databases}

    assert diff_databases(one, other).empty is (held(one) == held(other))

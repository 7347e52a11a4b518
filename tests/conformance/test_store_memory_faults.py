"""The faults that the store in memory can be told to have: tests of the stages rely on each of them."""

from __future__ import annotations

import pytest

from lifeboat.adapters.store_memory import (
    FlipByte,
    FullAfter,
    HideFromListing,
    LoseConnection,
    MemoryTarget,
    RefuseDelete,
    StoreNothing,
    StoreTruncated,
)
from lifeboat.errors import StoreDenied, StoreFull, StoreObjectExists, StoreObjectMissing, StoreUnreachable


def test_lost_connection_leaves_a_torn_object_and_ends_only_that_session() -> None:
    target = MemoryTarget(faults=[LoseConnection(create=2, after=5)])
    with target.connect() as store, target.connect() as other:
        store.create_new("a.age", [b"sealed"])
        with pytest.raises(StoreUnreachable, match=r"b\.age"):
            store.create_new("b.age", [b"sea", b"led"])
        with pytest.raises(StoreUnreachable):
            store.list()
        assert [(item.name, item.size) for item in other.list()] == [("a.age", 6), ("b.age", 5)]
        with pytest.raises(StoreObjectExists):
            other.create_new("b.age", [b"sealed"])
        assert other.create_new("b.1.age", [b"sealed"]) == 6


def test_acknowledged_object_that_was_not_stored_is_missing() -> None:
    with MemoryTarget(faults=[StoreNothing(create=1)]).connect() as store:
        assert store.create_new("a.age", [b"sealed"]) == 6
        with pytest.raises(StoreObjectMissing):
            store.stat("a.age")
        assert store.create_new("a.age", [b"sealed"]) == 6
        assert b"".join(store.read("a.age")) == b"sealed"


def test_truncated_object_is_acknowledged_whole() -> None:
    with MemoryTarget(faults=[StoreTruncated(create=1, length=4)]).connect() as store:
        assert store.create_new("a.age", [b"sealed"]) == 6
        assert b"".join(store.read("a.age")) == b"seal"
        assert store.stat("a.age").size == 4


def test_flipped_byte_keeps_the_size() -> None:
    with MemoryTarget(faults=[FlipByte(create=1, at=2)]).connect() as store:
        store.create_new("a.age", [b"sealed"])
        assert b"".join(store.read("a.age")) == b"se\x9eled"


def test_listing_lacks_its_last_names_while_the_objects_are_there() -> None:
    target = MemoryTarget(faults=[HideFromListing(last=2)])
    with target.connect() as store:
        for name in ("a.age", "b.age", "c.age"):
            store.create_new(name, [b"sealed"])
        assert [item.name for item in store.list()] == ["a.age"]
        assert store.stat("c.age").size == 6
        target.faults.clear()
        assert len(store.list()) == 3


def test_full_store_keeps_what_fitted_and_tells_its_numbers() -> None:
    with MemoryTarget(faults=[FullAfter(capacity=10)]).connect() as store:
        store.create_new("a.age", [b"sealed"])
        with pytest.raises(StoreFull, match="of 10 bytes"):
            store.create_new("b.age", [b"sea", b"led"])
        assert [item.size for item in store.list()] == [6, 4]
        space = store.free_space()
    assert space is not None
    assert (space.total, space.available) == (10, 0)


def test_refused_delete_keeps_the_object_and_the_next_one_works() -> None:
    with MemoryTarget(faults=[RefuseDelete(delete=1)]).connect() as store:
        store.create_new("a.age", [b"sealed"])
        with pytest.raises(StoreDenied, match=r"a\.age"):
            store.delete_exact("a.age")
        assert len(store.list()) == 1
        store.delete_exact("a.age")
        assert store.list() == []


def test_healthy_store_in_memory_has_no_known_limit() -> None:
    with MemoryTarget().connect() as store:
        assert store.free_space() is None

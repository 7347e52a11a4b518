"""An object read into memory: whole, or cut when it is larger than it may be."""

from __future__ import annotations

import pytest

from lifeboat.adapters.store_memory import MemoryTarget
from lifeboat.stages.catalog import read_whole


@pytest.mark.parametrize(("size", "limit", "read"), [(0, 10, 0), (10, 10, 10), (11, 10, 10), (9, 10, 9)])
def test_no_more_is_kept_than_the_limit(size: int, limit: int, read: int) -> None:
    data = bytes(range(size))
    with MemoryTarget().connect() as store:
        store.create_new("a.age", [data])
        assert read_whole(store, "a.age", limit) == data[:read]

"""The order in which files of tests are handed out: the slow ones first, so that no process is left with one at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_SLOWEST_FIRST = ("end_to_end", "flows", "packaging", "conformance", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders in this order; inside one, everything as it was."""
    items.sort(key=lambda item: _SLOWEST_FIRST.index(item.path.relative_to(_TESTS).parts[0]))

"""What all tests share."""

import gc

import pytest


def pytest_collection_finish() -> None:
    """Leave the collected tests out of later collections: closing an embedded database runs one, over a large heap."""
    _settle()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Leave out what a file's tests left behind, too: the reports alone are tens of thousands of objects."""
    if nextitem is not None and nextitem.path != item.path:
        _settle()


def _settle() -> None:
    gc.collect()
    gc.freeze()

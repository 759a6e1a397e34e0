"""What all tests share."""

import gc


def pytest_collection_finish() -> None:
    """Leave the collected tests out of later collections: closing an embedded database runs one, over a large heap."""
    gc.collect()
    gc.freeze()

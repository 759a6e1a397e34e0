"""Errors in a raw answer of the database. The SDK's own `query` looks at the first statement only."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keycairn.domain.errors import (
    ConflictError,
    DuplicateError,
    RestoringError,
    RetryableConflictError,
    StaleVersionError,
    StoreError,
    StoreNotEmptyError,
)

STALE = "keycairn:stale"
"""What our statements THROW when an expectation does not hold."""
MOVED = "keycairn:moved"
"""What a transaction THROWs where another process has written since its changes were worked out."""
OCCUPIED = "keycairn:occupied"
"""What a restore THROWs where something is stored already."""
RESTORING = "keycairn:restoring"
"""What a statement THROWs where a restore is under way, or is not its own any more."""

_CONSEQUENCES = ("The query was not executed due to a ", "Cannot COMMIT")
_DUPLICATES = (("Database record `", "` already exists"), ("Database index `", "` already contains "))


_THROWN = "An error occurred: "
_MEANINGS: Mapping[str, Callable[[], StoreError | ConflictError]] = {
    STALE: StaleVersionError,
    MOVED: RetryableConflictError,
    OCCUPIED: StoreNotEmptyError,
    RESTORING: RestoringError,
}


def results(answer: Mapping[str, Any]) -> list[Any]:
    """The result of each statement, in order. Raises what the failed one stands for.

    The database's text is not passed on: it quotes values of records.
    """
    if "error" in answer or not isinstance(answer.get("result"), list):
        raise StoreError
    entries: Sequence[Mapping[str, Any]] = answer["result"]
    failures = [str(entry.get("result")) for entry in entries if entry.get("status") != "OK"]
    if not failures:
        return [entry.get("result") for entry in entries]
    raise _meaning(failures)


def _meaning(failures: Sequence[str]) -> StoreError | ConflictError:
    causes = [text for text in failures if not text.startswith(_CONSEQUENCES)]
    for text in causes:
        if thrown := _MEANINGS.get(text.removeprefix(_THROWN)):
            return thrown()
        if any(text.startswith(start) and middle in text for start, middle in _DUPLICATES):
            return DuplicateError()
    if any("can be retried" in text for text in causes or failures):
        return RetryableConflictError()
    return StoreError()

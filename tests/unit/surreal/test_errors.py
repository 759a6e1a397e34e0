from typing import Any

import pytest

from keycairn.adapters.surreal.dialect import dialect_of
from keycairn.adapters.surreal.errors import results
from keycairn.domain.errors import DuplicateError, KeycairnError, RetryableConflictError, StaleVersionError, StoreError

FAILED = "The query was not executed due to a failed transaction"
NOISE_3 = ["The query was not executed due to a cancelled transaction", "Cannot COMMIT: the transaction was aborted"]


def answer(*texts: str) -> dict[str, Any]:
    return {"result": [{"status": "OK", "result": None}, *({"status": "ERR", "result": text} for text in texts)]}


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ([FAILED, "An error occurred: keycairn:stale", FAILED], StaleVersionError),
        ([FAILED, "An error occurred: keycairn:stale", *NOISE_3], StaleVersionError),
        ([FAILED, "Database record `event:x` already exists"], DuplicateError),
        (["Database index `u` already contains ['can be retried'], with record `m:1`"], DuplicateError),
        (["Failed to commit: read conflict. This transaction can be retried"], RetryableConflictError),
        ([f"{FAILED}: This transaction can be retried"], RetryableConflictError),
        (["An error occurred: something with keycairn:stale in it"], StoreError),
        (["Found NONE for field `name`, with record `m:1`, but expected a string"], StoreError),
    ],
)
def test_the_cause_decides(texts: list[str], error: type[KeycairnError]) -> None:
    with pytest.raises(error) as caught:
        results(answer(*texts))
    assert type(caught.value) is error
    assert "m:1" not in str(caught.value)


def test_a_request_that_was_not_understood_is_an_error() -> None:
    with pytest.raises(StoreError):
        results({"error": {"code": -32000, "message": "Parse error"}})


def test_all_results_are_given() -> None:
    assert results({"result": [{"status": "OK", "result": 1}, {"status": "OK", "result": [2]}]}) == [1, [2]]


def test_two_majors_are_known() -> None:
    assert dialect_of("surrealdb-2.3.10").after("event", "$after") == "type::thing('event', $after>..)"
    assert dialect_of("surrealdb-3.2.4").after("event", "$after") == "type::record('event', $after>..)"
    for other in ("surrealdb-1.5.0", "4.0.0", "postgres", ""):
        with pytest.raises(StoreError):
            dialect_of(other)

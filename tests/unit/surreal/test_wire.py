"""Values as the database's CBOR has them, and back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from surrealdb import RecordID

from keycairn.adapters.surreal.wire import decoded, wired


@pytest.mark.parametrize(
    "value",
    [
        RecordID("model", "01J00000000000000000000007"),
        RecordID("usage", "default\t2026-01-01\t\t\t"),
        RecordID("model", 7),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=1),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        {"none": None, "list": [1, 2.5, "text", True, {"id": RecordID("credential", "C")}]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_written_is_read_again(value: Any) -> None:
    [found] = decoded(cbor2.dumps([wired(value)]))
    assert found == value


def test_a_record_id_is_as_its_class_makes_it() -> None:
    [found] = decoded(cbor2.dumps([wired(RecordID("model", "K"))]))
    assert vars(found) == vars(RecordID("model", "K"))


def test_a_moment_that_no_datetime_has_spoils_nothing_beside_it() -> None:
    far = cbor2.CBORTag(12, [10**15, 0])
    assert decoded(cbor2.dumps([far, 1]))[1] == 1  # type: ignore[index]  # a list is read as well

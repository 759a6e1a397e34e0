"""The database's CBOR, read and written in C; see https://surrealdb.com/docs/surrealdb/integration/cbor."""

from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from surrealdb import RecordID
from surrealdb.data.types import constants

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONE = cbor2.CBORTag(constants.TAG_NONE, None)
_PLAIN = frozenset((str, int, float, bool, bytes))


def decoded(data: bytes) -> dict[str, Any]:
    """An answer of the database. Values of kinds that no record of ours has, such as a year Python has not, stay tags.

    So one value that somebody else wrote spoils the record it stands in, and not the whole answer. Raises
    cbor2.CBORDecodeError for what is no CBOR.
    """
    answer: dict[str, Any] = cbor2.loads(data, tag_hook=_tag)
    return answer


def wired(value: Any) -> Any:  # noqa: PLR0911  # a case for each kind of value
    """`value` as `cbor2.dumps` takes it."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {name: one if one.__class__ in _PLAIN else wired(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [one if one.__class__ in _PLAIN else wired(one) for one in value]
    if value is None:
        return _NONE
    if isinstance(value, datetime):
        since = value - _EPOCH
        return cbor2.CBORTag(
            constants.TAG_DATETIME_COMPACT, [since.days * 86_400 + since.seconds, since.microseconds * 1000]
        )
    if isinstance(value, RecordID):
        return cbor2.CBORTag(constants.TAG_RECORD_ID, [value.table_name, wired(value.id)])
    return value


def _tag(tag: cbor2.CBORTag, _immutable: bool = False) -> object:  # noqa: FBT001, FBT002  # cbor2's signature
    kind = tag.tag
    if kind == constants.TAG_RECORD_ID:
        return _record_id(*tag.value)
    if kind == constants.TAG_DATETIME_COMPACT:
        seconds, nanoseconds = tag.value
        try:
            return _EPOCH + timedelta(0, seconds, nanoseconds // 1000)
        except OverflowError:
            return tag
    if kind == constants.TAG_NONE:
        return None
    return tag


def _record_id(table: str, key: Any) -> RecordID:
    """As the class makes it. Its own constructor imports something each time, which is a third of all decoding."""
    made = RecordID.__new__(RecordID)
    made.table_name, made.id = table, key
    return made

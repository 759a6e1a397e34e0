"""Rows of the database, and what the rows of all kinds of records have in common."""

from collections.abc import Mapping
from typing import Any

import msgspec
from surrealdb import RecordID

from keycairn.domain.limits import NO_LIMITS, Limits

Row = dict[str, Any]
TEXTS = msgspec.json.Decoder(dict[str, str])
LIMITS = msgspec.json.Decoder(Limits)
_NO_KEY = " "
"""A key that no record has."""


def record_id(table: str, id: str) -> RecordID:
    """The database's form of `id`. An id of another table gives one that no record has."""
    prefix, colon, key = id.partition(":")
    return RecordID(table, key if prefix == table and colon and "\0" not in key else _NO_KEY)


def text_id(record: RecordID) -> str:
    """The id as the domain writes it."""
    return f"{record.table_name}:{record.id!s}"


def json_text(value: object) -> str:
    """`value` as compact JSON."""
    return msgspec.json.encode(value).decode()


def filled(mapping: Mapping[str, object]) -> str | None:
    """`mapping` as JSON, None when it is empty: most records have none, and an absent column costs nothing."""
    return json_text(mapping) if mapping else None


def limits_text(limits: Limits) -> str | None:
    """`limits` as JSON, None where there are none."""
    return None if limits == NO_LIMITS else json_text(limits)

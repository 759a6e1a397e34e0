"""Entities as records and back.

What is queried has a typed column of its own; maps whose keys and values are not ours are JSON text, because an object
of the database loses null members and whole numbers past 63 bits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import NoneType
from typing import Any

import msgspec
from surrealdb import RecordID

from keycairn.adapters.surreal.credential_rows import credential_of, credential_row, place
from keycairn.adapters.surreal.dialect import LAST
from keycairn.adapters.surreal.history_rows import event_of, event_row, head_of, head_row, usage_of, usage_row
from keycairn.adapters.surreal.key_rows import (
    key_rotation_of,
    key_rotation_row,
    keyset_of,
    keyset_row,
    token_of,
    token_row,
)
from keycairn.adapters.surreal.model_rows import defaults_of, defaults_row, model_of, model_row
from keycairn.adapters.surreal.rows import Row
from keycairn.domain.credential import LATER_COLUMNS, Credential
from keycairn.domain.errors import InvalidInputError, RefusedRecordError, UnreadableRecordError
from keycairn.domain.ids import key_of
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.keyset import Keyset
from keycairn.domain.model import Model
from keycairn.domain.proof import PROVEN, Check
from keycairn.domain.record import Record, UsageRecord, check_record, kind_of, record_key

STRANGE = "="
"""What the names of records begin with whose keys are not text: no key of ours begins so."""

_ROWS: Mapping[str, Callable[[Any], Row]] = {
    "keyset": keyset_row,
    "credential": credential_row,
    "model": model_row,
    "defaults": defaults_row,
    "token": token_row,
    "key_rotation": key_rotation_row,
    "usage": lambda record: usage_row(record.key, record.usage),
    "event": event_row,
    "head": head_row,
}


_OF: Mapping[str, Callable[[Row], Record]] = {
    "keyset": keyset_of,
    "credential": credential_of,
    "model": model_of,
    "defaults": defaults_of,
    "token": token_of,
    "key_rotation": key_rotation_of,
    "usage": lambda row: UsageRecord(*usage_of(row)),
    "event": event_of,
    "head": head_of,
}


_TIME, _MAYBE_TIME, _MAYBE_TEXT = datetime, (datetime, NoneType), (str, NoneType)


_COLUMNS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "keyset": {"content": str, "generation": int, "install_id": str},
    "credential": {
        **dict.fromkeys(("workspace", "provider", "name", "place"), str),
        **dict.fromkeys(("settings", "sealed", "fingerprints", "extra", "broken", "last_check"), _MAYBE_TEXT),
        **dict.fromkeys(("limits", *LATER_COLUMNS), _MAYBE_TEXT),
        "modalities": list,
        "created": _TIME,
        "updated": _TIME,
        "version": int,
        "proof": _MAYBE_TEXT,
    },
    "model": {
        **dict.fromkeys(("workspace", "provider", "name", "type", "holder"), str),
        **dict.fromkeys(("priority", "weight", "context_length"), (int, NoneType)),
        "created": _TIME,
        "updated": _TIME,
        "missing_since": _MAYBE_TIME,
        "version": int,
        **dict.fromkeys(("provider_model", "price", "proof"), _MAYBE_TEXT),
    },
    "defaults": {"workspace": str, "slots": str, "version": int, "proof": _MAYBE_TEXT},
    "token": {
        **dict.fromkeys(("workspace", "name", "mac"), str),
        **dict.fromkeys(("expires", "revoked", "last_used"), _MAYBE_TIME),
        **dict.fromkeys(("limits", "reach", "maker", "proof"), _MAYBE_TEXT),
        "scopes": list,
        "created": _TIME,
    },
    "key_rotation": {"workspace": str, "content": str, "version": int, "proof": _MAYBE_TEXT},
    "usage": {
        **dict.fromkeys(("workspace", "day", "token", "credential", "model"), str),
        **dict.fromkeys(("requests", "failed", "input_tokens", "output_tokens"), int),
        **dict.fromkeys(("cached_tokens", "estimated", "nanos"), (int, NoneType)),
        "last_used": _MAYBE_TIME,
        "hours": (list, NoneType),
    },
    "event": {
        **dict.fromkeys(("workspace", "actor", "action", "target", "outcome", "source", "request_id"), str),
        **dict.fromkeys(("details", "mac", "proofs", "state"), _MAYBE_TEXT),
        "at": _TIME,
        "seq": (int, NoneType),
    },
    "head": {"link": str},
}
"""What each column holds: a database that somebody else wrote to may have anything in it, whatever its schema said."""


_TYPES: Mapping[str, tuple[tuple[str, tuple[type, ...]], ...]] = {
    table: tuple((column, kinds if isinstance(kinds, tuple) else (kinds,)) for column, kinds in its.items())
    for table, its in _COLUMNS.items()
}


def columns(record: Record) -> Row:
    """The columns of any record that has something in them, its id apart. Raises InvalidInputError as `check_text`."""
    return {name: value for name, value in _ROWS[kind_of(record)](record).items() if value is not None}


def row_of(record: Record) -> Row:
    """The columns of any record, with its id. Raises InvalidInputError as `check_text` says."""
    return {"id": RecordID(kind_of(record), record_key(record)), **columns(record)}


def record_of(table: str, row: Row) -> Record:
    """The record in a row of `table`. Raises UnreadableRecordError for what this Keycairn cannot have written."""
    key = named_key(row["id"].id)
    for column, kinds in _TYPES[table]:
        if row.get(column).__class__ not in kinds:
            raise UnreadableRecordError(table, key, f"{column} is not what it must be")
    try:
        record = _OF[table](row)
        check_record(record, texts=table not in PROVEN)  # a proof covers the TEXTS
        derived = _derived(record)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
        InvalidInputError,
        msgspec.MsgspecError,
    ) as error:
        raise UnreadableRecordError(table, key, type(error).__name__) from None
    if record_key(record) != row["id"].id:
        raise UnreadableRecordError(table, key, "it stands under another key")
    for column, value in derived.items():
        if row.get(column) != value:
            raise UnreadableRecordError(table, key, f"{column} does not agree with the rest")
    return record


def _derived(record: Record) -> Row:
    """The columns that repeat others for the queries."""
    match record:
        case Credential():
            prints = sorted(set(record.fingerprints.values())) or None
            return {"place": place(record.provider, record.created, record.id), "prints": prints}
        case Model():
            return {"holder": key_of(record.credential) if record.credential else ""}
        case KeyRotation():
            return {"workspace": record.workspace, "version": record.version}
        case Keyset():
            return {"generation": record.generation, "install_id": record.install_id}
    return {}


def strange_key(spelled: str) -> str:
    """What a record whose key is no text of ours is called, by the database's own spelling of its id."""
    return f"{STRANGE}{spelled.partition(':')[2]}"


def _may_be_ours(key: object) -> bool:
    return isinstance(key, str) and "" < key < LAST


def named_key(key: str) -> str:
    """What a record is called whose key is text: no two records have one name."""
    return f"{STRANGE}{key}" if key.startswith(STRANGE) else key


def readable(
    table: str, rows: Iterable[Row], unreadable: Callable[[UnreadableRecordError], None], check: Check | None = None
) -> Iterator[Record]:
    """The records of the rows that can be read, and are not refused; each other one is told to `unreadable`."""
    for row in rows:
        if not _may_be_ours(row["id"].id):
            continue  # whoever goes through the whole table names it
        try:
            record = record_of(table, row)
        except UnreadableRecordError as error:
            unreadable(error)
            continue
        if check is not None and (why := check(record)) is not None:
            unreadable(RefusedRecordError(table, named_key(record_key(record)), why))
        else:
            yield record

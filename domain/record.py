"""Everything a store holds, as one sequence of records: what a backup is made of."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.audit import AuditEvent, Head
from keycairn.domain.change import check_text
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import credential_id, event_id, key_of, model_id, token_id
from keycairn.domain.key_rotation.record import KeyRotation, key_rotation_id
from keycairn.domain.keyset import Keyset
from keycairn.domain.model import Defaults, Model
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey


class UsageRecord(Struct, frozen=True):
    """The sums of one key."""

    key: UsageKey
    usage: Usage


Record = Keyset | Credential | Model | Defaults | Token | KeyRotation | UsageRecord | AuditEvent | Head

KINDS: Mapping[str, type[Record]] = {
    "keyset": Keyset,
    "credential": Credential,
    "model": Model,
    "defaults": Defaults,
    "token": Token,
    "key_rotation": KeyRotation,
    "usage": UsageRecord,
    "event": AuditEvent,
    "head": Head,
}
"""The name of every kind of record, in the order of a snapshot."""

NAMES: Mapping[type, str] = {kind: name for name, kind in KINDS.items()}
"""The same the other way round."""

_IDS: Mapping[str, Callable[[str], str]] = {
    "credential": credential_id,
    "model": model_id,
    "token": token_id,
    "key_rotation": key_rotation_id,
    "event": event_id,
}


_R = TypeVar("_R", bound=Record)
_encoder = msgspec.json.Encoder()
_UNCHANGING = (str, int, float, datetime, type(None))


def own(record: _R) -> _R:
    """The record, sharing nothing that can be changed with the one given: whoever made that may go on to change it."""
    held = {name: getattr(record, name) for name in record.__struct_fields__}
    apart = {name: deepcopy(value) for name, value in held.items() if not isinstance(value, _UNCHANGING)}
    return replace(record, **apart) if apart else record


def kind_of(record: Record) -> str:
    """The name of the record's kind."""
    return NAMES[type(record)]


def usage_text(key: UsageKey) -> str:
    """The parts of a key, of which none holds a tab, joined by tabs."""
    return f"{key.workspace}\t{key.day.isoformat()}\t{key.token}\t{key.credential}\t{key.model}"


def record_key(record: Record) -> str:
    """What tells the record from the others of its kind; a snapshot is in its order."""
    match record:
        case Model() | Credential() | AuditEvent() | Token() | KeyRotation():
            return key_of(record.id)
        case Keyset() | Head():
            return "current"
        case Defaults():
            return record.workspace
        case UsageRecord():
            return usage_text(record.key)


def check_record(record: Record, *, texts: bool = True) -> None:
    """Raise InvalidInputError for a record that no backup takes: its id is none of ours, or a text of it holds NUL.

    `texts` asks for the latter, which takes longer than all the rest.
    """
    if isinstance(record, Credential | Model | Token | KeyRotation | AuditEvent):
        _IDS[kind_of(record)](record.id)
    if texts:
        check_text(record.key if isinstance(record, UsageRecord) else record)


def record_line(record: Record) -> bytes:
    """The record as one line of JSON, without its end."""
    named = {kind_of(record): record}
    try:
        return _encoder.encode(named)
    except (OverflowError, UnicodeEncodeError):
        # the standard library's JSON keeps whole numbers of any size, and a lone surrogate
        return json.dumps(msgspec.to_builtins(named, str_keys=True), separators=(",", ":")).encode()


def record_in(line: bytes) -> Record:
    """The record in a line. Raises InvalidInputError for anything `record_line` does not make."""
    try:
        [(name, fields)] = json.loads(line.decode()).items()
        kind = KINDS[name]
        unknown = set(fields) - set(kind.__struct_fields__)
        record: Record = msgspec.convert(fields, kind, str_keys=True)
        check_record(record)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidInputError, msgspec.MsgspecError):
        raise InvalidInputError("This is not a record of Keycairn.") from None
    if unknown:
        raise InvalidInputError("This is a record of a later Keycairn.")
    return record

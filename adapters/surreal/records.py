"""Entities as records and back.

What is queried has a typed column of its own; maps whose keys and values are not ours are JSON text, because an object
of the database loses null members and whole numbers past 63 bits.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from sys import intern  # what thousands of records say alike is kept once
from types import NoneType
from typing import Any

import msgspec
from msgspec import to_builtins
from msgspec.structs import asdict
from surrealdb import RecordID

from keycairn.adapters.surreal.dialect import LAST
from keycairn.domain.audit import Action, AuditEvent, Details, Head
from keycairn.domain.change import check_text
from keycairn.domain.credential import LATER_COLUMNS, Credential, later_values
from keycairn.domain.errors import InvalidInputError, RefusedRecordError, UnreadableRecordError
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId, key_of
from keycairn.domain.key_rotation.record import KeyRotation, rotation_of, rotation_text
from keycairn.domain.keyset import Keyset
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.domain.outcome import CheckRecord
from keycairn.domain.price import Price
from keycairn.domain.proof import PROVEN, Check
from keycairn.domain.provider import SettingValue
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.record import Record, UsageRecord, check_record, kind_of, record_key, usage_text
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.token import Scope, Token
from keycairn.domain.usage import HOURS, SUMS, Usage, UsageKey

Row = dict[str, Any]

STRANGE = "="
"""What the names of records begin with whose keys are not text: no key of ours begins so."""
_NO_KEY = " "
_MODALITIES: Mapping[str, Modality] = {member.value: member for member in Modality}
_settings = msgspec.json.Decoder(dict[str, SettingValue])
_texts = msgspec.json.Decoder(dict[str, str])
_sealed = msgspec.json.Decoder(dict[str, SealedSecret])
_check = msgspec.json.Decoder(CheckRecord)
_slots = msgspec.json.Decoder(dict[Slot, ModelId])
_keyset = msgspec.json.Decoder(Keyset)
_reach = msgspec.json.Decoder(Reach)
_limits = msgspec.json.Decoder(Limits)
_later = {name: msgspec.json.Decoder(column.type) for name, column in LATER_COLUMNS.items()}
_price = msgspec.json.Decoder(Price)
_details = msgspec.json.Decoder(Details)
_proofs = msgspec.json.Decoder(dict[str, str | None])


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


def place(provider: str, created: datetime, id: str) -> str:
    """The credential's place in the list, as text that sorts like the tuple: a tab sorts before any letter."""
    return f"{provider}\t{created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}\t{id}"


def credential_row(credential: Credential) -> Row:
    """The columns of a credential, its id apart."""
    check_text(credential)
    return {
        "workspace": credential.workspace,
        "provider": credential.provider,
        "name": credential.name,
        "modalities": [str(modality) for modality in credential.modalities],
        "settings": filled(credential.settings),
        "sealed": filled(credential.sealed),
        **fingerprint_columns(credential.fingerprints),
        # the standard library's JSON keeps whole numbers of any size; imported records may hold them
        "extra": json.dumps(dict(credential.extra), ensure_ascii=False) if credential.extra else None,
        "broken": filled(credential.broken),
        "limits": limits_text(credential.limits),
        **_later_row(credential),
        "last_check": json_text(credential.last_check) if credential.last_check else None,
        "created": credential.created,
        "updated": credential.updated,
        "version": credential.version,
        "place": place(credential.provider, credential.created, credential.id),
        "proof": credential.proof or None,
    }


def _later_row(credential: Credential) -> Row:
    """The later columns as JSON, None for a default."""
    said = later_values(credential)
    return {name: json_text(said[name]) if name in said else None for name in LATER_COLUMNS}


def fingerprint_columns(fingerprints: Mapping[str, str]) -> Row:
    """The fingerprints by name, and, for the index, alone."""
    return {"fingerprints": filled(fingerprints), "prints": sorted(set(fingerprints.values())) or None}


def credential_of(row: Row) -> Credential:
    """The credential in a row."""
    settings, sealed, extra, broken = row.get("settings"), row.get("sealed"), row.get("extra"), row.get("broken")
    check, prints = row.get("last_check"), row.get("fingerprints")
    return Credential(
        id=CredentialId(text_id(row["id"])),
        workspace=intern(row["workspace"]),
        provider=intern(row["provider"]),
        name=row["name"],
        modalities=tuple([_MODALITIES[name] for name in row["modalities"]]),
        settings=_settings.decode(settings) if settings else {},
        sealed=_sealed.decode(sealed) if sealed else {},
        fingerprints=_texts.decode(prints) if prints else {},
        extra=json.loads(extra) if extra else {},
        broken=_texts.decode(broken) if broken else {},
        last_check=_check.decode(check) if check else None,
        limits=_limits.decode(row["limits"]) if row.get("limits") else NO_LIMITS,
        **{name: later.decode(row[name]) for name, later in _later.items() if row.get(name)},
        created=row["created"],
        updated=row["updated"],
        version=row["version"],
        proof=row.get("proof") or "",
    )


def model_row(model: Model) -> Row:
    """The columns of a model, its id apart. `holder` is the link as text, empty without one, for the unique index."""
    check_text(model)
    link = record_id("credential", model.credential) if model.credential else None
    return {
        "workspace": model.workspace,
        "provider": model.provider,
        "name": model.name,
        "type": str(model.type),
        "credential": link,
        "holder": link.id if link else "",
        "missing_since": model.missing_since,
        "priority": model.priority or None,
        "weight": None if model.weight == 1 else model.weight,
        "provider_model": model.provider_model,
        "price": None if model.price is None else json_text(model.price),
        "context_length": model.context_length,
        "created": model.created,
        "updated": model.updated,
        "version": model.version,
        "proof": model.proof or None,
    }


def model_of(row: Row) -> Model:
    """The model in a row."""
    link = row.get("credential")
    return Model(
        id=ModelId(text_id(row["id"])),
        workspace=intern(row["workspace"]),
        provider=intern(row["provider"]),
        name=row["name"],
        type=_MODALITIES[row["type"]],
        credential=CredentialId(intern(text_id(link))) if link else None,
        missing_since=row.get("missing_since"),
        priority=row.get("priority") or 0,
        weight=1 if row.get("weight") is None else row["weight"],
        provider_model=row.get("provider_model"),
        price=_price.decode(row["price"]) if row.get("price") else None,
        context_length=row.get("context_length"),
        created=row["created"],
        updated=row["updated"],
        version=row["version"],
        proof=row.get("proof") or "",
    )


def defaults_row(defaults: Defaults) -> Row:
    """The columns of a workspace's defaults."""
    check_text(defaults)
    return {
        "workspace": defaults.workspace,
        "slots": json_text(defaults.slots),
        "version": defaults.version,
        "proof": defaults.proof or None,
    }


def defaults_of(row: Row) -> Defaults:
    """The defaults in a row."""
    return Defaults(
        workspace=row["workspace"],
        slots=_slots.decode(row["slots"]),
        version=row["version"],
        proof=row.get("proof") or "",
    )


def keyset_row(keyset: Keyset) -> Row:
    """The columns of the keyset. `content` is all of it."""
    return {"generation": keyset.generation, "install_id": keyset.install_id, "content": json_text(keyset)}


def keyset_of(row: Row) -> Keyset:
    """The keyset in a row."""
    return _keyset.decode(row["content"])


def token_row(token: Token) -> Row:
    """The columns of a token, its id apart."""
    check_text(token)
    return {
        "workspace": token.workspace,
        "name": token.name,
        "scopes": [str(scope) for scope in token.scopes],
        "mac": token.mac,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "limits": limits_text(token.limits),
        "reach": None if token.reach.whole else json_text(token.reach),
        "last_used": token.last_used,
        "maker": token.maker,
        "proof": token.proof or None,
    }


def token_of(row: Row) -> Token:
    """The token in a row."""
    return Token(
        id=TokenId(text_id(row["id"])),
        workspace=row["workspace"],
        name=row["name"],
        scopes=tuple(Scope(name) for name in row["scopes"]),
        mac=row["mac"],
        created=row["created"],
        expires=row.get("expires"),
        revoked=row.get("revoked"),
        limits=_limits.decode(row["limits"]) if row.get("limits") else NO_LIMITS,
        reach=_reach.decode(row["reach"]) if row.get("reach") else EVERYWHERE,
        last_used=row.get("last_used"),
        maker=TokenId(row["maker"]) if row.get("maker") else None,
        proof=row.get("proof") or "",
    )


def key_rotation_row(rotation: KeyRotation) -> Row:
    """The columns of a rotation, its id apart. `content` is all of it but its proof."""
    check_text(rotation)
    return {
        "workspace": rotation.workspace,
        "content": rotation_text(rotation),
        "version": rotation.version,
        "proof": rotation.proof or None,
    }


def key_rotation_of(row: Row) -> KeyRotation:
    """The rotation in a row."""
    return rotation_of(row["content"], row.get("proof") or "")


def usage_id(key: UsageKey) -> RecordID:
    """The record of one key."""
    return RecordID("usage", usage_text(key))


def usage_row(key: UsageKey, usage: Usage) -> Row:
    """The columns of the sums of one key."""
    check_text(key)
    return {**to_builtins(key), **asdict(usage), "hours": hours_column(usage)}


def usage_of(row: Row) -> tuple[UsageKey, Usage]:
    """The key and the sums of a row."""
    key = UsageKey(
        day=date.fromisoformat(row["day"]),
        workspace=row["workspace"],
        token=row["token"],
        credential=row["credential"],
        model=row["model"],
    )
    sums = Usage(
        requests=row["requests"],
        failed=row["failed"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_tokens=row.get("cached_tokens") or 0,
        estimated=row.get("estimated") or 0,
        nanos=row.get("nanos") or 0,
        last_used=row.get("last_used"),
        hours=_hours(row.get("hours")),
    )
    return key, sums


def hours_column(usage: Usage) -> list[int] | None:
    """The sums of each hour of the day, one after the other, as numbers that can be added; None without any."""
    if not usage.hours:
        return None
    nothing = Usage()
    return [getattr(usage.hours.get(hour, nothing), name) for hour in range(HOURS) for name in SUMS]


def _hours(column: list[Any] | None) -> Mapping[int, Usage]:
    """The hours with something in them. Raises ValueError or TypeError for what is no such column."""
    if column is None:
        return {}
    if any(value.__class__ is not int for value in column):
        raise TypeError
    if len(column) != HOURS * len(SUMS):
        raise ValueError
    parts = [column[start : start + len(SUMS)] for start in range(0, len(column), len(SUMS))]
    return {hour: Usage(**dict(zip(SUMS, part, strict=True))) for hour, part in enumerate(parts) if any(part)}


def event_row(event: AuditEvent) -> Row:
    """The columns of an audit event, its id apart."""
    check_text(event)
    return {
        "workspace": event.workspace,
        "at": event.at,
        "actor": event.actor,
        "action": str(event.action),
        "target": event.target,
        "outcome": event.outcome,
        "source": event.source,
        "request_id": event.request_id,
        "details": filled(event.details),
        "seq": event.seq or None,
        "mac": event.mac or None,
        "proofs": filled(event.proofs),
        "state": event.state or None,
    }


def event_of(row: Row) -> AuditEvent:
    """The audit event in a row."""
    details, proofs = row.get("details"), row.get("proofs")
    return AuditEvent(
        id=EventId(text_id(row["id"])),
        at=row["at"],
        workspace=row["workspace"],
        actor=row["actor"],
        action=Action(row["action"]),
        target=row["target"],
        outcome=row["outcome"],
        source=row["source"],
        request_id=row["request_id"],
        details=_details.decode(details) if details else {},
        seq=row.get("seq") or 0,
        mac=row.get("mac") or "",
        proofs=_proofs.decode(proofs) if proofs else {},
        state=row.get("state") or "",
    )


def head_row(head: Head) -> Row:
    """The columns of the head of the audit chain."""
    return {"link": f"{head.seq} {head.mac} {head.state}".rstrip()}


def head_of(row: Row) -> Head:
    """The head in a row."""
    seq, _, rest = row["link"].partition(" ")
    mac, _, state = rest.partition(" ")
    if not 0 < int(seq) < 2**63 - 1:
        raise ValueError
    return Head(int(seq), mac, state)


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
        check_record(record, texts=table not in PROVEN)  # a proof covers the texts
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

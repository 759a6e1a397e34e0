"""What proves a stored record: a MAC over its content, and a weight with which it counts in the sum of all records."""

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import msgspec
from msgspec.structs import replace

from keycairn.domain.credential import Credential, default_of, later_values
from keycairn.domain.key_rotation.record import KeyRotation, rotation_text
from keycairn.domain.keyset import Keyset
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.model import Defaults, Model
from keycairn.domain.reach import Reach
from keycairn.domain.record import Record, kind_of, record_key
from keycairn.domain.token import Token

Proven = Credential | Model | Defaults | Token | KeyRotation
"""The records that carry a proof of their own."""
PROVEN: Mapping[str, type[Proven]] = {
    "credential": Credential,
    "model": Model,
    "defaults": Defaults,
    "token": Token,
    "key_rotation": KeyRotation,
}
"""The same by the name of their kind."""

MARKS: Mapping[type[Proven], frozenset[str]] = {
    Credential: frozenset({"proof", "last_check", "broken"}),
    Model: frozenset({"proof"}),
    Defaults: frozenset({"proof"}),
    Token: frozenset({"proof", "last_used"}),
    KeyRotation: frozenset({"proof"}),
}
"""The fields that no proof covers, since they change without being an edit.

`last_check` and `last_used` are shown and decide nothing; `broken` is found out anew by each start and each checkup.
"""

TAG_BYTES = 24
WEIGHT_BYTES = 32
MAC_BYTES = TAG_BYTES + WEIGHT_BYTES
_MODULUS = 1 << (8 * WEIGHT_BYTES)
DIGEST_CHARS = 16
_KID_DIGITS = 9

UNPROVEN = "it has no proof"
FORGED = "its proof is not that of its content"

_encoder = msgspec.json.Encoder(order="deterministic")


class Macs(Protocol):
    """The keys of the proofs: an opened keyset is one."""

    @property
    def record(self) -> Keyset:
        """The keyset as it is stored."""
        ...

    def record_mac(self, text: bytes, kid: int) -> bytes | None:
        """See `keycairn.ports.keyset.OpenKeyset`."""
        ...

    def state_mac(self, text: bytes) -> bytes:
        """See `keycairn.ports.keyset.OpenKeyset`."""
        ...


def statement(record: Proven) -> bytes:
    """All a record says, its marks apart, as one text that no other content has.

    It is a list in a fixed order. A field added later belongs at the end, in an object that is left out where every
    such field has its default, so that older proofs hold.
    """
    match record:
        case Model():
            fields: tuple[Any, ...] = (
                "model",
                record.id,
                record.workspace,
                record.provider,
                record.name,
                record.type,
                record.credential,
                _utc(record.missing_since),
                record.priority,
                record.weight,
                _utc(record.created),
                _utc(record.updated),
                record.version,
                *_later(provider_model=record.provider_model, price=record.price, context_length=record.context_length),
            )
        case Credential():
            fields = (
                "credential",
                record.id,
                record.workspace,
                record.provider,
                record.name,
                record.modalities,
                record.settings,
                record.sealed,
                record.fingerprints,
                _limits(record.limits),
                _free(record.extra),
                _utc(record.created),
                _utc(record.updated),
                record.version,
                *_later(**{name: _said(value) for name, value in later_values(record).items()}),
            )
        case Token():
            fields = (
                "token",
                record.id,
                record.workspace,
                record.name,
                record.scopes,
                record.mac,
                _utc(record.created),
                _utc(record.expires),
                _utc(record.revoked),
                _limits(record.limits),
                _reach(record.reach),
                record.maker,
            )
        case Defaults():
            fields = ("defaults", record.workspace, sorted(record.slots.items()), record.version)
        case KeyRotation():
            fields = ("key_rotation", rotation_text(record))
    try:
        return _encoder.encode(fields)
    except (UnicodeEncodeError, OverflowError):  # a lone surrogate, or a number past 64 bits
        return json.dumps(msgspec.to_builtins(fields, str_keys=True), sort_keys=True).encode()


def proven(record: Proven, macs: Macs, kid: int) -> tuple[Proven, int]:
    """The record with its proof under `kid`, the primary data key, and its weight."""
    mac = macs.record_mac(statement(record), kid)
    if mac is None:
        raise AssertionError("a primary data key proves")
    proof = _text(kid, mac)
    return (record if record.proof == proof else replace(record, proof=proof)), _weight(mac)


def proves_anew(record: Proven, before: Proven) -> bool:
    """Whether nothing but the proof is another one than before."""
    return replace(before, proof=record.proof) == record


def weight(record: Record, macs: Macs) -> int | str:
    """What the record adds to the sum; a clause that says why where its proof does not hold."""
    if record.__class__ not in MARKS:  # a look at the class, for there are many records
        return int.from_bytes(_of_keyset(record, macs)) if isinstance(record, Keyset) else 0
    record = cast("Proven", record)
    kid = kid_of_proof(record.proof)
    if kid is None:
        return UNPROVEN
    mac = macs.record_mac(statement(record), kid)
    if mac is None:
        return f"its proof needs data key {kid}, which is retired or unknown"
    return _weight(mac) if _text(kid, mac) == record.proof else FORGED


def kid_of_proof(proof: object) -> int | None:
    """The data key that a proof needs; None for anything that is no proof."""
    number = proof.partition(":")[0] if isinstance(proof, str) else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) <= _KID_DIGITS else None


def digest(record: Record, macs: Macs) -> str:
    """What the audit log says of the record's content: the beginning of its tag. For those that count only."""
    if record.__class__ in MARKS:
        return cast("Proven", record).proof.partition(":")[2][:DIGEST_CHARS]
    return f"{record.generation}.{_of_keyset(record, macs).hex()[:DIGEST_CHARS]}" if isinstance(record, Keyset) else ""


def name_of(record: Record) -> str:
    """What the audit log calls the record: its kind and key."""
    return f"{kind_of(record)}:{record_key(record)}"


def counts(record: Record) -> bool:
    """Whether the sum of all records covers it."""
    return record.__class__ in MARKS or isinstance(record, Keyset)


def masked(total: int, seq: int, macs: Macs) -> str:
    """The sum as the event of that number carries it: two of them tell nothing about what lies between."""
    return f"{(total + _mask(seq, macs)) % _MODULUS:064x}"


def unmasked(text: str, seq: int, macs: Macs) -> int:
    """The sum that `masked` was given; -1 for anything else, which no sum is."""
    try:
        return (int(text, 16) - _mask(seq, macs)) % _MODULUS
    except ValueError:
        return -1


def primary_of(keyset: Keyset) -> int:
    """The data key that new proofs are made with."""
    return next(kid for kid, state in keyset.keys.items() if state == "primary")


def added(total: int, more: int) -> int:
    """A sum with one more weight; a negative one takes it out."""
    return (total + more) % _MODULUS


def _of_keyset(record: Keyset, macs: Macs) -> bytes:
    return macs.state_mac(b"keyset\0" + _encoder.encode(msgspec.to_builtins(record, str_keys=True)))


def _mask(seq: int, macs: Macs) -> int:
    return int.from_bytes(macs.state_mac(b"sum\0%d" % seq))


def _text(kid: int, mac: bytes) -> str:
    return f"{kid}:{b64encode(mac[:TAG_BYTES]).decode()}"


def _weight(mac: bytes) -> int:
    return int.from_bytes(mac[TAG_BYTES:])


def _later(**fields: Any) -> tuple[dict[str, Any], ...]:
    """The fields that records of before do not have, in an object; nothing where all have their defaults, None."""
    given = {name: value for name, value in fields.items() if value is not None}
    return (given,) if given else ()


def _utc(time: datetime | None) -> datetime | None:
    return time if time is None or time.tzinfo is UTC else time.astimezone(UTC)


def _limits(limits: Limits) -> dict[str, int] | None:
    return None if limits is NO_LIMITS or limits == NO_LIMITS else _filled(limits)


def _reach(reach: Reach) -> dict[str, Any] | None:
    return None if reach.whole else _filled(reach)


def _said(value: Any) -> Any:
    """Of a struct what is not its default: a field that is added to it later changes no proof of before."""
    if not isinstance(value, msgspec.Struct):
        return value
    fields = msgspec.structs.fields(value)
    given = {field.name: getattr(value, field.name) for field in fields}
    return {field.name: given[field.name] for field in fields if given[field.name] != default_of(field)}


def _filled(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name in struct.__struct_fields__ if (value := getattr(struct, name)) is not None}


def _free(extra: Mapping[str, Any]) -> str | None:
    """What came from elsewhere, as text: numbers of any size and lone surrogates are allowed in it."""
    return json.dumps(json.loads(json.dumps(dict(extra))), sort_keys=True) if extra else None


Check = Callable[[Record], str | None]
"""Says why a record is refused, None where it is not."""

Learn = Callable[[frozenset[int]], Awaitable[None]]
"""Is told which data keys proofs need: another instance may have made them."""

"""What a record's proof is made of: all it says, its marks apart, as one text that stays the same."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace
from tests.house import FakeKeysets
from tests.samples import THEN, a_check, a_credential, a_model, a_token

from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.domain.options import Options
from keycairn.domain.price import Price
from keycairn.domain.proof import (
    FORGED,
    MARKS,
    UNPROVEN,
    Proven,
    added,
    digest,
    masked,
    primary_of,
    proven,
    statement,
    unmasked,
    weight,
)
from keycairn.domain.reach import Reach
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.token import Scope, Token
from keycairn.ports.keyset import OpenKeyset

RECORDS: dict[type, Proven] = {
    Credential: a_credential(id=CredentialId("credential:C1"), extra={"a": 1, "b": 2}),
    Model: a_model(id=ModelId("model:M1"), name="gpt", credential=CredentialId("credential:C1")),
    Defaults: Defaults(slots={Slot.CHAT: ModelId("model:M1")}, version=1),
    Token: a_token(id=TokenId("token:T1")),
}
OTHER: dict[str, Any] = {
    "id": "x:y",
    "workspace": "other",
    "provider": "other",
    "provider_model": "other",
    "price": Price(input=1.0),
    "context_length": 128_000,
    "name": "other",
    "modalities": (Modality.EMBEDDING,),
    "settings": {"base_url": "https://other.example"},
    "sealed": {"api_key": SealedSecret("kc1:other")},
    "fingerprints": {"api_key": "ff"},
    "limits": Limits(concurrent=1),
    "options": Options(any_model=True),
    "extra": {"a": 1},
    "created": THEN + timedelta(microseconds=1),
    "updated": THEN + timedelta(microseconds=1),
    "expires": THEN,
    "revoked": THEN,
    "missing_since": THEN,
    "version": 7,
    "type": Modality.EMBEDDING,
    "credential": None,
    "priority": 1,
    "weight": 0,
    "slots": {},
    "scopes": (Scope.ADMIN,),
    "mac": "other",
    "reach": Reach(providers=()),
    "maker": TokenId("token:T2"),
    "last_used": THEN,
    "last_check": a_check(),
    "broken": {"api_key": "why"},
    "proof": "1:x",
}
CASES = [(kind, name) for kind, record in RECORDS.items() for name in record.__struct_fields__]


@pytest.fixture
def keys() -> OpenKeyset:
    keysets = FakeKeysets()
    return keysets.open(keysets.create(keysets.key, THEN), keysets.key)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_every_field_but_the_marks_is_covered(kind: type[Proven], name: str) -> None:
    record = RECORDS[kind]
    assert getattr(record, name) != OTHER[name]
    changed = replace(record, **{name: OTHER[name]})
    assert (statement(changed) == statement(record)) == (name in MARKS[kind])


def test_no_two_kinds_share_a_text() -> None:
    assert len({statement(record) for record in RECORDS.values()}) == len(RECORDS)


def test_the_text_stays_as_it_is() -> None:
    """A proof made by this version must hold in every later one: mend the later one, never this test."""
    assert statement(RECORDS[Credential]) == (
        b'["credential","credential:C1","default","openai","Work",["language","embedding"],'
        b'{"base_url":"https://api.openai.com/v1"},{"api_key":"kc1:' + b"A" * 200 + b'"},{},null,'
        b'"{\\"a\\": 1, \\"b\\": 2}","2026-01-02T03:04:05.678901Z","2026-01-02T03:04:05.678901Z",1]'
    )
    assert statement(RECORDS[Model]) == (
        b'["model","model:M1","default","openai","gpt","language","credential:C1",null,0,1,'
        b'"2026-01-02T03:04:05.678901Z","2026-01-02T03:04:05.678901Z",1]'
    )
    assert statement(RECORDS[Defaults]) == b'["defaults","default",[["default_chat_model","model:M1"]],1]'
    limited = replace(RECORDS[Token], limits=Limits(concurrent=2), reach=Reach(providers=("openai",)))
    assert statement(limited) == (
        b'["token","token:T1","default","ci",["credentials:read","invoke"],"' + b"ab" * 32 + b'",'
        b'"2026-01-02T03:04:05.678901Z",null,null,{"concurrent":2},{"providers":["openai"]},null]'
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"created": datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))}, {"created": THEN}),
        ({"extra": {"n": 2**80}}, {"extra": {"n": 2**80 + 1}}),
        ({"extra": {"t": "\ud800"}}, {"extra": {"t": "\ud801"}}),
        ({"settings": {"t": "\ud800"}}, {"settings": {"t": "\\ud800"}}),
        ({"settings": {"n": 1}}, {"settings": {"n": True}}),
        ({"settings": {"n": 1}}, {"settings": {"n": "1"}}),
        ({"settings": {"a": "b"}, "sealed": {}}, {"settings": {}, "sealed": {"a": "b"}}),
    ],
)
def test_odd_contents_have_texts_of_their_own(one: dict[str, Any], other: dict[str, Any]) -> None:
    record = RECORDS[Credential]
    assert statement(replace(record, **one)) != statement(replace(record, **other))


def test_the_same_moment_and_the_same_map_give_the_same_text() -> None:
    record = RECORDS[Credential]
    elsewhere = record.created.astimezone(timezone(timedelta(hours=5, minutes=30)))  # type: ignore[union-attr]  # it has one
    turned = {"b": 2, "a": 1}
    assert statement(replace(record, created=elsewhere, extra=turned)) == statement(record)


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: type(record).__name__)
def test_a_proof_holds_for_its_content_only(record: Proven, keys: OpenKeyset) -> None:
    made, its = proven(record, keys, primary_of(keys.record))
    assert weight(made, keys) == its
    assert proven(made, keys, primary_of(keys.record))[0] is made, "made again it is the same"
    assert digest(made, keys) in made.proof
    assert weight(record, keys) == UNPROVEN
    forgeries = ("1:", "1:" + "A" * 32, made.proof + "=", made.proof.replace("1:", "01:"), made.proof[:-1])
    assert {weight(replace(made, proof=proof), keys) for proof in forgeries} == {FORGED}
    for proof in ("2:" + "A" * 32, "0:x", "999999999:x"):
        assert "needs data key" in str(weight(replace(made, proof=proof), keys))
    for proof in ("", "x", "-1:x", "٣:x", "9" * 5000 + ":x"):
        assert weight(replace(made, proof=proof), keys) == UNPROVEN


def test_the_sum_is_masked_by_its_number(keys: OpenKeyset) -> None:
    assert {unmasked(masked(total, 7, keys), 7, keys) == total for total in (0, 1, 2**256 - 1)} == {True}
    assert masked(5, 7, keys) != masked(5, 8, keys)
    assert unmasked(masked(5, 7, keys), 8, keys) != 5
    assert {unmasked(text, 7, keys) for text in ("", "nonsense")} == {-1}
    assert added(added(5, 2**256 - 1), -4) == 0

"""Records for tests, each complete, each with an id of its own; the arguments are the fields that are to differ."""

from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from msgspec.structs import replace

from keycairn.domain.audit import Action, AuditEvent
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId
from keycairn.domain.key_rotation.record import KeyRotation, Policy, rotation_id
from keycairn.domain.keyset import Keyset, KeySlot, KeyState
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.outcome import CheckRecord, Outcome
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.token import Scope, Token
from keycairn.domain.usage import UsageKey

THEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WORKSPACE = "default"
_numbers = count(1)


def a_credential(**fields: Any) -> Credential:
    """A credential at OpenAI with a sealed key."""
    credential = Credential(
        id=CredentialId(f"credential:C{next(_numbers):08}"),
        provider="openai",
        name="Work",
        modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
        settings={"base_url": "https://api.openai.com/v1"},
        sealed={"api_key": SealedSecret("kc1:" + "A" * 200)},
        created=THEN,
        updated=THEN,
    )
    return replace(credential, **fields)


def a_model(**fields: Any) -> Model:
    """A language model that is linked to no credential."""
    number = next(_numbers)
    model = Model(
        id=ModelId(f"model:M{number:08}"),
        provider="openai",
        name=f"gpt-{number}",
        type=Modality.LANGUAGE,
        created=THEN,
        updated=THEN,
    )
    return replace(model, **fields)


def an_event(**fields: Any) -> AuditEvent:
    """An audit event without a place in the chain."""
    event = AuditEvent(
        id=EventId(f"event:E{next(_numbers):08}"),
        at=THEN,
        workspace=WORKSPACE,
        actor="in-process",
        action=Action.CREDENTIAL_CREATED,
        target="credential:x",
    )
    return replace(event, **fields)


def a_key_rotation(credential: CredentialId, **fields: Any) -> KeyRotation:
    """The rotation of a credential's key, every ninety days."""
    rotation = KeyRotation(
        id=rotation_id(credential),
        workspace="default",
        provider="openai",
        credential=credential,
        policy=Policy(every_days=90),
        key_id="key_1",
        created=THEN,
        updated=THEN,
    )
    return replace(rotation, **fields)


def a_token(**fields: Any) -> Token:
    """A token that may read credentials and call models."""
    token = Token(
        id=TokenId(f"token:T{next(_numbers):08}"),
        name="ci",
        scopes=(Scope.CREDENTIALS_READ, Scope.INVOKE),
        mac="ab" * 32,
        created=THEN,
    )
    return replace(token, **fields)


def a_keyset(**fields: Any) -> Keyset:
    """The first keyset of an installation, with one data key."""
    keyset = Keyset(
        install_id="01KDWE9G",
        generation=1,
        keys={1: KeyState.PRIMARY},
        slots=(
            KeySlot(slot_id="s1", kdf="argon2id", params={"memory_kib": 65536}, salt="c2FsdA==", wrapped="d3JhcA=="),
        ),
        created=THEN,
    )
    return replace(keyset, **fields)


def a_check(**fields: Any) -> CheckRecord:
    """A check of a key that went well."""
    return replace(CheckRecord(outcome=Outcome.OK, message="The key works.", at=THEN, duration_ms=12), **fields)


def a_usage_key(day: date = date(2026, 1, 2), **fields: str) -> UsageKey:
    """What usage of a day is counted under."""
    given = {"workspace": WORKSPACE, "token": "token:T1", "credential": "credential:C1", "model": "model:M1", **fields}
    return UsageKey(day=day, **given)

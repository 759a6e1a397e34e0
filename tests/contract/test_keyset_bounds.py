"""What a keyset record of a database others may write to can cost before any key is checked: next to nothing."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.fakes import NOON

from keycairn.adapters.aesgcm import AesGcmKeysets, Argon2Cost
from keycairn.adapters.aesgcm.soundness import MOST_SLOTS
from keycairn.domain.errors import DamagedKeysetError, WrongRootKeyError
from keycairn.domain.keyset import Keyset, KeySlot, KeyState
from keycairn.domain.rootkey import RootKey, RootKeyForm, parse_root_key
from keycairn.domain.secret import Secret

WORDS = parse_root_key(Secret("passphrase:lantern orbit velvet crumbs"))
OTHER_WORDS = parse_root_key(Secret("passphrase:lantern orbit velvet crumb"))
RAW = RootKey(RootKeyForm.RAW, Secret("3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))
OPENER = AesGcmKeysets()
RECORD = OPENER.create(WORDS, NOON)
[SLOT] = RECORD.slots
SECONDS = 0.1
"""Less than one derivation of a passphrase takes, and 300 of them took half a minute."""


def with_slot(**changes: object) -> Callable[[Keyset], Keyset]:
    return lambda record: replace(record, slots=(replace(SLOT, **changes),))


def with_params(**params: int) -> Callable[[Keyset], Keyset]:
    return with_slot(params={**SLOT.params, **params})


def copies(count: int, **changes: object) -> Callable[[Keyset], Keyset]:
    slots = tuple(replace(SLOT, slot_id=f"slot-{number + 1}", **changes) for number in range(count))
    return lambda record: replace(record, slots=slots)


COSTLY = {"iterations": 12, "lanes": 4, "memory_kib": 64 * 1024}

DAMAGES: dict[str, Callable[[Keyset], Keyset]] = {
    "300 slots": copies(300),
    "one slot too many": copies(MOST_SLOTS + 1),
    "100,000 copies of one slot": lambda record: replace(record, slots=(SLOT,) * 100_000),
    "no slot": copies(0),
    "the same slot twice": lambda record: replace(record, slots=(SLOT, SLOT)),
    "two slots of one id": lambda record: replace(record, slots=(SLOT, replace(SLOT, salt="A" * 22 + "=="))),
    "each slot dear": copies(MOST_SLOTS, params=COSTLY),
    "much memory": with_params(memory_kib=2**31),
    "a gibibyte": with_params(memory_kib=1024 * 1024),
    "many passes": with_params(iterations=10_000),
    "many lanes": with_params(lanes=2**20),
    "memory times passes": with_params(memory_kib=256 * 1024, iterations=16),
    "no memory": with_params(memory_kib=0),
    "negative passes": with_params(iterations=-1),
    "a param more": with_params(threads=4),
    "no params": with_slot(params={}),
    "params of the other derivation": with_slot(kdf="hkdf-sha256"),
    "an unknown derivation": with_slot(kdf="scrypt"),
    "a huge wrapped text": with_slot(wrapped="A" * 20_000_000),
    "a long wrapped text": with_slot(wrapped="A" * 160),
    "an empty wrapped text": with_slot(wrapped=""),
    "a huge salt": with_slot(salt="A" * 20_000_000),
    "a short salt": with_slot(salt="AAAA"),
    "a slot's id without a number": with_slot(slot_id="slot-"),
    "a slot's id with another number": with_slot(slot_id="slot-\u0661"),
    "a slot's id of many digits": with_slot(slot_id="slot-" + "9" * 5000),
    "a huge slot's id": with_slot(slot_id="x" * 20_000_000),
    "huge wrapped keys": lambda record: replace(record, wrapped_keys="A" * 20_000_000),
    "a huge installation": lambda record: replace(record, install_id="a" * 20_000_000),
    "no data key": lambda record: replace(record, keys={}),
    "no primary data key": lambda record: replace(record, keys={1: KeyState.RETIRED}),
    "two primary data keys": lambda record: replace(record, keys={1: KeyState.PRIMARY, 2: KeyState.PRIMARY}),
    "data keys without end": lambda record: replace(
        record, keys={1: KeyState.PRIMARY} | dict.fromkeys(range(2, 100_000), KeyState.RETIRED)
    ),
    "a data key's number of nine bytes": lambda record: replace(record, keys={2**63: KeyState.PRIMARY}),
    "a negative data key": lambda record: replace(record, keys={-1: KeyState.PRIMARY}),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("root_key", [WORDS, OTHER_WORDS, RAW], ids=["right", "wrong", "other form"])
def test_a_record_no_keyset_can_be_is_named_as_damaged_before_any_derivation(damage: str, root_key: RootKey) -> None:
    record = DAMAGES[damage](RECORD)
    begun = time.process_time()
    with pytest.raises(DamagedKeysetError, match="damaged") as refusal:
        OPENER.open(record, root_key)
    assert time.process_time() - begun < SECONDS
    assert len(str(refusal.value)) < 400


def test_as_many_slots_as_there_may_be_are_still_tried() -> None:
    opener = AesGcmKeysets(Argon2Cost(iterations=1, lanes=1, memory_kib=64))
    keyset = opener.open(opener.create(WORDS, NOON), WORDS)
    for _ in range(MOST_SLOTS - 2):
        keyset = keyset.with_slot(RAW)
    keyset = keyset.with_slot(OTHER_WORDS)
    assert opener.open(keyset.record, WORDS).slot == "slot-1"
    assert opener.open(keyset.record, OTHER_WORDS).slot == f"slot-{MOST_SLOTS}"
    assert opener.open(keyset.record, RAW).slot == f"slot-{MOST_SLOTS - 1}", "the youngest it opens"
    with pytest.raises(WrongRootKeyError) as refusal:
        opener.open(keyset.record, parse_root_key(Secret("passphrase:another lantern altogether")))
    assert not isinstance(refusal.value, DamagedKeysetError)


def test_eight_slots_of_the_usual_cost_are_sound() -> None:
    record = replace(RECORD, slots=tuple(KeySlot(**{**fields(SLOT), "slot_id": f"slot-{n}"}) for n in range(1, 9)))
    with pytest.raises(WrongRootKeyError) as refusal:
        OPENER.open(record, RAW)
    assert not isinstance(refusal.value, DamagedKeysetError)


def fields(slot: KeySlot) -> dict[str, Any]:
    return {name: getattr(slot, name) for name in slot.__struct_fields__}

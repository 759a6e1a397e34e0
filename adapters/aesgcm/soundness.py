"""What a stored keyset may look like. It is read from a database others may write to, before any key can be checked."""

import re
from collections.abc import Iterator

from keycairn.adapters.aesgcm.kdf import ARGON2ID, HKDF_SHA256, SALT_BYTES, Argon2Cost, argon2_cost, decoded
from keycairn.adapters.aesgcm.key import KEY_BYTES
from keycairn.domain.keyset import Keyset, KeySlot, KeyState

MOST_SLOTS = 8
MOST_KEYS = 4096
LONGEST_ID = 128
"""Characters of an installation's id."""
WRAPPED_SLOT_BYTES = 32 + 32 + KEY_BYTES + 16
"""Salt, commitment, the keyset key, and the tag."""
MOST_WORK_TOGETHER = MOST_SLOTS * Argon2Cost().work
"""What all slots may ask for together, in KiB times passes."""
_SLOT_ID = re.compile(r"slot-([1-9][0-9]{0,8})", re.ASCII)
_LARGEST_KID = 2**32 - 1


def slot_number(slot: KeySlot) -> int:
    """The number in a sound slot's id; the youngest slot has the largest."""
    return int(slot.slot_id.rpartition("-")[2])


def flaw_of(keyset: Keyset) -> str | None:
    """Why no keyset of ours looks like this, None where it may be one. Costs next to nothing: no key is derived."""
    return next(_flaws(keyset), None)


def _flaws(keyset: Keyset) -> Iterator[str]:
    if not 1 <= len(keyset.slots) <= MOST_SLOTS:
        yield f"it has {len(keyset.slots)} slots, and may have from 1 to {MOST_SLOTS}"
        return  # what follows looks at each
    ids = [slot.slot_id for slot in keyset.slots]
    if not all(map(_SLOT_ID.fullmatch, ids)) or len(set(ids)) < len(ids):
        yield "the ids of its slots are not those of slots, or one is there twice"
    if not all(map(_is_sound, keyset.slots)):
        yield "a slot of it is malformed, or asks for more work than any slot may"
    elif sum(_work(slot) for slot in keyset.slots) > MOST_WORK_TOGETHER:
        yield "its slots together ask for more work than they may"
    if not 1 <= len(keyset.keys) <= MOST_KEYS or not all(1 <= kid <= _LARGEST_KID for kid in keyset.keys):
        yield f"it must have from 1 to {MOST_KEYS} data keys"
    elif list(keyset.keys.values()).count(KeyState.PRIMARY) != 1:
        yield "it must have one primary data key"
    if len(keyset.install_id) > LONGEST_ID or len(keyset.wrapped_keys) > _longest_wrapping(len(keyset.keys)):
        yield "a text in it is longer than it can be"


def _is_sound(slot: KeySlot) -> bool:
    wrapped = decoded(slot.wrapped) if len(slot.wrapped) <= 2 * WRAPPED_SLOT_BYTES else None
    salt = decoded(slot.salt) if len(slot.salt) <= 2 * SALT_BYTES else None
    if wrapped is None or len(wrapped) != WRAPPED_SLOT_BYTES or salt is None or len(salt) != SALT_BYTES:
        return False
    return not slot.params if slot.kdf == HKDF_SHA256 else slot.kdf == ARGON2ID and argon2_cost(slot.params) is not None


def _work(slot: KeySlot) -> int:
    cost = argon2_cost(slot.params) if slot.kdf == ARGON2ID else None
    return cost.work if cost else 0


def _longest_wrapping(keys: int) -> int:
    """Characters of the wrapped keys in base64, with room for more keys of other purposes."""
    return 2 * (4096 + keys * (4 + KEY_BYTES))

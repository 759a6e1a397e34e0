"""From a root key to the key of a slot."""

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from threading import Lock

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from keycairn.adapters.aesgcm.key import KEY_BYTES, Key
from keycairn.domain.errors import RootKeyError
from keycairn.domain.keyset import KeySlot
from keycairn.domain.rootkey import RootKey, RootKeyForm

HKDF_SHA256 = "hkdf-sha256"
ARGON2ID = "argon2id"
KDF_OF = {RootKeyForm.RAW: HKDF_SHA256, RootKeyForm.PASSPHRASE: ARGON2ID}
SALT_BYTES = 16
MOST_ITERATIONS = 16
MOST_LANES = 16
MOST_MEMORY_KIB = 256 * 1024
MOST_WORK = 4 * 3 * 64 * 1024
"""What a stored slot may ask for at most: a tampered record must not exhaust the machine. Work is KiB times passes."""

_ONE_AT_A_TIME = Lock()
"""OpenSSL has one pool of threads for the lanes of all derivations: two at once wait for each other for ever, or are
told that there is no memory. It also keeps many proofs at once from taking 64 MiB each."""


class Argon2Cost(Struct, frozen=True, kw_only=True):
    """What guessing one passphrase costs. The default is the second recommendation of RFC 9106, section 4."""

    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 64 * 1024

    @property
    def work(self) -> int:
        """What deriving a key takes: KiB of memory times passes over it."""
        return self.iterations * self.memory_kib

    @property
    def params(self) -> dict[str, int]:
        """As a slot records it."""
        return {"iterations": self.iterations, "lanes": self.lanes, "memory_kib": self.memory_kib}


def fresh_salt() -> str:
    """A random salt, in base64."""
    return b64encode(os.urandom(SALT_BYTES)).decode()


def slot_key(root_key: RootKey, kdf: str, params: Mapping[str, int], salt: str) -> Key | None:
    """The key a slot is wrapped under; None when the slot is for the other form of root key, or makes no sense.

    Raises RootKeyError when the machine lacks the memory Argon2id asks for.
    """
    salted = decoded(salt)
    if salted is None or len(salted) != SALT_BYTES or kdf != KDF_OF[root_key.form]:
        return None
    if kdf == HKDF_SHA256:
        info = b"keycairn/1 root key"
        return Key(HKDF(SHA256(), KEY_BYTES, salted, info).derive(root_key.raw())) if not params else None
    cost = argon2_cost(params)
    return None if cost is None else _argon2id(root_key, cost, salted)


def _argon2id(root_key: RootKey, cost: Argon2Cost, salt: bytes) -> Key:
    try:
        function = Argon2id(
            salt=salt, length=KEY_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
        )
        with _ONE_AT_A_TIME:
            return Key(function.derive(root_key.raw()))
    except MemoryError:
        message = (
            f"Checking the passphrase needs {cost.memory_kib // 1024} MiB of free memory. Free some and start again."
        )
        raise RootKeyError(message) from None


def argon2_cost(params: Mapping[str, int]) -> Argon2Cost | None:
    """The cost a slot's params ask for; None where they are no params of Argon2id, or out of bounds."""
    if set(params) != set(Argon2Cost().params):
        return None
    cost = Argon2Cost(**params)
    sound = (
        1 <= cost.iterations <= MOST_ITERATIONS
        and 1 <= cost.lanes <= MOST_LANES
        and 8 * cost.lanes <= cost.memory_kib <= MOST_MEMORY_KIB
        and cost.work <= MOST_WORK
    )
    return cost if sound else None


def decoded(text: str) -> bytes | None:
    """The bytes of canonical base64, None for any other text."""
    try:
        raw = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    return raw if b64encode(raw).decode() == text else None


def slot_place(install_id: str, slot: KeySlot) -> list[bytes]:
    """What a slot's wrapping is bound to: the installation and everything the slot says about itself."""
    params = ",".join(f"{name}={value}" for name, value in sorted(slot.params.items()))
    return [text.encode("utf-8", "surrogatepass") for text in (install_id, slot.slot_id, slot.kdf, params, slot.salt)]

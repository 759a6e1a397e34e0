"""The root key: what the operator supplies, in an explicit form."""

from base64 import b64decode
from binascii import Error as Base64Error
from enum import StrEnum

from msgspec import Struct

from keycairn.domain.errors import RootKeyError
from keycairn.domain.secret import Secret

RAW_BYTES = 32
SHORTEST_PASSPHRASE = 12
_HOW = "Make one with: echo base64:$(openssl rand -base64 32)"
_EXAMPLES = frozenset(
    {"changeme", "change-me", "password", "passphrase", "secret", "example", "your-secret-key", "your-secret-key-here"}
)


class RootKeyForm(StrEnum):
    """How the key in a root key is derived: HKDF for random bytes, Argon2id for words."""

    RAW = "base64"
    PASSPHRASE = "passphrase"  # noqa: S105  # a form


class RootKey(Struct, frozen=True):
    """A parsed root key. `material` is base64 of 32 bytes, or the passphrase."""

    form: RootKeyForm
    material: Secret

    def raw(self) -> bytes:
        """The 32 bytes of a raw key, or the passphrase's UTF-8."""
        text = self.material.reveal()
        return b64decode(text) if self.form is RootKeyForm.RAW else text.encode()


def parse_root_key(text: Secret) -> RootKey:
    """The root key of the setting's text. Raises RootKeyError; never guesses which form was meant."""
    form, colon, value = text.reveal().strip().partition(":")
    if not colon or form not in set(RootKeyForm):
        raise RootKeyError(f"The root key must begin with base64: or passphrase:. {_HOW}")
    if form == RootKeyForm.RAW:
        return RootKey(RootKeyForm.RAW, _random_bytes(value))
    return RootKey(RootKeyForm.PASSPHRASE, _passphrase(value))


def _random_bytes(value: str) -> Secret:
    try:
        raw = b64decode(value, validate=True)
    except (Base64Error, ValueError):
        raise RootKeyError(f"The root key after base64: is not base64. {_HOW}") from None
    if len(raw) != RAW_BYTES:
        raise RootKeyError(f"The root key after base64: is {len(raw)} bytes long; it must be {RAW_BYTES}. {_HOW}")
    if len(set(raw)) < RAW_BYTES // 4 or raw == bytes(range(RAW_BYTES)):
        raise RootKeyError(f"The root key after base64: is not random. {_HOW}")
    return Secret(value)


def _passphrase(value: str) -> Secret:
    if value.strip().lower() in _EXAMPLES:
        raise RootKeyError(f"The root key is a well-known example value. {_HOW}")
    if len(value) < SHORTEST_PASSPHRASE or len(set(value)) < SHORTEST_PASSPHRASE // 2:
        raise RootKeyError(
            f"The root key after passphrase: is too weak; use at least {SHORTEST_PASSPHRASE} characters, "
            f"better six words. {_HOW}"
        )
    return Secret(value)

"""The root key: what the operator supplies, in an explicit form."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from enum import StrEnum
from itertools import pairwise
from unicodedata import normalize

from msgspec import Struct

from keycairn.domain.errors import RootKeyError
from keycairn.domain.secret import Secret

RAW_BYTES = 32
SHORTEST_PASSPHRASE = 12
_HOW = "Make one with: echo base64:$(openssl rand -base64 32)"
_PUBLISHED = frozenset(
    {
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",  # NIST SP 800-38A, AES-256
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",  # the GCM specification, test case 14 on
        "730ff4c7af3d46923e8ed451ee813c87f790b0a226bc96a92de49b5e9c05e1ee",  # the Fernet specification
    }
)
_EXAMPLES = frozenset(
    {
        "changeit",
        "changeme",
        "changethis",
        "correcthorsebatterystaple",
        "default",
        "example",
        "examplepassphrase",
        "keycairn",
        "mysecretkey",
        "mysupersecretkey",
        "passphrase",
        "password",
        "placeholder",
        "qwertyuiop",
        "rootkey",
        "secret",
        "secretkey",
        "supersecret",
        "supersecretkey",
        "yourencryptionkey",
        "yourpassphrase",
        "yourpassphrasehere",
        "yourrootkey",
        "yoursecretkey",
        "yoursecretkeyhere",
    }
)
"""Compared with what is left of a passphrase without separators, a few digits, and repetition."""


class RootKeyForm(StrEnum):
    """How the key in a root key is derived: HKDF for random bytes, Argon2id for words."""

    RAW = "base64"
    PASSPHRASE = "passphrase"  # noqa: S105  # a form


class RootKey(Struct, frozen=True):
    """A parsed root key. `material` is standard base64 of 32 bytes, or the passphrase in Unicode's form NFC."""

    form: RootKeyForm
    material: Secret

    def raw(self) -> bytes:
        """The 32 bytes of a raw key, or the passphrase's UTF-8."""
        text = self.material.reveal()
        return b64decode(text) if self.form is RootKeyForm.RAW else text.encode()


def parse_root_key(text: Secret) -> RootKey:
    """The root key of the setting's text. Raises RootKeyError; never guesses which form was meant.

    After `base64:` stand 32 bytes in the standard or the URL-safe alphabet, with or without padding. White space
    around the text and around the value is no part of it.
    """
    form, colon, value = text.reveal().strip().partition(":")
    if not colon or form not in set(RootKeyForm):
        raise RootKeyError(f"The root key must begin with base64: or passphrase:. {_HOW}")
    if form == RootKeyForm.RAW:
        return RootKey(RootKeyForm.RAW, _random_bytes(value.strip()))
    return RootKey(RootKeyForm.PASSPHRASE, _passphrase(value.strip()))


def _random_bytes(value: str) -> Secret:
    raw = _decoded(value)
    if raw is None:
        raise RootKeyError(f"The root key after base64: is not base64. {_HOW}")
    if len(raw) != RAW_BYTES:
        raise RootKeyError(f"The root key after base64: is {len(raw)} bytes long; it must be {RAW_BYTES}. {_HOW}")
    if raw.hex() in _PUBLISHED:
        raise RootKeyError(f"The root key is a well-known example value. {_HOW}")
    if _patterned(raw):
        raise RootKeyError(f"The root key after base64: is not random. {_HOW}")
    return Secret(b64encode(raw).decode())


def _decoded(value: str) -> bytes | None:
    body = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        raw = b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (Base64Error, ValueError):
        return None
    # Left-over bits that are not zero are a slip of the pen in the last character.
    canonical = b64encode(raw).decode()
    return raw if body == canonical.rstrip("=") and len(value) in {len(body), len(canonical)} else None


def _patterned(raw: bytes) -> bool:
    """Whether `raw` is text, a progression, or repeats itself; 32 random bytes are so once in 2**45 cases."""
    steps = {(after - before) % 256 for before, after in pairwise(raw)}
    half = RAW_BYTES // 2
    text = all(32 <= byte < 127 for byte in raw)
    return text or len(set(raw)) < RAW_BYTES // 4 or len(steps) == 1 or raw[:half] == raw[half:]


def _passphrase(value: str) -> Secret:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise RootKeyError(f"The root key after passphrase: is not UTF-8 text. {_HOW}")
    if value.startswith(("$(", "${", "`", "<")):
        raise RootKeyError(f"The root key after passphrase: is a placeholder that nobody filled in. {_HOW}")
    if _core(value) in _EXAMPLES:
        raise RootKeyError(f"The root key is a well-known example value. {_HOW}")
    steps = {ord(after) - ord(before) for before, after in pairwise(value)}
    if len(value) < SHORTEST_PASSPHRASE or len(set(value)) < SHORTEST_PASSPHRASE // 2 or len(steps) < 3:
        raise RootKeyError(
            f"The root key after passphrase: is too weak; use at least {SHORTEST_PASSPHRASE} characters, "
            f"better six words. {_HOW}"
        )
    return Secret(normalize("NFC", value))


def _core(value: str) -> str:
    """The word a passphrase is made of, where it is one word with decoration."""
    if len(value) > 128 or sum(character.isdigit() for character in value) > 6:
        return value
    letters = re.sub(r"[\W\d_]+", "", value.lower())
    return re.sub(r"^(.+?)\1+$", r"\1", letters)

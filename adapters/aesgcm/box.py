"""Authenticated encryption of one value for one place. Everything Keycairn encrypts goes through these two functions.

Read this before changing anything here.

- A GCM nonce must never meet the same key twice: one repetition gives away the authentication key. So key AND nonce
  come out of HKDF with a fresh 32-byte random salt each time. Never pass a nonce in, never reuse a salt, never seal
  directly under a long-lived key. This is also what lifts the limit of 2**32 messages a key, and what keeps two
  machines restored from one snapshot apart.
- GCM alone does not commit to a key: one ciphertext can be built that opens under two. Hence the commitment in the
  header, which is compared before anything is decrypted.
- The associated data is what ties a ciphertext to its place. Each item carries its length, so no two lists give the
  same bytes. An item left out is a swap that nobody notices; an item added or reordered makes every stored ciphertext
  unreadable, and needs a new suite.
- Failures are returned, not raised: an exception would carry frames with derived keys to whoever prints locals.
"""

import hmac
import os
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keycairn.adapters.aesgcm.key import Key

SALT_BYTES = 32
_KEY_BYTES = 32
_NONCE_BYTES = 12
_COMMITMENT_BYTES = 32
_DOMAIN = b"keycairn/1"


class _Derived(NamedTuple):
    key: bytes
    nonce: bytes
    commitment: bytes


def _derive(key: Key, label: bytes, prefix: bytes, salt: bytes) -> _Derived:
    info = _DOMAIN + b" " + label + prefix + salt
    okm = key.expand(info, _KEY_BYTES + _NONCE_BYTES + _COMMITMENT_BYTES)
    return _Derived(okm[:_KEY_BYTES], okm[_KEY_BYTES:-_COMMITMENT_BYTES], okm[-_COMMITMENT_BYTES:])


def _associated(header: bytes, place: Sequence[bytes]) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in (_DOMAIN, header, *place))


def seal(key: Key, label: bytes, prefix: bytes, plain: bytes, place: Sequence[bytes]) -> bytes:
    """`prefix`, salt (32), commitment (32), then the ciphertext of `plain` and its 16-byte tag.

    `label` keeps the purposes of one key apart; `place` is what must be the same again for it to open.
    """
    salt = os.urandom(SALT_BYTES)
    derived = _derive(key, label, prefix, salt)
    header = prefix + salt + derived.commitment
    return header + AESGCM(derived.key).encrypt(derived.nonce, plain, _associated(header, place))


def unseal(key: Key, label: bytes, prefix: bytes, raw: bytes, place: Sequence[bytes]) -> bytes | None:
    """What `seal` was given, or None when `raw`, the key, the purpose or the place is not exactly the same."""
    start = len(prefix)
    end = start + SALT_BYTES + _COMMITMENT_BYTES
    header, ciphertext = raw[:end], raw[end:]
    derived = _derive(key, label, prefix, raw[start : start + SALT_BYTES])
    if raw[:start] != prefix or not hmac.compare_digest(header[start + SALT_BYTES :], derived.commitment):
        return None
    try:
        return AESGCM(derived.key).decrypt(derived.nonce, ciphertext, _associated(header, place))
    except InvalidTag:
        return None

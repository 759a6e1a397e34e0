"""Which conversation a call belongs to, so that its turns go to the account that has its beginning cached."""

from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

SAME = 2
"""Messages at the beginning that stay the same from turn to turn: what the system says, and the first question."""
LONG = 4096
"""Bytes of the beginning of a body that came in several pieces, which stand for its conversation."""


class _Body(Struct):
    prompt_cache_key: Any = None
    system: Raw | UnsetType = UNSET
    instructions: Raw | UnsetType = UNSET
    messages: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Body).decode
_items = msgspec.json.Decoder(list[Raw]).decode


def conversation_key(body: bytes) -> bytes:
    """16 bytes that are the same for all turns of a conversation, by the first piece of the body.

    The client's `prompt_cache_key` where it gives one, else a hash of how the conversation begins. It tells nothing and
    is kept nowhere.
    """
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return blake2b(body[:LONG], digest_size=16).digest()  # the first piece of a longer one
    if isinstance(found.prompt_cache_key, str):
        return blake2b(found.prompt_cache_key.encode("utf-8", "replace"), digest_size=16).digest()
    digest = blake2b(digest_size=16)
    for part in (found.system, found.instructions):
        if part is not UNSET:
            digest.update(bytes(part))
    for part in (found.messages, found.input):
        if part is not UNSET:
            for item in _first(part):
                digest.update(item)
    return digest.digest()


def _first(part: Raw) -> list[bytes]:
    try:
        return [bytes(item) for item in _items(part)[:SAME]]
    except msgspec.MsgspecError:
        return [bytes(part)]  # one text

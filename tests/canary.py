"""Looking for a key where it must not be, in every form it could have taken on the way."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote, quote_plus

from tests.spelled import SPELLINGS

SHORTEST_PIECE = 12
"""Characters of a key that count as a leak; a masked hint of the last four is none."""


@cache
def forms(key: str) -> frozenset[bytes]:
    """`key` as it is, in its pieces, in base64 at every alignment, and in every spelling of `tests.spelled`."""
    raw = key.encode()
    pieces = {raw[start : start + SHORTEST_PIECE] for start in range(max(1, len(raw) - SHORTEST_PIECE + 1))}
    encoded = {raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), repr(key)[1:-1].encode()}
    encoded |= {
        quote(key, safe="").encode(),
        quote_plus(key).encode(),
        "".join(f"%{byte:02X}" for byte in raw).encode(),
    }
    encoded |= {spell(key).encode() for spell in SPELLINGS.values()}
    encoded |= {form for shift in range(3) for form in _base64(raw, shift)}
    return frozenset(pieces | encoded)


def _base64(raw: bytes, shift: int) -> Iterable[bytes]:
    """The part of the base64 of `raw`, `shift` bytes into something else, that depends on nothing but `raw`."""
    begin, end = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(bytes(shift) + raw)[begin:end]


def scan(text: str | bytes, *keys: str) -> list[str]:
    """The keys that stand in `text` in any form; empty when it is clean."""
    haystack = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return [key for key in keys if any(form in haystack for form in forms(key))]

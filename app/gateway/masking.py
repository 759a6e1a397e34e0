"""Keeping the secrets of a call out of what its client receives."""

from collections.abc import Iterable, Sequence

from keycairn.domain.secret import MASK, Secret

SHORTEST = 6
"""Characters of the shortest text masked in an error or a header."""
SHORTEST_IN_CONTENT = 20
"""The same for an answer that is no error. A local server's key, `ollama` say, is also a word a model may write."""


def texts(secrets: Iterable[Secret]) -> list[str]:
    """The texts to mask, longest first, so that one inside of another leaves nothing behind.

    The lines of a longer secret, such as a key file, count each for itself.
    """
    found = {
        part for secret in secrets for part in (secret.reveal(), *secret.reveal().splitlines()) if len(part) >= SHORTEST
    }
    return sorted(found, key=len, reverse=True)


def with_sent(known: Sequence[str], sent: Iterable[str | Secret]) -> Sequence[str]:
    """`known` and the secrets among the header values `sent` that are not made of them, such as a minted token."""
    found = known
    for value in sent:
        if isinstance(value, Secret) and not value.reveal().endswith(tuple(known)):
            text = value.reveal().rpartition(" ")[2]
            found = sorted({*found, text}, key=len, reverse=True) if len(text) >= SHORTEST else found
    return found


def masked(body: bytes, secrets: Sequence[str]) -> bytes:
    """`body` with every secret replaced, also as JSON would spell it."""
    for secret in secrets:
        for spelling in _spellings(secret):
            body = body.replace(spelling, MASK.encode())
    return body


class ContentMask:
    """Masks secrets in an answer that passes by, each by as many stars, so that its length stays what was announced.

    Of a chunk that ends in the beginning of a secret that end waits for the next one; nothing else waits.
    """

    __slots__ = ("_held", "_inside", "_needles")

    def __init__(self, secrets: Sequence[str]) -> None:
        long = [secret for secret in secrets if len(secret) >= SHORTEST_IN_CONTENT and "\n" not in secret]
        self._needles = [spelling for secret in long for spelling in _spellings(secret)]
        self._inside = frozenset(b"".join(self._needles))
        self._held = b""

    def see(self, chunk: bytes) -> bytes:
        """What of the answer can go on now."""
        data = self._held + chunk if self._held else chunk
        for needle in self._needles:
            if needle in data:
                data = data.replace(needle, b"*" * len(needle))
        if data and data[-1] in self._inside and (waits := self._beginning(data)):
            self._held = data[-waits:]
            return data[:-waits]
        self._held = b""
        return data

    def rest(self) -> bytes:
        """What still waited when the answer ended."""
        held, self._held = self._held, b""
        return held

    def _beginning(self, data: bytes) -> int:
        """How many of the last bytes may be the beginning of a secret."""
        longest = 0
        for needle in self._needles:
            sizes = range(min(len(needle) - 1, len(data)), longest, -1)
            longest = next((size for size in sizes if data.endswith(needle[:size])), longest)
        return longest


def _spellings(secret: str) -> set[bytes]:
    plain = secret.encode("utf-8", "replace")
    return {plain, plain.replace(b"\\", b"\\\\").replace(b'"', b'\\"'), plain.replace(b"/", b"\\/")}

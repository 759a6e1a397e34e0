"""The limit on failed attempts to prove who one is, shared by every door."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from keycairn.domain.errors import KeycairnError
from keycairn.domain.secret import Secret

ATTEMPTS_PER_MINUTE = 20
MOST_ADDRESSES = 10_000
"""How many addresses the limit remembers; the one longest unseen is forgotten first."""
MOST_KNOWN_TOKENS = 1_000


class TooManyAttemptsError(KeycairnError):
    """Too many failed attempts from one address. `retry_after` is in seconds."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many failed attempts from this address. Wait a minute.")
        self.retry_after = retry_after


class Attempts:
    """Failed attempts of the last minute, by address, in memory.

    A token that was good before is let through to the check from an address over the limit, so that one attacker
    behind a shared address does not lock everybody out. Of such tokens only digests are kept.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def check(self, address: str, token: Secret) -> None:
        """Raise TooManyAttemptsError when the address used its attempts up."""
        recent = self._recent(address)
        if len(recent) >= ATTEMPTS_PER_MINUTE and _digest(token) not in self._known:
            raise TooManyAttemptsError(max(1, round(recent[0] + 60 - self._monotonic())))

    def failed(self, address: str) -> None:
        """Count one failed attempt."""
        recent = self._recent(address)
        recent.append(self._monotonic())
        self._failed[address] = recent[-ATTEMPTS_PER_MINUTE:]
        self._failed.move_to_end(address)
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def succeeded(self, token: Secret) -> None:
        """Remember a good token."""
        digest = _digest(token)
        self._known[digest] = None
        self._known.move_to_end(digest)
        while len(self._known) > MOST_KNOWN_TOKENS:
            self._known.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        begin = self._monotonic() - 60
        return [moment for moment in self._failed.get(address, ()) if moment > begin]


def _digest(token: Secret) -> bytes:
    return sha256(token.reveal().encode()).digest()

"""The limit on failed attempts to prove who one is, shared by every door."""

from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keycairn.domain.address import counted_as
from keycairn.domain.errors import AuthenticationError, TooManyAttemptsError
from keycairn.domain.secret import Secret

ATTEMPTS_PER_MINUTE = 20
MOST_ADDRESSES = 4_000
"""How many addresses the limit remembers; the one longest unseen is forgotten first. That bounds its memory to 2 MB."""

_T = TypeVar("_T")


class Attempts:
    """Failed attempts of the last minute, by address, in memory; an IPv6 address counts as its /64.

    `most` is how many a minute may have. Two limits of different things are two of these.
    """

    def __init__(self, monotonic: Callable[[], float], *, most: int = ATTEMPTS_PER_MINUTE) -> None:
        self._monotonic = monotonic
        self._most = most
        self._failed: OrderedDict[str, array[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raise TooManyAttemptsError when the address used its attempts up."""
        recent = self._recent(counted_as(address))
        if len(recent) >= self._most:
            raise TooManyAttemptsError(max(1, round(recent[0] + 60 - self._monotonic())))

    def failed(self, address: str) -> None:
        """Count one failed attempt."""
        counted = counted_as(address)
        recent = self._recent(counted)
        recent.append(self._monotonic())
        self._failed[counted] = recent[-self._most :]
        self._failed.move_to_end(counted)
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    async def proven(self, token: Secret, address: str, prove: Callable[[Secret], Awaitable[_T]]) -> _T:
        """What `prove` says of the token. It raises AuthenticationError for a wrong one, which counts as an attempt.

        A good token is let in whatever others did from its address: they must not be able to keep it out. What cannot
        be a token is seen by its checksum, so that a guess costs no more than a MAC. No token at all guesses nothing,
        and is not counted. Raises AuthenticationError, TooManyAttemptsError and what `prove` does.
        """
        if not token.reveal():
            raise AuthenticationError
        try:
            return await prove(token)
        except AuthenticationError:
            self.check(address)
            self.failed(address)
            raise

    def _recent(self, counted: str) -> "array[float]":
        begin = self._monotonic() - 60
        return array("d", [moment for moment in self._failed.get(counted, ()) if moment > begin])

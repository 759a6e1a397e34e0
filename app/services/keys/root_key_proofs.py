"""Proving the present root key: few tries, one at a time, and nothing else counts as one."""

import asyncio
from collections import deque
from collections.abc import Callable

from keycairn.domain.address import counted_as
from keycairn.domain.errors import (
    DamagedKeysetError,
    TooManyProofsError,
    WrongRootKeyError,
    WrongRootKeyProofError,
)
from keycairn.domain.keyset import Keyset
from keycairn.domain.rootkey import RootKey
from keycairn.ports.keyset import KeysetOpener

WRONG_PER_MINUTE = 10
"""Wrong proofs in a minute, from wherever they come and whichever token they came with."""
WRONG_PER_ADDRESS = 5
MOST_WAITING = 4
"""Proofs that are tried or wait for it at one time: each may take the memory and time of Argon2id for every slot."""


class Proofs:
    """Opens a keyset with what claims to be its root key. Wrong claims of the last minute are remembered in memory."""

    def __init__(self, opener: KeysetOpener, monotonic: Callable[[], float]) -> None:
        self._opener = opener
        self._monotonic = monotonic
        self._wrong: deque[tuple[float, str]] = deque(maxlen=WRONG_PER_MINUTE)
        self._trying = asyncio.Lock()
        self._waiting = 0

    async def slot(self, keyset: Keyset, claimed: RootKey | None, *, address: str) -> str:
        """The slot that `claimed` opens; None stands for text that is no root key.

        `keyset` is the one in use: a record that was only read from the database proves nothing. Raises
        WrongRootKeyProofError, or TooManyProofsError without a look at the claim.
        """
        address = counted_as(address)
        self._check(address)
        if self._waiting >= MOST_WAITING:
            raise TooManyProofsError(1)
        self._waiting += 1
        try:
            async with self._trying:
                self._check(address)
                try:
                    if claimed is not None:
                        return (await asyncio.to_thread(self._opener.open, keyset, claimed)).slot
                except DamagedKeysetError:
                    raise
                except WrongRootKeyError:
                    pass
                self._wrong.append((self._monotonic(), address))
                raise WrongRootKeyProofError
        finally:
            self._waiting -= 1

    def _check(self, address: str) -> None:
        now = self._monotonic()
        recent = [(at, where) for at, where in self._wrong if at > now - 60]
        mine = [at for at, where in recent if where == address]
        if len(recent) >= WRONG_PER_MINUTE or len(mine) >= WRONG_PER_ADDRESS:
            first = recent[0][0] if len(recent) >= WRONG_PER_MINUTE else mine[0]
            raise TooManyProofsError(max(1, round(first + 60 - now)))

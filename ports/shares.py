"""What several processes on one store may use together."""

from typing import Protocol

from keycairn.domain.shares import PoolPart, SharedPool


class Shares(Protocol):
    """Every method may raise StoreError or ConflictError: nothing was taken or given then."""

    async def take(self, pool: SharedPool, *, owed: float = 0.0) -> PoolPart:
        """A part of what is left, for this process. A pool that nobody has used yet is whole.

        `owed` is what this process used beyond its former part.
        """
        ...

    async def give(self, pool: SharedPool, amount: float) -> None:
        """Give back what was taken and not used."""
        ...

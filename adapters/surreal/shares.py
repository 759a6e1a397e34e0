"""Shares of what may be used, on a database that several processes use."""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from surrealdb import RecordID

from keycairn.adapters.surreal.errors import MOVED
from keycairn.adapters.surreal.following import Follower
from keycairn.adapters.surreal.lease import lease_rows
from keycairn.adapters.surreal.session import DatabaseConnection
from keycairn.adapters.surreal.statements import Transaction
from keycairn.domain.errors import ConflictError, RetryableConflictError
from keycairn.domain.shares import PoolLeft, PoolPart, SharedPool, given, taken

ATTEMPTS = 16
"""How often a part is worked out anew where another process takes one at the same moment."""
LONGEST_PAUSE = 0.05
_T = TypeVar("_T")
_holds = msgspec.json.Decoder(dict[str, float])


class SurrealShares:
    """A `keycairn.ports.shares.Shares`. Made by `SurrealStore`."""

    def __init__(self, connection: DatabaseConnection, follower: Follower) -> None:
        self._connection = connection
        self._follower = follower

    async def take(self, pool: SharedPool, *, owed: float = 0.0) -> PoolPart:
        """See `Shares.take`."""

        def step(left: PoolLeft | None, there: frozenset[str], now: datetime) -> tuple[PoolPart, PoolLeft]:
            return taken(left, pool, who=self._follower.lease.name, there=there, now=now, owed=owed)

        return await self._moved(pool, step)

    async def give(self, pool: SharedPool, amount: float) -> None:
        """See `Shares.give`."""

        def step(left: PoolLeft | None, there: frozenset[str], now: datetime) -> tuple[None, PoolLeft]:
            return None, given(left, pool, amount, who=self._follower.lease.name, there=there, now=now)

        await self._moved(pool, step)

    async def _moved(
        self, pool: SharedPool, step: Callable[[PoolLeft | None, frozenset[str], datetime], tuple[_T, PoolLeft]]
    ) -> _T:
        """Put what `step` leaves in place of what was left, unless another process did meanwhile."""
        id = RecordID("share", pool.key)
        for attempt in range(1, ATTEMPTS + 1):
            found = await self._connection.read(
                "RETURN [(SELECT * FROM $id), time::now(), (SELECT * FROM lease)]", {"id": id}
            )
            rows, now, leases = found[-1]
            others = (row for row in lease_rows(leases) if self._follower.lease.may_serve(row))
            there = frozenset(row.id for row in others) | {self._follower.lease.name}
            before = _left(rows[0]) if rows else None
            answer, after = step(before, there, now)
            whole = Transaction()
            version = 0 if before is None else before.version
            whole.expect(
                "((SELECT VALUE version FROM ONLY {id}) ?? 0) = {version}", otherwise=MOVED, id=id, version=version
            )
            whole.put("CONTENT {row}", id=id, row=_row(after, pool))
            if before is None:
                whole.add("DELETE share WHERE until != NONE AND until < {now} RETURN NONE", now=now)
            try:
                await self._connection.query(whole.text, whole.variables)
            except RetryableConflictError:
                await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.004 * attempt)))  # noqa: S311  # jitter
            else:
                return answer
        raise ConflictError


def _row(left: PoolLeft, pool: SharedPool) -> dict[str, Any]:
    row: dict[str, Any] = {"amount": left.amount, "at": left.at, "version": left.version}
    if left.holds:
        row["holds"] = msgspec.json.encode(left.holds).decode()
    if pool.until is not None:
        row["until"] = pool.until
    return row


def _left(row: Mapping[str, Any]) -> PoolLeft:
    """What is left by a row; of a row that somebody else wrote nothing is believed but its version."""
    try:
        at = row["at"].astimezone(UTC)
        holds = _holds.decode(row["holds"]) if row.get("holds") else {}
        return PoolLeft(amount=float(row["amount"]), at=at, holds=holds, version=int(row["version"]))
    except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError):
        version = row.get("version")
        return PoolLeft(amount=0.0, at=datetime.now(UTC), version=version if isinstance(version, int) else 0)

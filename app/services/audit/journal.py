"""The journal: every change goes through it, with its audit event, as the next link of a chain."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from keycairn.app.services.audit.linking import Known, Linked
from keycairn.domain.audit import Action, AuditEvent, Caller, Details, Head
from keycairn.domain.change import Append, Changeset
from keycairn.domain.errors import ConflictError, KeysetMovedError, SealedError
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.keyset import OpenKeyset
from keycairn.ports.store import Store

ATTEMPTS = 5
"""How often a commit is tried when the keyset changes under it."""
PAUSE = 0.01
"""Seconds, times the number of the attempt."""
PLANS = 8
"""How often a change is worked out anew when others write in between."""

_T = TypeVar("_T")
Plan = Callable[[], Awaitable[tuple[Changeset, _T]]]
"""Works out what to change by what is stored at this moment, and what to answer once that is committed."""


class Journal:
    """Commits changesets, their audit events chained.

    Closed until the vault opens it with the key of the chain; then nothing changes without a link.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._keys: OpenKeyset | None = None
        self._last: Head | None = None
        self._why = "The vault has not been opened yet."
        self.refresh: Callable[[], Awaitable[object]] = _nothing_newer
        """Has the keys that are stored by now, where another instance changed them."""

    def open(self, keys: OpenKeyset) -> None:
        """Chain and prove with the keys of the opened keyset from now on."""
        self._keys = keys

    def follow(self, last: Head | None) -> None:
        """Have the next link follow `last` at the earliest, whatever the database takes for the head of the chain."""
        self._last = last

    def close(self, why: str) -> None:
        """Refuse every commit, for the given reason, until it is opened again."""
        self._keys, self._why = None, why

    def event(
        self,
        by: Caller,
        action: Action,
        target: str,
        *,
        outcome: str = "done",
        details: Details | None = None,
    ) -> Append:
        """An event as a change. `details` holds names and counts, never values."""
        return Append(
            AuditEvent(
                id=self._ids.event(),
                at=self._clock.now(),
                workspace=by.workspace,
                actor=by.actor,
                action=action,
                target=target,
                outcome=outcome,
                source=by.source,
                request_id=by.request_id,
                details=details or {},
            )
        )

    async def commit(
        self, changes: Changeset, *, known: Known | None = None, carried: Mapping[str, str] | None = None
    ) -> None:
        """Commit all of `changes` or none, each event in it as the next link. Raises as `Store.commit`, or SealedError.

        `known` is what the records are taken to come to. `carried` is what an event that goes told of records, which
        must be among the changes (`Touch`): where it is still true, the event of this commit tells it. Cancelled while
        it runs, it goes on without its caller.
        """
        for attempt in range(1, ATTEMPTS + 1):
            linked = Linked(self.keys, self._last, known, carried or {})
            try:
                await self._store.commit(changes, linked.finish)
            except KeysetMovedError:  # often our own change of it, which is not in use yet
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(PAUSE * attempt)
                await self.refresh()
            else:
                if linked.head is not None and (self._last is None or self._last.seq < linked.head.seq):
                    self._last = linked.head
                return

    async def retried(self, plan: Plan[_T]) -> _T:
        """Commit what `plan` works out, and give its answer; without changes the answer alone.

        Where somebody else wrote in between, it is worked out anew; with the keys that are stored by then, because a
        rotation may have retired the one that something was sealed with. Raises what `plan` does, and what `commit`
        does; ConflictError after some attempts.
        """
        for attempt in range(1, PLANS + 1):
            changes, answer = await plan()
            if not changes:
                return answer
            try:
                await self.commit(changes)
            except ConflictError:
                if attempt == PLANS:
                    raise
                await self.refresh()
            else:
                return answer
        raise AssertionError("the last attempt returns or raises")

    @property
    def keys(self) -> OpenKeyset:
        """The keys of the chain and of the proofs. Raises SealedError while the journal is closed."""
        if self._keys is None:
            raise SealedError(self._why)
        return self._keys

    @property
    def mac(self) -> Callable[[bytes], str]:
        """The MAC of the chain, in hex. Raises SealedError while the journal is closed."""
        return self.keys.audit_mac


async def _nothing_newer() -> None:
    """For a journal that no vault looks after."""

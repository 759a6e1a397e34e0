"""The journal: every change goes through it, with its audit event, as the next link of a chain."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from msgspec.structs import replace

from keycairn.domain.audit import Action, AuditEvent, Caller, Head, chained
from keycairn.domain.change import Append, Change, Changeset, MoveHead
from keycairn.domain.errors import ConflictError, HeadMovedError, SealedError, StoreError
from keycairn.ports.anchor import Anchor
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import Store

ATTEMPTS = 32
"""How often a changeset is linked anew when other processes append to the chain in between."""

_log = structlog.get_logger()


class Journal:
    """Commits changesets, their audit events chained.

    Closed until the vault opens it with the key of the chain; then nothing changes without a link. The head is also
    left with the anchor, after each commit: a database that comes back older than that has lost something.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids, anchor: Anchor) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._anchor = anchor
        self._mac: Callable[[bytes], str] | None = None
        self._why = "The vault has not been opened yet."
        self._linking = asyncio.Lock()
        self._under_way: set[asyncio.Future[None]] = set()

    def open(self, mac: Callable[[bytes], str]) -> None:
        """Chain with `mac` from now on."""
        self._mac = mac

    def close(self, why: str) -> None:
        """Refuse every commit, for the given reason, until it is opened again."""
        self._mac, self._why = None, why

    def event(
        self,
        by: Caller,
        action: Action,
        target: str,
        *,
        outcome: str = "done",
        details: Mapping[str, str | int | list[str]] | None = None,
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

    async def commit(self, changes: Changeset) -> None:
        """Commit all of `changes` or none, each event in it as the next link. Raises as `Store.commit`, or SealedError.

        Cancelled while it runs, it goes on without its caller.
        """
        task = asyncio.ensure_future(self._linked(changes, self.mac))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    @property
    def mac(self) -> Callable[[bytes], str]:
        """The MAC of the chain, in hex. Raises SealedError while the journal is closed."""
        if self._mac is None:
            raise SealedError(self._why)
        return self._mac

    async def _linked(self, changes: Changeset, mac: Callable[[bytes], str]) -> None:
        if not any(isinstance(change, Append) for change in changes):
            await self._store.commit(changes)
            return
        async with self._linking:
            for _ in range(ATTEMPTS):
                before = await self._store.head()
                whole, after = _link(changes, before, mac)
                try:
                    await self._store.commit(whole)
                except HeadMovedError:
                    continue  # another process of the same database was faster
                if after is not None and after != before:
                    self._keep(after)
                return
            raise ConflictError

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even where the caller was cancelled and asks no more

    def _keep(self, head: Head) -> None:
        try:
            self._anchor.save(head)
        except StoreError as error:
            # the change is committed, and must not be reported as failed
            _log.warning("the head of the audit chain could not be left beside the database", detail=str(error))


def _link(changes: Changeset, before: Head | None, mac: Callable[[bytes], str]) -> tuple[Changeset, Head | None]:
    head = before
    linked: list[Change] = []
    for change in changes:
        if isinstance(change, Append):
            event = replace(change.event, seq=head.seq + 1 if head else 1, mac="")
            head = Head(event.seq, mac(chained(event, head)))
            linked.append(Append(replace(event, mac=head.mac)))
        else:
            linked.append(change)
    if head is not None and head != before:
        linked.append(MoveHead(head, expected=before))
    return tuple(linked), head

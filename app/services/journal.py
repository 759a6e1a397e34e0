"""The journal: every change goes through it, with its audit event, as the next link of a chain."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from keycairn.domain.audit import Action, AuditEvent, Caller, Head, chained
from keycairn.domain.change import Append, Changeset
from keycairn.domain.draft import Draft
from keycairn.domain.errors import SealedError
from keycairn.domain.state import CURRENT
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import Store


class Journal:
    """Commits changesets, their audit events chained.

    Closed until the vault opens it with the key of the chain; then nothing changes without a link.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._mac: Callable[[bytes], str] | None = None
        self._why = "The vault has not been opened yet."

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
        mac = self.mac
        await self._store.commit(changes, lambda draft: _link(draft, mac))

    @property
    def mac(self) -> Callable[[bytes], str]:
        """The MAC of the chain, in hex. Raises SealedError while the journal is closed."""
        if self._mac is None:
            raise SealedError(self._why)
        return self._mac


def _link(draft: Draft, mac: Callable[[bytes], str]) -> None:
    """Put the events of a changeset as the next links of the chain, and its head."""
    if not draft.appended:
        return
    head = draft.get(Head, CURRENT)
    for event in draft.appended:
        link = replace(event, seq=head.seq + 1 if head else 1, mac="")
        head = Head(link.seq, mac(chained(link, head)))
        draft.put(replace(link, mac=head.mac))
    if head is not None:
        draft.put(head)

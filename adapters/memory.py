"""The store in memory: for tests and for trying things out. Nothing survives the process."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import date
from itertools import islice
from operator import attrgetter

from keycairn.adapters.memory_state import State, apply
from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter, Head
from keycairn.domain.change import (
    Changeset,
    only_counts,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    StoreNotEmptyError,
    StoreUnavailableError,
)
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.record import Record
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST, Position


class MemoryStore:
    """A `keycairn.ports.store.Store` whose commits swap one whole state for the next.

    Entities are copied on the way in; what a read gives is shared, so treat its mappings as read-only.
    """

    def __init__(self) -> None:
        self._current: State | None = State()
        self._writing = threading.Lock()

    @property
    def _state(self) -> State:
        if self._current is None:
            raise StoreUnavailableError("The database is closed.")
        return self._current

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """See `Store.credential`."""
        return self._state.credential(workspace, id)

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        """See `Store.credentials`."""
        place = attrgetter("provider", "created", "id")
        start = place(after) if after else None
        rows = (
            found
            for found in sorted(self._state.credentials.values(), key=place)
            if found.workspace == workspace
            and provider in {None, found.provider}
            and (start is None or place(found) > start)
        )
        return list(islice(rows, min(limit, MOST)))

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        """See `Store.all_credentials`."""
        found = sorted(self._state.credentials.values(), key=attrgetter("id"))
        return [credential for credential in found if after is None or credential.id > after][:limit]

    async def twins(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        """See `Store.twins`."""
        wanted = frozenset(fingerprints)
        found = (
            credential
            for credential in self._state.credentials.values()
            if credential.workspace == workspace and not wanted.isdisjoint(credential.fingerprints.values())
        )
        return sorted(found, key=attrgetter("provider", "created", "id"))[:MOST]

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """See `Store.model`."""
        return self._state.model(workspace, id)

    async def models(
        self,
        workspace: str,
        *,
        type: Modality | None = None,
        provider: str | None = None,
        credential: CredentialId | None = None,
        name: str | None = None,
        after: ModelId | None = None,
        limit: int | None = MOST,
    ) -> Sequence[Model]:
        """See `Store.models`."""
        rows = (
            found
            for found in sorted(self._state.models.values(), key=attrgetter("id"))
            if found.workspace == workspace
            and type in {None, found.type}
            and provider in {None, found.provider}
            and credential in {None, found.credential}
            and name in {None, found.name}
            and (after is None or found.id > after)
        )
        return list(islice(rows, None if limit is None else min(limit, MOST)))

    async def model_counts(self, workspace: str) -> Mapping[CredentialId, int]:
        """See `Store.model_counts`."""
        rows = self._state.models.values()
        return Counter(found.credential for found in rows if found.workspace == workspace and found.credential)

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        """See `Store.unlinked_models`."""
        found = await self.models(workspace, provider=provider, limit=None)
        return [model for model in found if model.credential is None]

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        """See `Store.providers_in_use`."""
        return frozenset(found.provider for found in self._state.credentials.values() if found.workspace == workspace)

    async def defaults(self, workspace: str) -> Defaults:
        """See `Store.defaults`."""
        return self._state.defaults.get(workspace) or Defaults(workspace=workspace)

    async def keyset(self) -> Keyset | None:
        """See `Store.keyset`."""
        return self._state.keyset

    async def any_sealed(self) -> bool:
        """See `Store.any_sealed`."""
        return any(found.sealed for found in self._state.credentials.values())

    async def token(self, id: TokenId) -> Token | None:
        """See `Store.token`."""
        return self._state.tokens.get(id)

    async def tokens(self, workspace: str) -> Sequence[Token]:
        """See `Store.tokens`."""
        rows = sorted(self._state.tokens.values(), key=attrgetter("id"))
        return [found for found in rows if found.workspace == workspace]

    async def events(
        self,
        workspace: str,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: int | None = None,
        limit: int = MOST,
    ) -> Sequence[AuditEvent]:
        """See `Store.events`."""
        rows = (
            found
            for found in sorted(self._state.events.values(), key=attrgetter("seq", "id"))
            if found.workspace == workspace and (after is None or found.seq > after) and matching.accepts(found)
        )
        return list(islice(rows, min(limit, MOST)))

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """See `Store.chain`."""
        rows = sorted(self._state.events.values(), key=attrgetter("seq"))
        return list(islice((found for found in rows if found.seq > after), min(limit, MOST)))

    async def event_count(self) -> int:
        """See `Store.event_count`."""
        return len(self._state.events)

    async def head(self) -> Head | None:
        """See `Store.head`."""
        return self._state.head

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """See `Store.usage`."""
        rows = self._state.usage.items()
        return {key: sums for key, sums in rows if key.workspace == workspace and since <= key.day <= until}

    async def commit(self, changes: Changeset) -> None:
        """See `Store.commit`."""
        await asyncio.sleep(0)  # let others run, as a database would: a missing compare-and-set then shows in tests
        with self._writing:
            state = self._state.copy()
            for change in changes:
                apply(change, state)
            state.revision += not only_counts(changes)
            state.before = state
            self._current = state

    async def revision(self) -> int:
        """See `Store.revision`."""
        return self._state.revision

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`. No commit has to wait: a state is never changed, only followed by another."""
        state = self._state

        async def records() -> AsyncIterator[Record]:
            for record in state.records():
                yield record

        yield records()

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        state = State()
        for record in records:
            state.put(deepcopy(record))
        await asyncio.sleep(0)
        with self._writing:
            if self._state.records():
                raise StoreNotEmptyError
            state.revision = self._state.revision + 1
            self._current = state

    async def ping(self) -> None:
        """See `Store.ping`."""
        _ = self._state

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        self._current = None

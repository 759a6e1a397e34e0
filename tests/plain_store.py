"""A store as a stranger would write it, from the port and the domain alone: records in a dict, searched each time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeVar

from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter, Head
from keycairn.domain.change import Changeset, only_counts
from keycairn.domain.credential import Credential
from keycairn.domain.draft import worked_out
from keycairn.domain.errors import RefusedRecordError, StoreNotEmptyError, StoreUnavailableError, UnreadableRecordError
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.key_rotation.record import KeyRotation, KeyRotationId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.proof import Check, Learn
from keycairn.domain.record import Record, UsageRecord, own
from keycairn.domain.state import Key, State, distinct, key_for
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.shares import Shares
from keycairn.ports.store import MOST, Finish, LostChangeset, Position

_R = TypeVar("_R", bound=Record)


class PlainStore:
    def __init__(self) -> None:
        self._records: dict[Key, Record] | None = {}
        self._revision = 0
        self._acknowledged: Head | None = None
        self._refused: dict[Key, UnreadableRecordError] = {}

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        return self._one(Credential, lambda found: (found.workspace, found.id) == (workspace, id))

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        place = (after.provider, after.created, after.id) if after else None
        found = self._all(Credential, lambda one: one.workspace == workspace and provider in {None, one.provider})
        return _page((one for one in sorted(found, key=_place) if place is None or _place(one) > place), limit)

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        return _page(self._all(Credential, lambda one: after is None or one.id > after), limit)

    async def with_same_secret(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        wanted = set(fingerprints)
        found = self._all(
            Credential, lambda one: one.workspace == workspace and bool(wanted & set(one.fingerprints.values()))
        )
        return _page(sorted(found, key=_place), MOST)

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        return self._one(Model, lambda found: (found.workspace, found.id) == (workspace, id))

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
        found = self._all(
            Model,
            lambda one: (
                one.workspace == workspace
                and type in {None, one.type}
                and provider in {None, one.provider}
                and credential in {None, one.credential}
                and name in {None, one.name}
                and (after is None or one.id > after)
            ),
        )
        return found if limit is None else _page(found, limit)

    async def model_counts(
        self, workspace: str, credentials: Collection[CredentialId] | None = None
    ) -> Mapping[CredentialId, int]:
        counts: dict[CredentialId, int] = {}
        for one in self._all(Model, lambda one: one.workspace == workspace):
            if one.credential is not None and (credentials is None or one.credential in credentials):
                counts[one.credential] = counts.get(one.credential, 0) + 1
        return counts

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        return self._all(
            Model, lambda one: (one.workspace, one.provider, one.credential) == (workspace, provider, None)
        )

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        return frozenset(one.provider for one in self._all(Credential, lambda one: one.workspace == workspace))

    async def defaults(self, workspace: str) -> Defaults:
        return self._one(Defaults, lambda one: one.workspace == workspace) or Defaults(workspace=workspace)

    async def keyset(self) -> Keyset | None:
        return self._one(Keyset)

    async def any_sealed(self) -> bool:
        return any(one.sealed for one in self._all(Credential)) or any(one.sealed for one in self._all(KeyRotation))

    async def token(self, id: TokenId) -> Token | None:
        return self._one(Token, lambda one: one.id == id)

    async def tokens(self, workspace: str) -> Sequence[Token]:
        return self._all(Token, lambda one: one.workspace == workspace)

    async def all_tokens(self) -> Sequence[Token]:
        return self._all(Token)

    async def key_rotation(self, id: KeyRotationId) -> KeyRotation | None:
        return self._one(KeyRotation, lambda one: one.id == id)

    async def key_rotations(self) -> Sequence[KeyRotation]:
        return self._all(KeyRotation)

    async def events(
        self, workspace: str, *, matching: EventFilter = EVERY_EVENT, after: int | None = None, limit: int = MOST
    ) -> Sequence[AuditEvent]:
        found = self._all(
            AuditEvent,
            lambda one: one.workspace == workspace and (after is None or one.seq > after) and matching.accepts(one),
        )
        return _page(sorted(found, key=lambda one: (one.seq, one.id)), limit)

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        return _page(sorted(self._all(AuditEvent, lambda one: one.seq > after), key=lambda one: one.seq), limit)

    async def event_count(self) -> int:
        return len(self._all(AuditEvent))

    async def head(self) -> Head | None:
        return self._one(Head)

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        found = self._all(UsageRecord, lambda one: one.key.workspace == workspace and since <= one.key.day <= until)
        return {one.key: one.usage for one in found}

    async def usage_before(self, day: date, *, limit: int = MOST) -> Sequence[UsageKey]:
        return _page((one.key for one in self._all(UsageRecord, lambda one: one.key.day < day)), limit)

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        state = State()
        for record in self._open().values():
            state.put(record)
        draft = worked_out(state, changes)
        for _ in (finish(draft) if finish is not None else None) or ():
            pass
        for key, image in draft.images.items():
            self._refused.pop(key, None)
            if image is None:
                self._open().pop(key, None)
            else:
                self._open()[key] = image
        self._revision += not only_counts(changes)
        if draft.appended:
            self._acknowledged = self._one(Head)
        await asyncio.sleep(0)

    async def revision(self) -> int:
        self._open()
        return self._revision

    async def acknowledged(self) -> Head | None:
        return self._acknowledged

    async def vouch(self) -> None:
        self._acknowledged = self._one(Head)

    async def lost(self) -> Sequence[LostChangeset]:
        return ()

    async def give_up(self, lost: Sequence[LostChangeset]) -> None:
        pass

    async def checkpoint(self) -> None:
        pass

    @property
    def leads(self) -> bool:
        return True

    @property
    def shares(self) -> Shares | None:
        return None

    def trust(self, check: Check, learn: Learn, refused: Mapping[Key, str]) -> None:
        for (kind, key), why in refused.items():
            self._refused[kind, key] = RefusedRecordError(kind, key, why)
            self._open().pop((kind, key), None)

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        return list(self._refused.values())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        state = State()
        for record in self._open().values():
            state.put(record)
        everything = state.records()

        async def records() -> AsyncIterator[Record]:
            for record in everything:
                yield record

        yield records()

    async def restore(self, records: Iterable[Record]) -> None:
        taken = {key_for(record): own(record) for record in distinct(records)}
        await asyncio.sleep(0)
        if self._open():
            raise StoreNotEmptyError
        self._records = dict(taken)
        self._acknowledged = self._one(Head)
        self._revision += 1

    async def ping(self) -> None:
        self._open()

    async def aclose(self) -> None:
        self._records = None

    def _open(self) -> dict[Key, Record]:
        if self._records is None:
            raise StoreUnavailableError("The store is closed.")
        return self._records

    def _all(self, kind: type[_R], matching: Callable[[_R], bool] = lambda _: True) -> list[_R]:
        """In the order of their keys."""
        found = sorted(self._open().items())
        return [record for _, record in found if isinstance(record, kind) and matching(record)]

    def _one(self, kind: type[_R], matching: Callable[[_R], bool] = lambda _: True) -> _R | None:
        return next(iter(self._all(kind, matching)), None)


def _place(one: Credential) -> tuple[Any, ...]:
    return one.provider, one.created, one.id


def _page(found: Iterable[Any], limit: int) -> list[Any]:
    return list(found)[: max(0, min(limit, MOST))]

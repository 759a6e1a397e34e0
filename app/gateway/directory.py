"""Who may call and what serves a name, remembered for as long as the store has not changed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

from msgspec import Struct

from keycairn.app.gateway.limits import Subject
from keycairn.app.lookup import linked
from keycairn.app.services.access import Principal, Tokens
from keycairn.app.services.models import defaults_within
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CredentialNotFoundError,
    InvalidIdError,
    ModelNotFoundError,
    NoDefaultError,
    UnlinkedModelError,
)
from keycairn.domain.ids import CredentialId, ModelId, credential_id, model_id
from keycairn.domain.limits import NO_LIMITS
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot, is_model_name
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.routing import SLOT_NAMES, Serving, ordered, qualified, unregistered
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

MOST = 10_000
"""Entries remembered of each kind; then all are forgotten and asked for again."""

MOST_LISTINGS = 8
LONGEST_LISTING = 2 * 2**20
"""Lists of models that are remembered, and how many bytes the longest of them may have."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class KnownCaller(Struct, frozen=True):
    """Who calls, until when, and whose limits it counts against: its own, and those of the tokens it was made with."""

    principal: Principal
    expires: datetime | None
    subjects: tuple[Subject, ...]


class Directory:
    """Answers from memory while `Store.revision` stands still, so that a revoked token or a rotated key holds at once.

    What is kept was worked out of several records, which takes longer than all else a call does before it goes out; a
    record by itself the store has at hand. Refusals are not remembered.
    """

    def __init__(self, store: Store, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._revision = -1
        self._callers: dict[bytes, KnownCaller] = {}
        self._serving: dict[tuple[str, str, Modality | None, frozenset[str] | None, Reach], Sequence[Serving]] = {}
        self._listings: dict[tuple[object, ...], Sequence[bytes]] = {}
        self._open_accounts: dict[tuple[str, str], Sequence[Credential]] = {}

    async def refresh(self) -> None:
        """Forget everything unless the store is as it was. Call it first, once for each request."""
        revision = await self._store.revision()
        if revision != self._revision:
            self._forget(revision)

    def remembered(self, token: Secret) -> KnownCaller | None:
        """Who calls, where that is known without asking anyone."""
        known = self._callers.get(_digest(token))
        if known is not None and known.expires is not None and known.expires <= self._clock.now():
            return None
        return known

    async def caller(self, token: Secret) -> KnownCaller:
        """Who calls. Raises AuthenticationError or SealedError."""
        memory = self._callers  # of this revision: what is read below must not outlive it
        known = await self.known(await self._tokens.authenticate(token))
        _remember(memory, _digest(token), known)
        return known

    async def known(self, principal: Principal) -> KnownCaller:
        """What is known of somebody who was proven already. Raises AuthenticationError."""
        stored = await self._store.token(principal.token) if principal.token else None
        held = [stored, *await self._tokens.makers(stored)] if stored else []
        subjects = tuple(Subject("token", one.id, one.workspace, one.limits) for one in held if one.limits != NO_LIMITS)
        return KnownCaller(principal, stored.expires if stored else None, subjects)

    async def serving(
        self,
        workspace: str,
        name: str,
        type: Modality | None,
        providers: frozenset[str] | None = None,
        reach: Reach = EVERYWHERE,
    ) -> Sequence[Serving]:
        """What serves a model's name and is within reach, in order of precedence, at least one.

        `name` is a model's id, `default:` and a slot, `provider/name`, or a name. `provider/name` that is not
        registered is served by the accounts of that provider that say so. Raises ModelNotFoundError,
        UnlinkedModelError, NoDefaultError or CredentialNotFoundError.
        """
        key = (workspace, name, type, providers, reach)
        memory = self._serving
        found = memory.get(key)
        if found is None:
            try:
                named = await self._rows(workspace, name, reach)
            except ModelNotFoundError:
                # Not remembered: whoever calls makes up such names.
                if passed := await self._unregistered(workspace, name, type, providers, reach):
                    return passed
                raise
            rows = ordered(await linked(self._store, named), type, providers)
            if not rows:
                raise UnlinkedModelError
            found = [Serving(row, await self._credential_of(row)) for row in rows]
            _remember(memory, key, found)
        return found

    async def _unregistered(
        self, workspace: str, name: str, type: Modality | None, providers: frozenset[str] | None, reach: Reach
    ) -> Sequence[Serving]:
        """What takes `provider/name` though it is not registered: accounts of that provider whose options say so."""
        provider, own = qualified(name) or ("", "")
        if not is_model_name(own) or (providers is not None and provider not in providers):
            return ()
        memory = self._open_accounts
        accounts = memory.get((workspace, provider))
        if accounts is None:
            listed = await self._store.credentials(workspace, provider=provider)
            accounts = [one for one in listed if one.options.any_model]
            _remember(memory, (workspace, provider), accounts)
        return [
            Serving(unregistered(own, type, one), one)
            for one in accounts
            if reach.holds(provider, one.id) and reach.names(provider, own) and (type is None or type in one.modalities)
        ]

    async def credential(self, workspace: str, key: str) -> Credential:
        """A credential by its id, with or without the `credential:` before it. Raises CredentialNotFoundError."""
        try:
            id = credential_id(key if key.startswith("credential:") else f"credential:{key}")
        except InvalidIdError:
            raise CredentialNotFoundError from None
        return await self._load(workspace, id)

    async def listing(
        self,
        workspace: str,
        key: tuple[object, ...],
        make: Callable[[Sequence[Model], Mapping[Slot, ModelId]], Awaitable[Sequence[bytes]]],
    ) -> Sequence[bytes]:
        """A list of the models of the workspace, in pieces, by what tells it from others.

        `make` makes it of all of them, and of the models of the slots.
        """
        memory = self._listings
        place = (workspace, *key)
        found = memory.get(place)
        if found is None:
            slots = (await self._store.defaults(workspace)).slots
            found = await make(await self._models(workspace), slots)
            if len(memory) >= MOST_LISTINGS:
                memory.clear()
            if sum(map(len, found)) <= LONGEST_LISTING:
                memory[place] = found
        return found

    async def _models(self, workspace: str) -> Sequence[Model]:
        """All models, as they are served; others run in between."""
        models: list[Model] = []
        while page := await self._store.models(workspace, after=models[-1].id if models else None):
            models += await linked(self._store, page)
            await asyncio.sleep(0)
        return models

    async def _rows(self, workspace: str, name: str, reach: Reach) -> Sequence[Model]:
        """The models of a name, at least one. What is out of reach is as what is not there, also for what is said."""
        if name.startswith("default:"):
            return [await self._default(workspace, name.removeprefix("default:"), reach)]
        if name.startswith("model:") and (row := await self._by_id(workspace, name)) and _within(row, reach):
            return [row]
        rows = await linked(self._store, await self._store.models(workspace, name=name, limit=None))
        named = [row for row in rows if _within(row, reach)]
        if parts := qualified(name):
            if pool := [row for row in named if row.pooled]:
                return pool
            rows = await self._store.models(workspace, provider=parts[0], name=parts[1], limit=None)
            rows = await linked(self._store, rows)
            if within := [row for row in rows if _within(row, reach)]:
                return within
        if not named:
            raise ModelNotFoundError(bounded=not reach.whole)
        return named

    async def _by_id(self, workspace: str, name: str) -> Model | None:
        try:
            row = await self._store.model(workspace, model_id(name))
        except InvalidIdError:
            return None
        return None if row is None else (await linked(self._store, [row]))[0]

    async def _default(self, workspace: str, name: str, reach: Reach) -> Model:
        slot = SLOT_NAMES.get(name)
        if slot is None:
            raise ModelNotFoundError
        id = (await defaults_within(self._store, workspace, reach)).model_for(slot)
        if id is None:
            raise NoDefaultError(slot.called, bounded=not reach.whole)
        model = await self._store.model(workspace, id)
        if model is None:
            raise ModelNotFoundError
        return model

    async def _credential_of(self, row: Model) -> Credential:
        if row.credential is None:
            raise UnlinkedModelError
        return await self._load(row.workspace, row.credential)

    async def _load(self, workspace: str, id: CredentialId) -> Credential:
        found = await self._store.credential(workspace, id)
        if found is None:
            raise CredentialNotFoundError
        return found

    def _forget(self, revision: int) -> None:
        self._revision = revision
        self._callers, self._serving, self._listings, self._open_accounts = {}, {}, {}, {}


def _within(model: Model, reach: Reach) -> bool:
    return reach.serves(model)


def _digest(token: Secret) -> bytes:
    return sha256(token.reveal().encode("utf-8", "replace")).digest()


def _remember(memory: dict[_K, _V], key: _K, value: _V) -> None:
    if len(memory) >= MOST:
        memory.clear()
    memory[key] = value

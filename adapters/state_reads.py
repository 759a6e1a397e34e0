"""Reading from records held in memory: what the store in memory and the embedded one have in common."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import cast

from keycairn.domain.audit import Head
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, ModelId, TokenId, key_of
from keycairn.domain.key_rotation.record import KeyRotation, KeyRotationId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.state import CURRENT, State
from keycairn.domain.token import Token
from keycairn.ports.shares import Shares
from keycairn.ports.store import MOST, LostChangeset, Position


class StateReads:
    """The queries of a `keycairn.ports.store.Store` that the records in memory answer.

    What a read gives is shared, so treat its mappings as read-only.
    """

    @property
    def state(self) -> State:
        """What is stored. Raises StoreUnavailableError once the store is closed."""
        raise NotImplementedError

    async def current(self) -> State:
        """The same, once nothing in it is older than what was acknowledged to anyone. Raises StoreUnavailableError."""
        return self.state

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """See `Store.credential`."""
        return (await self.current()).credential(workspace, id)

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        """See `Store.credentials`."""
        place = (after.provider, after.created, after.id) if after else None
        state = await self.current()
        ids = state.places(workspace, provider=provider, after=place)
        return _credentials(state, islice(ids, page(limit)))

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        """See `Store.all_credentials`."""
        await asyncio.sleep(0)  # pages are read one after another to go through everything; others get their turn
        return (await self.current()).credentials_after(key_of(after) if after else "", page(limit))

    async def with_same_secret(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        """See `Store.with_same_secret`."""
        state = await self.current()
        ids = {id for mark in fingerprints for id in state.with_fingerprint(workspace, mark)}
        found = _credentials(state, ids)
        return sorted(found, key=lambda one: (one.provider, one.created, one.id))[:MOST]

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """See `Store.model`."""
        return (await self.current()).model(workspace, id)

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
        state = await self.current()
        if credential is None and name is None:
            most = None if limit is None else page(limit)
            return state.models(workspace, provider=provider, type=type, after=after, limit=most)
        if name is None and after is None and limit is None and (type, provider) == (None, None):
            return state.models_of(workspace, cast("CredentialId", credential))
        ids = state.named(workspace, name) if name is not None else state.linked(cast("CredentialId", credential))
        rows = (
            found
            for id in ids
            if (after is None or id > after)
            and (found := state.model(workspace, id)) is not None
            and type in {None, found.type}
            and provider in {None, found.provider}
            and credential in {None, found.credential}
        )
        return list(islice(rows, None if limit is None else page(limit)))

    async def model_counts(
        self, workspace: str, credentials: Collection[CredentialId] | None = None
    ) -> Mapping[CredentialId, int]:
        """See `Store.model_counts`."""
        return (await self.current()).link_counts(workspace, credentials)

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        """See `Store.unlinked_models`."""
        return (await self.current()).unlinked(workspace, provider)

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        """See `Store.providers_in_use`."""
        return (await self.current()).providers(workspace)

    async def defaults(self, workspace: str) -> Defaults:
        """See `Store.defaults`."""
        return (await self.current()).get(Defaults, workspace) or Defaults(workspace=workspace)

    async def keyset(self) -> Keyset | None:
        """See `Store.keyset`."""
        return (await self.current()).get(Keyset, CURRENT)

    async def any_sealed(self) -> bool:
        """See `Store.any_sealed`."""
        state = await self.current()
        return any(found.sealed for found in state.all(Credential)) or any(
            found.sealed for found in state.all(KeyRotation)
        )

    async def token(self, id: TokenId) -> Token | None:
        """See `Store.token`."""
        found = (await self.current()).get(Token, key_of(id))
        return found if found is not None and found.id == id else None

    async def tokens(self, workspace: str) -> Sequence[Token]:
        """See `Store.tokens`."""
        return [token for token in await self.all_tokens() if token.workspace == workspace]

    async def all_tokens(self) -> Sequence[Token]:
        """See `Store.all_tokens`."""
        return sorted((await self.current()).all(Token), key=attrgetter("id"))

    async def key_rotation(self, id: KeyRotationId) -> KeyRotation | None:
        """See `Store.key_rotation`."""
        found = (await self.current()).get(KeyRotation, key_of(id))
        return found if found is not None and found.id == id else None

    async def key_rotations(self) -> Sequence[KeyRotation]:
        """See `Store.key_rotations`."""
        return sorted((await self.current()).all(KeyRotation), key=attrgetter("id"))

    async def head(self) -> Head | None:
        """See `Store.head`."""
        return (await self.current()).get(Head, CURRENT)

    @property
    def shares(self) -> Shares | None:
        """See `Store.shares`."""
        return None

    @property
    def leads(self) -> bool:
        """See `Store.leads`."""
        return True

    async def lost(self) -> Sequence[LostChangeset]:
        """See `Store.lost`."""
        return ()

    async def give_up(self, lost: Sequence[LostChangeset]) -> None:
        """See `Store.give_up`."""


def _credentials(state: State, ids: "Collection[CredentialId] | islice[CredentialId]") -> list[Credential]:
    found = (state.get(Credential, key_of(id)) for id in ids)
    return [credential for credential in found if credential is not None]


def page(limit: int) -> int:
    """The number of records a page of `limit` may have."""
    return max(0, min(limit, MOST))

"""What becomes of the tokens that are bounded to a credential when it goes."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.domain.audit import Action, Caller
from keycairn.domain.change import Change, PutToken
from keycairn.domain.credential import Credential
from keycairn.domain.deletion import Deletion
from keycairn.domain.ids import CredentialId
from keycairn.domain.token import Token
from keycairn.ports.store import Store

_BESIDE = 2
"""Credentials of a provider that are looked at: the one that goes, and another one."""


class BoundedTokens:
    """Finds the tokens that a deletion is about."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    async def with_tokens(
        self, deletion: Deletion, credential: Credential, heir: CredentialId | None, *, now: datetime, by: Caller
    ) -> Deletion:
        """The deletion with what it does to tokens: those bounded to `credential` reach `heir` instead, where one is.

        Those that reach nothing then are named.
        """
        followed: list[Token] = []
        stranded: list[Token] = []
        changes: list[Change] = []
        for token in await self._reaching(credential, now):
            after = token if heir is None else replace(token, reach=token.reach.following(credential.id, heir))
            if after != token:
                followed.append(after)
                changes.append(PutToken(after, expected=token))
                details = {"fields": ["reach"]}
                changes.append(self._journal.event(by, Action.TOKEN_UPDATED, token.id, details=details))
            elif not await self._reaches_another(token, credential):
                stranded.append(token)
        return replace(
            deletion, followed=tuple(followed), stranded=tuple(stranded), changes=(*deletion.changes, *changes)
        )

    async def _reaching(self, credential: Credential, now: datetime) -> Sequence[Token]:
        """The tokens in use that reach the credential, and not everything."""
        return [
            token
            for token in await self._store.tokens(credential.workspace)
            if token.valid_at(now) and not token.reach.whole and token.reach.holds(credential.provider, credential.id)
        ]

    async def _reaches_another(self, token: Token, gone: Credential) -> bool:
        reach, workspace = token.reach, gone.workspace
        if reach.credentials is not None:
            found = [await self._store.credential(workspace, id) for id in reach.credentials if id != gone.id]
            return any(one is not None and reach.holds(one.provider, one.id) for one in found)
        for provider in (None,) if reach.providers is None else reach.providers:
            some = await self._store.credentials(workspace, provider=provider, limit=_BESIDE)
            if any(one.id != gone.id for one in some):
                return True
        return False

"""Changing a token that is in use: its name, end, limits and reach; its text stays good."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from keycairn.app.services.access.token_reach import ReachCheck, check_expiry, checked_name
from keycairn.app.services.access.tokens import Tokens
from keycairn.app.services.audit import Journal
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.change import Changeset, PutToken
from keycairn.domain.errors import BeyondMakerError, InvalidInputError
from keycairn.domain.limits import Limits, check_limits
from keycairn.domain.reach import Reach
from keycairn.domain.token import Token, beyond
from keycairn.ports.clock import Clock
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store


class TokenPatch(Struct, frozen=True, kw_only=True):
    """What to change of a token. UNSET: keep."""

    name: str | UnsetType = UNSET
    expires: datetime | UnsetType | None = UNSET
    limits: Limits | UnsetType = UNSET
    reach: Reach | UnsetType = UNSET

    def applied(self, token: Token) -> Token:
        """The token as it becomes."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return replace(token, **{name: value for name, value in given.items() if value is not UNSET})


class TokenChanges:
    """Changes tokens, each in one commit with its audit event."""

    def __init__(
        self, store: Store, registry: ProviderRegistry, tokens: Tokens, clock: Clock, journal: Journal
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._journal = journal
        self._reach = ReachCheck(store, registry)

    async def update(self, key: str, patch: TokenPatch, *, by: Caller = IN_PROCESS) -> Token:
        """Apply `patch`. `key` is a token's id, with or without the `token:` before it.

        It becomes no more than whoever changes it, or lent it, may. Raises TokenNotFoundError, BeyondMakerError, or
        InvalidInputError, also for a token that is revoked.
        """

        async def plan() -> tuple[Changeset, Token]:
            before = await self._tokens.get(key, by)
            if before.revoked:
                raise InvalidInputError("This token is revoked, for good. Make another one.")
            after = await self._checked(patch.applied(before), before)
            if after == before:
                return (), before
            lenders = [*(await self._tokens.makers(before))[:1], await self._tokens.maker(by)]
            wide = [field for one in lenders if one is not None for field in beyond(after, one)]
            if wide:
                raise BeyondMakerError(tuple(dict.fromkeys(wide)))
            fields = [name for name in patch.__struct_fields__ if getattr(before, name) != getattr(after, name)]
            event = self._journal.event(by, Action.TOKEN_UPDATED, before.id, details={"fields": fields})
            return (PutToken(after, expected=before), event), after

        return await self._journal.retried(plan)

    async def _checked(self, after: Token, before: Token) -> Token:
        """What is new of a token, checked as where one is made. Raises InvalidInputError."""
        if after.name != before.name:
            after = replace(after, name=checked_name(after.name))
        if after.expires != before.expires:
            check_expiry(after.expires, self._clock.now())
        check_limits(after.limits)
        if after.reach != before.reach:
            after = replace(after, reach=await self._reach.checked(after.reach, after.scopes, after.workspace))
        return after

"""Tokens: making, checking and revoking them."""

import hmac
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.access.token_reach import ReachCheck, check_expiry, checked_name
from keycairn.app.services.audit import AuditCounters, Journal
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller
from keycairn.domain.change import Changeset, PutToken
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import (
    AuthenticationError,
    BeyondMakerError,
    ForbiddenError,
    InvalidInputError,
    TokenNotFoundError,
)
from keycairn.domain.ids import TokenId, key_of
from keycairn.domain.limits import NO_LIMITS, Limits, check_limits
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token, beyond, token_key, token_text
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

DEEPEST = 8
"""Generations of tokens with an end or limits, each made with the one before."""
WORKSPACE = "[a-z0-9][a-z0-9_-]{0,63}"
"""What the name of a workspace is made of."""
_WORKSPACE = re.compile(WORKSPACE, re.ASCII)
FIRST_TOKEN_NAME = "first admin token"  # noqa: S105  # a name


class Principal(Struct, frozen=True):
    """Who a valid token stands for."""

    actor: str
    workspace: str
    scopes: tuple[Scope, ...]
    reach: Reach = EVERYWHERE
    spends_within: bool = False
    """Whether it, or what it was made with, has a limit of money."""

    @property
    def token(self) -> TokenId | None:
        """The stored token it came with, None for the fixed one."""
        return TokenId(self.actor) if self.actor.startswith("token:") else None

    @property
    def of_the_installation(self) -> bool:
        """Whether its scopes hold for what concerns every workspace, such as the keys that encrypt everything."""
        return self.workspace == DEFAULT_WORKSPACE and self.reach.whole


class Tokens:
    """Issues tokens and recognises them. Only a MAC is stored; the text is shown once, by `create`."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        clock: Clock,
        ids: Ids,
        journal: Journal,
        audit_counters: AuditCounters,
        registry: ProviderRegistry,
        admin_token: Secret | None = None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._counters = audit_counters
        self._reach = ReachCheck(store, registry)
        self._admin = sha256(admin_token.reveal().encode()).digest() if admin_token else None

    async def authenticate(self, text: Secret) -> Principal:
        """Who the token stands for.

        Raises AuthenticationError, the same for unknown, mistyped, expired and revoked; SealedError when tokens cannot
        be checked for want of the root key.
        """
        if self._admin and hmac.compare_digest(sha256(text.reveal().encode()).digest(), self._admin):
            return Principal("admin-token", DEFAULT_WORKSPACE, (Scope.ADMIN,))
        token = await self._recognised(text)
        if token is None:
            raise AuthenticationError
        self._counters.token_used(token.id)
        return await self._principal(token)

    async def again(self, actor: str) -> Principal:
        """Who `actor` stands for by now: what `authenticate` gave, or for a fixed token `fixed_actor`.

        Raises AuthenticationError where that token is not good any more.
        """
        if actor == self.fixed_actor:
            return Principal("admin-token", DEFAULT_WORKSPACE, (Scope.ADMIN,))
        token = await self._store.token(TokenId(actor)) if actor.startswith("token:") else None
        if token is None or not await self._stands(token):
            raise AuthenticationError
        self._counters.token_used(token.id)
        return await self._principal(token)

    @property
    def fixed_actor(self) -> str | None:
        """What tells the fixed token from every other one that may be set, and nothing of it; None without one."""
        return f"fixed:{self._vault.keyset.session_mac(self._admin)[:32]}" if self._admin else None

    async def holds(self, text: Secret) -> bool:
        """Whether it is the text of a token that is good now; this is no use of it. Raises SealedError."""
        return await self._recognised(text) is not None

    async def create(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        expires: datetime | None = None,
        limits: Limits = NO_LIMITS,
        reach: Reach = EVERYWHERE,
        workspace: str | None = None,
        by: Caller = IN_PROCESS,
        keep: Callable[[Secret], None] = lambda _: None,
    ) -> tuple[Token, Secret]:
        """A new token, and its text, which nobody can ask for again; `keep` gets it before the token exists.

        It belongs to the workspace of its maker; in the default workspace another may be named, which begins to exist
        by that. Made with a token that has an end or limits, it has the same where none are asked for, and at most
        the same where some are. Raises InvalidInputError, BeyondMakerError, ForbiddenError or SealedError.
        """
        label = checked_name(name)
        if not scopes:
            message = f"A token needs a scope: {', '.join(Scope)}."
            raise InvalidInputError(message, {"scopes": "must name at least one scope"})
        now = self._clock.now()
        check_expiry(expires, now)
        check_limits(limits)
        place = by.workspace if workspace is None else _checked_workspace(workspace)
        if by.workspace not in {place, DEFAULT_WORKSPACE}:
            raise ForbiddenError(Scope.ADMIN)
        reach = await self._reach.checked(reach, scopes, place)
        key, random = self._ids.token()
        text = token_text(key, random)
        token = Token(
            id=TokenId(f"token:{key}"),
            workspace=place,
            name=label,
            scopes=tuple(dict.fromkeys(scopes)),
            mac=self._vault.keyset.token_mac(text.reveal().encode()),
            created=now,
            expires=expires,
            limits=limits,
            reach=reach,
        )
        if (maker := await self.maker(by)) is not None:
            token = replace(
                token,
                maker=maker.id,
                expires=expires or maker.expires,
                limits=limits.filled(maker.limits),
            )
            if wide := beyond(token, maker):
                raise BeyondMakerError(wide)
            if len(await self.makers(token)) > DEEPEST:
                raise InvalidInputError("Tokens made with tokens that have an end or limits go no deeper.")
        event = self._journal.event(by, Action.TOKEN_CREATED, token.id, details={"scopes": [*token.scopes]})
        keep(text)
        await self._journal.commit((PutToken(token), event))
        return token, text

    async def makers(self, token: Token) -> Sequence[Token]:
        """The tokens it was made with that have an end or limits, its own maker first. Raises AuthenticationError.

        Of what has neither end nor limits none had: it was not lent anything.
        """
        found: list[Token] = []
        while token.lent and token.maker is not None:
            maker = await self._store.token(token.maker)
            if maker is None or len(found) > DEEPEST:
                raise AuthenticationError
            if not maker.lent:
                break
            found.append(maker)
            token = maker
        return found

    async def family(self, id: str, workspace: str) -> frozenset[str]:
        """The id of a token, and those of all tokens of its workspace that were made with it, and with those."""
        made: dict[str | None, list[str]] = defaultdict(list)
        for one in await self._store.tokens(workspace):
            made[one.maker].append(one.id)
        found, waiting = {id}, [id]
        while waiting:
            fresh = set(made[waiting.pop()]) - found
            found |= fresh
            waiting += fresh
        return frozenset(found)

    async def first(self, keep: Callable[[Secret], None]) -> bool:
        """Make the first admin token, where no token exists and no fixed one is set; whether it was made.

        `keep` gets its text before it exists, to put it where a stop of the process cannot lose it.
        """
        if self._admin or await self._store.tokens(DEFAULT_WORKSPACE):
            return False
        await self.create(FIRST_TOKEN_NAME, (Scope.ADMIN,), by=SYSTEM, keep=keep)
        return True

    async def list(self, *, workspace: str = DEFAULT_WORKSPACE) -> Sequence[Token]:
        """All tokens of the workspace, revoked ones included, oldest first."""
        return await self._store.tokens(workspace)

    async def revoke(self, key: str, *, by: Caller = IN_PROCESS) -> Token:
        """Stop a token from working, at once and for good. Revoking again is a no-op. Raises TokenNotFoundError.

        `key` is a token's id, with or without the `token:` before it.
        """

        async def plan() -> tuple[Changeset, Token]:
            token = await self.get(key, by)
            if token.revoked:
                return (), token
            revoked = replace(token, revoked=self._clock.now())
            event = self._journal.event(by, Action.TOKEN_REVOKED, token.id)
            return (PutToken(revoked, expected=token), event), revoked

        return await self._journal.retried(plan)

    async def get(self, key: str, by: Caller) -> Token:
        """One token that `by` may see; `key` as that of `revoke`. Raises TokenNotFoundError."""
        token = await self._store.token(TokenId(f"token:{key_of(key) or key}"))
        if token is None or by.workspace not in {token.workspace, DEFAULT_WORKSPACE}:
            raise TokenNotFoundError
        return token

    async def _principal(self, token: Token) -> Principal:
        within = token.limits.counts_money or any(one.limits.counts_money for one in await self.makers(token))
        return Principal(token.id, token.workspace, token.scopes, token.reach, within)

    async def _recognised(self, text: Secret) -> Token | None:
        mac = self._vault.keyset.token_mac(text.reveal().encode())
        id = token_key(text)
        token = await self._store.token(id) if id else None
        if token is None or not hmac.compare_digest(token.mac, mac) or not await self._stands(token):
            return None
        return token

    async def _stands(self, token: Token) -> bool:
        """Whether it is valid, and so is everything it was lent by."""
        now = self._clock.now()
        return token.valid_at(now) and all(maker.valid_at(now) for maker in await self.makers(token))

    async def maker(self, by: Caller) -> Token | None:
        """The token a caller came with, None for one who came with none of ours. Raises AuthenticationError."""
        if not by.actor.startswith("token:"):
            return None
        maker = await self._store.token(TokenId(by.actor))
        if maker is None or not await self._stands(maker):
            raise AuthenticationError
        return maker


def _checked_workspace(name: str) -> str:
    if not _WORKSPACE.fullmatch(name):
        message = "A workspace's name is 1 to 64 small letters, digits, - and _, and begins with a letter or digit."
        raise InvalidInputError(message, {"workspace": "must be 1 to 64 of: a-z 0-9 - _"})
    return name

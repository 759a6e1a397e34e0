"""Tokens: making, checking and revoking them."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.journal import Journal
from keycairn.app.services.vault import Vault
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller
from keycairn.domain.change import PutToken
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import AuthenticationError, InvalidInputError, TokenNotFoundError
from keycairn.domain.ids import TokenId, key_of
from keycairn.domain.limits import NO_LIMITS, Limits, check_limits
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token, token_key, token_text
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import Store

LONGEST_NAME = 200
FIRST_TOKEN_NAME = "first admin token"  # noqa: S105  # a name


class Principal(Struct, frozen=True):
    """Who a valid token stands for."""

    actor: str
    workspace: str
    scopes: tuple[Scope, ...]


class Tokens:
    """Issues tokens and recognises them. Only a MAC is stored; the text is shown once, by `create`."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        clock: Clock,
        ids: Ids,
        journal: Journal,
        admin_token: Secret | None = None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._admin = sha256(admin_token.reveal().encode()).digest() if admin_token else None

    async def authenticate(self, text: Secret) -> Principal:
        """Who the token stands for.

        Raises AuthenticationError, the same for unknown, mistyped, expired and revoked; SealedError when tokens cannot
        be checked for want of the root key.
        """
        if self._admin and hmac.compare_digest(sha256(text.reveal().encode()).digest(), self._admin):
            return Principal("admin-token", DEFAULT_WORKSPACE, (Scope.ADMIN,))
        mac = self._vault.keyset.token_mac(text.reveal().encode())
        id = token_key(text)
        token = await self._store.token(id) if id else None
        if token is None or not hmac.compare_digest(token.mac, mac) or not token.valid_at(self._clock.now()):
            raise AuthenticationError
        return Principal(token.id, token.workspace, token.scopes)

    async def create(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        expires: datetime | None = None,
        limits: Limits = NO_LIMITS,
        by: Caller = IN_PROCESS,
    ) -> tuple[Token, Secret]:
        """A new token, and its text, which nobody can ask for again. Raises InvalidInputError or SealedError."""
        label = name.strip()
        if not label or len(label) > LONGEST_NAME or not label.isprintable():
            message = f"The name must be 1 to {LONGEST_NAME} printable characters."
            raise InvalidInputError(message, {"name": f"must be 1 to {LONGEST_NAME} printable characters"})
        if not scopes:
            message = f"A token needs a scope: {', '.join(Scope)}."
            raise InvalidInputError(message, {"scopes": "must name at least one scope"})
        now = self._clock.now()
        if expires is not None and (expires.tzinfo is None or expires <= now):
            message = "A token's expiry must lie in the future and carry a time zone."
            raise InvalidInputError(message, {"expires": "must be in the future, with a time zone"})
        check_limits(limits)
        key, random = self._ids.token()
        text = token_text(key, random)
        token = Token(
            id=TokenId(f"token:{key}"),
            workspace=by.workspace,
            name=label,
            scopes=tuple(dict.fromkeys(scopes)),
            mac=self._vault.keyset.token_mac(text.reveal().encode()),
            created=now,
            expires=expires,
            limits=limits,
        )
        event = self._journal.event(by, Action.TOKEN_CREATED, token.id, details={"scopes": [*token.scopes]})
        await self._journal.commit((PutToken(token), event))
        return token, text

    async def first(self) -> Secret | None:
        """The text of the first admin token, made now; None when any token exists or a fixed one is set."""
        if self._admin or await self._store.tokens(DEFAULT_WORKSPACE):
            return None
        _, text = await self.create(FIRST_TOKEN_NAME, (Scope.ADMIN,), by=SYSTEM)
        return text

    async def list(self, *, workspace: str = DEFAULT_WORKSPACE) -> Sequence[Token]:
        """All tokens of the workspace, revoked ones included, oldest first."""
        return await self._store.tokens(workspace)

    async def revoke(self, key: str, *, by: Caller = IN_PROCESS) -> Token:
        """Stop a token from working, at once and for good. Revoking again is a no-op. Raises TokenNotFoundError.

        `key` is a token's id, with or without the `token:` before it.
        """
        token = await self._store.token(TokenId(f"token:{key_of(key) or key}"))
        if token is None or token.workspace != by.workspace:
            raise TokenNotFoundError
        if token.revoked:
            return token
        revoked = replace(token, revoked=self._clock.now())
        await self._journal.commit((PutToken(revoked), self._journal.event(by, Action.TOKEN_REVOKED, token.id)))
        return revoked

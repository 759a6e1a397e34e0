"""Who may call what: the bearer guard, and the limit on failed attempts."""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from keycairn.app.api.problems import TooManyAttemptsError
from keycairn.app.keycairn import Keycairn
from keycairn.domain.audit import Caller
from keycairn.domain.errors import AuthenticationError, ForbiddenError
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, carries

ATTEMPTS_PER_MINUTE = 20
MOST_ADDRESSES = 10_000
"""How many addresses the limit remembers; the one longest unseen is forgotten first."""
MOST_KNOWN_TOKENS = 1_000
LONGEST_TOKEN = 4096
"""Characters of an Authorization header that are looked at."""
CALLER = "keycairn_caller"
REQUEST_ID = "keycairn_request_id"


class Access(Enum):
    """What a route asks for when it asks for no scope: `opt={"scope": Access.PUBLIC}`."""

    PUBLIC = "no token"
    ANY_TOKEN = "any valid token"  # noqa: S105  # a description


class Attempts:
    """Failed attempts of the last minute, by address, in memory.

    A token that was good before is let through to the check from an address over the limit, so that one attacker
    behind a shared address does not lock everybody out. Of such tokens only digests are kept.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def check(self, address: str, token: Secret) -> None:
        """Raise TooManyAttemptsError when the address used its attempts up."""
        recent = self._recent(address)
        if len(recent) >= ATTEMPTS_PER_MINUTE and _digest(token) not in self._known:
            raise TooManyAttemptsError(max(1, round(recent[0] + 60 - self._monotonic())))

    def failed(self, address: str) -> None:
        """Count one failed attempt."""
        recent = self._recent(address)
        recent.append(self._monotonic())
        self._failed[address] = recent[-ATTEMPTS_PER_MINUTE:]
        self._failed.move_to_end(address)
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def succeeded(self, token: Secret) -> None:
        """Remember a good token."""
        digest = _digest(token)
        self._known[digest] = None
        self._known.move_to_end(digest)
        while len(self._known) > MOST_KNOWN_TOKENS:
            self._known.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        begin = self._monotonic() - 60
        return [moment for moment in self._failed.get(address, ()) if moment > begin]


class Guard:
    """Lets a request through to its handler when its token carries the scope in the handler's `opt`.

    A handler that names no scope is refused for everyone: forgetting it must not open a door.
    """

    def __init__(self, keycairn: Callable[[], Keycairn], attempts: Attempts, count_failure: Callable[[], None]) -> None:
        self._keycairn = keycairn
        self._attempts = attempts
        self._count_failure = count_failure

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raise AuthenticationError, ForbiddenError, SealedError or TooManyAttemptsError; else leave the Caller."""
        # Litestar answers OPTIONS by itself; it tells the methods of a path, nothing more.
        needed = Access.ANY_TOKEN if connection.scope.get("method") == "OPTIONS" else handler.opt.get("scope")
        if needed is Access.PUBLIC:
            return
        keycairn = self._keycairn()
        address = connection.client.host if connection.client else ""
        token = bearer(connection.headers.get("authorization", ""))
        self._attempts.check(address, token)
        try:
            principal = await keycairn.tokens.authenticate(token)
        except AuthenticationError:
            self._attempts.failed(address)
            self._count_failure()
            raise
        self._attempts.succeeded(token)
        connection.state[CALLER] = Caller(
            actor=principal.actor,
            workspace=principal.workspace,
            source=address,
            request_id=connection.state.get(REQUEST_ID, ""),
        )
        if needed is Access.ANY_TOKEN:
            return
        if not isinstance(needed, Scope):
            raise ForbiddenError(Scope.ADMIN)
        if not carries(principal.scopes, needed):
            raise ForbiddenError(needed)


def bearer(header: str) -> Secret:
    """The token in an Authorization header; an empty one where there is none."""
    scheme, _, token = header.partition(" ")
    fits = scheme.lower() == "bearer" and len(header) <= LONGEST_TOKEN and header.isascii()
    return Secret(token.strip() if fits else "")


def _digest(token: Secret) -> bytes:
    return sha256(token.reveal().encode()).digest()

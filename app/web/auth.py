"""Who may call what: the bearer guard."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from keycairn.app.keycairn import Keycairn
from keycairn.app.web.inside import keycairn_of
from keycairn.app.web.metrics import METER, Metrics
from keycairn.domain.audit import Caller
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import (
    AuthenticationError,
    CredentialNotFoundError,
    ForbiddenError,
    InstallationOnlyError,
    ModelNotFoundError,
    OutOfReachError,
)
from keycairn.domain.ids import CredentialId, credential_id, model_id
from keycairn.domain.provider import canonical_name
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, carries

LONGEST_TOKEN = 4096
"""Characters of an Authorization header that are looked at."""
Options = Mapping[str, Any]
"""What a route says of itself in `opt`, for the guard."""
CALLER = "keycairn_caller"
SCOPES = "keycairn_scopes"
REQUEST_ID = "keycairn_request_id"
UNTRIED = "keycairn_untried"
"""The key by which a request to the page says that it showed nothing: nobody tried to prove who he is."""


class Touches(Enum):
    """Which credentials a route touches: `opt={"touches": ...}`. It decides what a token of bounded reach may call.

    A route that does not say is closed to such tokens.
    """

    CREDENTIAL = "the credential `id` of the path"
    MODEL = "the account of the model `id` of the path"
    PROVIDER = "every account of the `provider` of the path"
    CHOSEN = "those its handler lets through"
    NONE = "none"


class Access(Enum):
    """What a route asks for when it asks for no scope: `opt={"scope": Access.PUBLIC}`."""

    PUBLIC = "no token"
    ANY_TOKEN = "any valid token"  # noqa: S105  # a description


READ_CREDENTIAL: Options = {"scope": Scope.CREDENTIALS_READ, "touches": Touches.CREDENTIAL}
READ_CREDENTIALS: Options = {"scope": Scope.CREDENTIALS_READ, "touches": Touches.CHOSEN}
WRITE_CREDENTIAL: Options = {"scope": Scope.CREDENTIALS_WRITE, "touches": Touches.CREDENTIAL}
WRITE_CREDENTIALS: Options = {"scope": Scope.CREDENTIALS_WRITE, "touches": Touches.CHOSEN}


class Guard:
    """Lets a request through to its handler when its token carries the scope in the handler's `opt`.

    A handler that names no scope is refused for everyone: forgetting it must not open a door. Who asks is proven by
    the bearer token, and where the handler's `opt` has `proves`, by that and nothing else: a coroutine function of the
    connection and Keycairn that gives the Principal, or raises AuthenticationError.
    """

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raise AuthenticationError, ForbiddenError, SealedError or TooManyAttemptsError; else leave the Caller."""
        # Litestar answers OPTIONS by itself; it tells the methods of a path, nothing more.
        needed = Access.ANY_TOKEN if connection.scope.get("method") == "OPTIONS" else handler.opt.get("scope")
        if needed is Access.PUBLIC:
            return
        keycairn = keycairn_of(connection.scope)
        address = connection.client.host if connection.client else ""
        prove = handler.opt.get("proves")
        try:
            if prove is not None:
                principal = await prove(connection, keycairn)
            else:
                token = bearer(connection.headers.get("authorization", ""))
                principal = await keycairn.attempts.proven(token, address, keycairn.tokens.authenticate)
        except AuthenticationError:
            if not connection.state.get(UNTRIED):
                meter: Metrics = connection.scope["state"][METER]
                meter.auth_failures.inc()
            raise
        caller = Caller(
            actor=principal.actor,
            workspace=principal.workspace,
            source=address,
            request_id=connection.state.get(REQUEST_ID, ""),
            reach=principal.reach,
            spends_within=principal.spends_within,
        )
        connection.state[CALLER] = caller
        connection.state[SCOPES] = principal.scopes
        if needed is Access.ANY_TOKEN:
            return
        if not isinstance(needed, Scope):
            raise ForbiddenError(Scope.ADMIN)
        if not carries(principal.scopes, needed):
            raise ForbiddenError(needed)
        if handler.opt.get("installation") and not principal.of_the_installation:
            raise InstallationOnlyError
        if not caller.reach.whole:
            await _check_reach(keycairn, caller, handler.opt.get("touches"), connection.path_params)


async def _check_reach(keycairn: Keycairn, caller: Caller, touches: object, path: Mapping[str, Any]) -> None:
    """Raise OutOfReachError, or for a single record that there is none, where the route leads out of reach."""
    match touches:
        case Touches.CREDENTIAL:
            id = credential_id(path["id"])
            credential = await keycairn.store.credential(caller.workspace, id)
            if credential is None or not caller.reach.holds(credential.provider, id):
                raise CredentialNotFoundError
        case Touches.MODEL:
            model = await keycairn.store.model(caller.workspace, model_id(path["id"]))
            if model is None or not caller.reach.serves(model):
                raise ModelNotFoundError
        case Touches.PROVIDER:
            if not caller.reach.holds(canonical_name(path["provider"])):
                raise OutOfReachError
        case Touches.CHOSEN | Touches.NONE:
            pass
        case _:
            raise OutOfReachError


async def reaches(keycairn: Keycairn, caller: Caller, id: CredentialId) -> bool:
    """Whether a credential that a request names besides the one of its path is there, and within the caller's reach."""
    credential = await keycairn.store.credential(caller.workspace, id)
    return credential is not None and caller.reach.holds(credential.provider, id)


def need(connection: ASGIConnection[Any, Any, Any, Any], scope: Scope) -> None:
    """Raise ForbiddenError unless the request's token carries `scope`, for what only some requests of a route do."""
    if not carries(connection.state[SCOPES], scope):
        raise ForbiddenError(scope)


def keeps(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the request's token administers the installation, with all its workspaces."""
    caller: Caller = connection.state[CALLER]
    whole = caller.workspace == DEFAULT_WORKSPACE and caller.reach.whole
    return whole and carries(connection.state[SCOPES], Scope.ADMIN)


def bearer(header: str) -> Secret:
    """The token in an Authorization header; an empty one where there is none."""
    scheme, _, token = header.partition(" ")
    fits = scheme.lower() == "bearer" and len(header) <= LONGEST_TOKEN and header.isascii()
    return Secret(token.strip() if fits else "")

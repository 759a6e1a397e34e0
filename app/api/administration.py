"""Tokens and the audit log over HTTP."""

from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import JSONBody

from keycairn.app.api.bodies import CreateToken
from keycairn.app.api.inputs import PathText, TheCaller, TheKeycairn
from keycairn.app.api.paging import Cursor, Limit, next_link, read_id, write_cursor
from keycairn.app.api.views import EventView, NewTokenView, TokenView, event_view, new_token_view, token_view
from keycairn.domain.ids import EventId
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

ADMIN = {"scope": Scope.ADMIN}


class TokenController(Controller):
    """Who may call this service. Only administrators manage tokens, so nobody hands out more than they have."""

    path = "/api/tokens"
    tags = ("Tokens",)

    @get("/", opt=ADMIN, summary="List tokens")
    async def listing(self, keycairn: TheKeycairn, caller: TheCaller) -> list[TokenView]:
        """Revoked ones included, oldest first."""
        return [token_view(token) for token in await keycairn.tokens.list(workspace=caller.workspace)]

    @post("/", opt=ADMIN, summary="Make a token")
    async def create(self, keycairn: TheKeycairn, caller: TheCaller, data: JSONBody[CreateToken]) -> NewTokenView:
        """The answer holds its text, which nobody can ask for again."""
        token, text = await keycairn.tokens.create(
            data.name, data.scopes, expires=data.expires, limits=data.limits, by=caller
        )
        return new_token_view(token, text.reveal())

    @delete("/{id:str}", opt=ADMIN, status_code=200, summary="Revoke a token")
    async def revoke(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> TokenView:
        """It stops working at once. Revoking again is a no-op."""
        return token_view(await keycairn.tokens.revoke(id, by=caller))


class AuditController(Controller):
    """What happened, and who did it."""

    path = "/api/audit"
    tags = ("Audit",)

    @get("/", opt={"scope": Scope.AUDIT_READ}, summary="List audit events")
    async def listing(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        limit: Limit = MOST,
        cursor: Cursor = None,
    ) -> Response[list[EventView]]:
        """Oldest first. Events hold names and counts, never values."""
        after = EventId(read_id(cursor, "event")) if cursor else None
        events = await keycairn.audit.events(after=after, limit=limit, workspace=caller.workspace)
        headers = next_link(request, write_cursor(events[-1].id), limit=limit) if len(events) == limit else {}
        return Response([event_view(event) for event in events], headers=headers)

"""Tokens and the audit log over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, QueryParameter
from msgspec import to_builtins

from keycairn.app.api.administration_views import (
    EventView,
    NewTokenView,
    TokenView,
    event_view,
    new_token_view,
    token_view,
)
from keycairn.app.api.bodies import CreateToken, UpdateToken
from keycairn.app.services.audit import ChainReport
from keycairn.app.web.inputs import PathText, TheCaller, TheKeycairn
from keycairn.app.web.paging import Cursor, Cursors, Limit, listed, next_link
from keycairn.domain.audit import Action, EventFilter
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import InstallationOnlyError, InvalidInputError
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

ADMIN = {"scope": Scope.ADMIN}

WorkspaceFilter = Annotated[
    str | None, QueryParameter(description="Of this workspace; for administrators of the default one.")
]


class TokenController(Controller):
    """Who may call this service. Only administrators manage tokens, so nobody hands out more than they have."""

    path = "/api/tokens"
    tags: Sequence[str] | None = ("Tokens",)

    @get("/", opt=ADMIN, operation_id="list_tokens", summary="List tokens")
    async def listing(
        self, keycairn: TheKeycairn, caller: TheCaller, workspace: WorkspaceFilter = None
    ) -> Response[list[TokenView]]:
        """Revoked ones included, oldest first."""
        place = workspace or caller.workspace
        if caller.workspace not in {place, DEFAULT_WORKSPACE}:
            raise InstallationOnlyError
        return await listed(await keycairn.tokens.list(workspace=place), token_view)

    @post("/", opt=ADMIN, operation_id="create_token", summary="Make a token")
    async def create(self, keycairn: TheKeycairn, caller: TheCaller, data: JSONBody[CreateToken]) -> NewTokenView:
        """The answer holds its text, which nobody can ask for again."""
        token, text = await keycairn.tokens.create(
            data.name,
            data.scopes,
            expires=data.expires,
            limits=data.limits,
            reach=data.reach,
            workspace=data.workspace,
            by=caller,
        )
        return new_token_view(token, text.reveal())

    @put("/{id:str}", opt=ADMIN, operation_id="update_token", summary="Change a token")
    async def update(
        self, keycairn: TheKeycairn, caller: TheCaller, id: PathText, data: JSONBody[UpdateToken]
    ) -> TokenView:
        """Its text stays good. It becomes no more than your own token, and the one it was made with, may."""
        return token_view(await keycairn.token_changes.update(id, data.patch(), by=caller))

    @delete("/{id:str}", opt=ADMIN, status_code=200, operation_id="revoke_token", summary="Revoke a token")
    async def revoke(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> TokenView:
        """It stops working at once. Revoking again is a no-op."""
        return token_view(await keycairn.tokens.revoke(id, by=caller))


def event_filter(
    request: Request[Any, Any, Any],
    actor: Annotated[str | None, QueryParameter(description="Who did it, such as `token:...`.")] = None,
    action: Annotated[Action | None, QueryParameter(description="What was done.")] = None,
    target: Annotated[str | None, QueryParameter(description="The record it was done to.")] = None,
    outcome: Annotated[str | None, QueryParameter(description="How it ended.")] = None,
    since: Annotated[datetime | None, QueryParameter(description="From this time on, with a time zone.")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Before this time, with a time zone.")] = None,
) -> EventFilter:
    """The conditions in the query. Raises InvalidInputError for a time without a time zone, or one that is a number."""
    times = {"since": since, "until": until}
    # Litestar's reading of a query takes a number for seconds since 1970.
    if numbers := [name for name in times if "T" not in request.query_params.get(name, "T").upper()]:
        message = "A time is written as in RFC 3339, such as 2026-01-31T12:00:00Z."
        raise InvalidInputError(message, dict.fromkeys(numbers, "is no time"))
    if naive := [name for name, time in times.items() if time is not None and time.tzinfo is None]:
        message = "A time needs its time zone, such as a Z at the end."
        raise InvalidInputError(message, dict.fromkeys(naive, "needs a time zone"))
    return EventFilter(actor=actor, action=action, target=target, outcome=outcome, since=since, until=until)


class AuditController(Controller):
    """What happened, and who did it."""

    path = "/api/audit"
    tags: Sequence[str] | None = ("Audit",)
    dependencies: Mapping[str, Provide] | None = {
        "matching": Provide(event_filter, sync_to_thread=False)
    }  # Litestar's own form

    @get("/", opt={"scope": Scope.AUDIT_READ}, operation_id="list_audit_events", summary="List audit events")
    async def listing(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        matching: NamedDependency[EventFilter],
        limit: Limit = MOST,
        cursor: Cursor = None,
    ) -> Response[list[EventView]]:
        """In the order they were written, whatever the clock said. They hold names and counts, never values.

        What happens often is counted for some seconds.
        """
        asked = to_builtins(matching)
        cursors = Cursors(keycairn.vault, caller, "audit", **asked)
        after = cursors.read(cursor, int)
        events = await keycairn.audit.events(matching=matching, after=after, limit=limit, workspace=caller.workspace)
        headers = {}
        if len(events) == limit:
            headers = next_link(request, cursors.write(events[-1].seq), limit=limit, **asked)
        return await listed(events, event_view, headers)

    @get(
        "/verify",
        opt={"scope": Scope.AUDIT_READ, "installation": True},
        operation_id="verify_audit_log",
        summary="Check that the log is whole",
    )
    async def verify(self, keycairn: TheKeycairn) -> ChainReport:
        """Walks the chain of all events, of every workspace, and compares its end with what was acknowledged."""
        return await keycairn.audit.verify()

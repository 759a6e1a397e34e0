"""The audit log: the newest events first, filtered, followed, and proven to be whole."""

from typing import Any

from litestar import Response, get, post

from keycairn.app.page.forms import whole_number
from keycairn.app.page.view import TheView, View
from keycairn.app.turns import each
from keycairn.app.web.auth import Options
from keycairn.domain.audit import Action, AuditEvent, EventFilter
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

READ = {"scope": Scope.AUDIT_READ}
KEEPER: Options = {"scope": Scope.AUDIT_READ, "installation": True}
ROWS = 100
PIECES = 20
"""How many thousand events a page looks back through; older ones are on the next page."""


@get("/audit", opt=READ, include_in_schema=False)
async def log(view: TheView) -> Response[Any]:
    """A hundred events, going back from the newest, or from the one before `before`."""
    return await _page(view)


@post("/audit/verify", opt=KEEPER, include_in_schema=False)
async def verify(view: TheView) -> Response[Any]:
    """Walk the whole chain, and compare the records with it."""
    await view.form()
    return await _page(view, report=await view.keycairn.audit.verify())


async def _page(view: View, report: Any = None) -> Response[Any]:
    action = view.choice("action", Action)
    matching = EventFilter(
        actor=view.query("actor") or None,
        action=Action(action) if action else None,
        target=view.query("target") or None,
        outcome=view.query("outcome") or None,
    )
    before = whole_number(view.query("before")) or 0
    found, reached = await _back(view, matching, before)
    return view.page(
        "audit.html",
        events=found,
        filters={"action": action, **{name: view.query(name) for name in ("actor", "target", "outcome")}},
        actions=list(Action),
        before=reached,
        first=not before,
        follow=view.query("follow") == "1",
        report=report,
        names=await _names(view),
    )


async def _back(view: View, matching: EventFilter, before: int) -> tuple[list[AuditEvent], int]:
    """The last events before a number that match, the newest first; and where to go on, 0 at the beginning."""
    head = await view.keycairn.store.head()
    end = before or (head.seq + 1 if head else 1)
    found: list[AuditEvent] = []
    size = 2 * ROWS  # few, where nothing is filtered
    for _ in range(PIECES):
        if end <= 1:
            return found, 0
        begin = max(0, end - 1 - size)
        size = MOST
        page = await view.keycairn.audit.events(
            matching=matching, after=begin, limit=MOST, workspace=view.caller.workspace
        )
        piece = [event for event in page if event.seq < end]
        found += piece[::-1]
        if len(found) >= ROWS:
            return found[:ROWS], found[ROWS - 1].seq
        end = begin + 1
    return found, end


async def _names(view: View) -> dict[str, str]:
    """Tokens by their names, for a reader who may see them."""
    if not view.may(Scope.ADMIN):
        return {}
    tokens = await view.keycairn.tokens.list(workspace=view.caller.workspace)
    return {one.id: one.name async for one in each(tokens)}
